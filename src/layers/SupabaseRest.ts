import { PostgrestBuilder } from "@supabase/postgrest-js"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Config from "./Config.ts"
import { promiseWithin } from "./Deadline.ts"

/** Calls functions of one schema; answers instead of throwing. */
interface RpcClient {
  readonly rpc: (
    name: string,
    args: Record<string, unknown>
  ) => {
    readonly abortSignal: (signal: AbortSignal) => PromiseLike<RpcAnswer>
  }
}

/** What we use of a SupabaseClient or a PostgrestClient, whichever schema is its default. */
export interface SchemaClient {
  readonly schema: (name: "public") => RpcClient
}

interface RpcAnswer {
  readonly data: unknown
  readonly error: { readonly message: string; readonly code?: string } | null
  readonly status: number
}

/** The database did not answer, or refused. `detail` has no argument in it. */
export class RpcFailed extends Data.TaggedError("RpcFailed")<{
  readonly detail: string
}> {}

const explain = (name: string, { error, status }: RpcAnswer): string => {
  if (error?.code === "PGRST202") return `function ${name} is not in the database: apply supabase/migrations`
  if (status === 401 || status === 403) return `status ${status}: the project's secret key is not accepted`
  return status === 0 ? "no connection" : `status ${status}${error?.code ? ` (${error.code})` : ""}`
}

/**
 * Calls SQL functions through PostgREST, each within a deadline.
 *
 * **Fails with** RpcFailed.
 */
export class SupabaseRest extends Context.Service<
  SupabaseRest,
  {
    readonly rpc: <A>(
      name: string,
      args: Record<string, unknown>,
      decode: (data: unknown) => Effect.Effect<A, Schema.SchemaError>
    ) => Effect.Effect<A, RpcFailed>
  }
>()("pause-status-webhook-handler/layers/SupabaseRest") {}

const make = (client: RpcClient) =>
  Effect.map(Config.storeTimeout, (timeoutMillis) =>
    SupabaseRest.of({
      rpc: (name, args, decode) =>
        Effect.flatMap(
          promiseWithin({
            millis: timeoutMillis,
            promise: (signal) => client.rpc(name, args).abortSignal(signal),
            onRejection: () => new RpcFailed({ detail: "no connection" }),
            onTimeout: () => new RpcFailed({ detail: `no answer within ${timeoutMillis} ms` })
          }),
          (reply) =>
            reply.error === null
              ? Effect.mapErrorEager(
                  decode(reply.data),
                  () =>
                    new RpcFailed({
                      detail: `function ${name} returned an unexpected shape: apply supabase/migrations`
                    })
                )
              : new RpcFailed({ detail: explain(name, reply) })
        )
    })
  )

/** For a larger app that has its own SupabaseClient (or PostgrestClient). */
export const fromClient = (client: SchemaClient) => Layer.effect(SupabaseRest, make(client.schema("public")))

class RpcRequest extends PostgrestBuilder<Record<string, never>, unknown> {}

// supabase-js's own request without its query builders, which are half of its PostgREST part and build no RPC.
const clientOf = (url: URL, key: string): RpcClient => {
  // Without the schema's name PostgREST takes the first one that the project exposes.
  const builder = {
    method: "POST",
    schema: "public",
    headers: { apikey: key, authorization: `Bearer ${key}` }
  } as const
  return {
    rpc: (name, body) => ({
      abortSignal: (signal) => new RpcRequest({ ...builder, url: new URL(`/rest/v1/rpc/${name}`, url), body, signal })
    })
  }
}

/** Talks to the project's Data API with its secret key. Bundles only what supabase-js sends an RPC with. */
export const layer = Layer.effect(
  SupabaseRest,
  Effect.gen(function* () {
    const url = yield* Config.supabaseUrl
    const [key] = yield* Config.supabaseSecretKeys
    return yield* make(clientOf(url, key === undefined ? "" : Redacted.value(key)))
  })
)
