import { assert, describe, it } from "@effect/vitest"
import { createClient } from "@supabase/supabase-js"
import { PostgrestClient } from "@supabase/postgrest-js"
import { Effect, Layer, Schema } from "effect"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { answered, config, rpcClient, throughTime } from "../support/layers.ts"

const decode = Schema.decodeUnknownEffect(Schema.Struct({ answer: Schema.Int }))
const settings = { STORE_TIMEOUT_MS: "500" }
const ask = (rest: SupabaseRest.SupabaseRest["Service"]) => rest.rpc("outbox_claim", { event: {} }, decode)

const built = (environment: Readonly<Record<string, string>>) =>
  SupabaseRest.SupabaseRest.pipe(
    Effect.provide(SupabaseRest.layer),
    Effect.provide(config(environment)),
    Effect.match({ onSuccess: () => "built", onFailure: (error) => error.key })
  )

describe("SupabaseRest", () => {
  it.effect("returns a function's decoded answer", () =>
    Effect.gen(function* () {
      const { calls, client } = rpcClient(answered({ answer: 42, more: true }))
      const answer = yield* SupabaseRest.SupabaseRest.use(ask).pipe(Effect.provide(SupabaseRest.fromClient(client)))
      assert.deepStrictEqual(answer, { answer: 42 })
      assert.deepStrictEqual(
        calls.map(({ args, name }) => [name, args]),
        [["outbox_claim", { event: {} }]]
      )
    })
  )

  it.effect("a call without an answer ends at the deadline and is aborted, even in an uninterruptible region", () =>
    Effect.gen(function* () {
      const { calls, client } = rpcClient("hangs")
      const error = yield* SupabaseRest.SupabaseRest.use(ask).pipe(
        Effect.uninterruptible,
        Effect.provide(SupabaseRest.fromClient(client)),
        Effect.provide(config(settings)),
        Effect.flip,
        throughTime
      )
      assert.strictEqual(error._tag === "RpcFailed" && error.detail, "no answer within 500 ms")
      assert.deepStrictEqual(
        calls.map(({ signal }) => signal.aborted),
        [true]
      )
    })
  )

  it.effect("names the schema public, whatever schema the Data API serves first", () =>
    Effect.gen(function* () {
      const profiles: Array<string | null> = []
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const { fetch } = globalThis
          globalThis.fetch = (_, init) => {
            profiles.push(new Headers(init?.headers).get("content-profile"))
            return Promise.resolve(Response.json({ answer: 42 }))
          }
          return fetch
        }),
        (fetch) => Effect.sync(() => (globalThis.fetch = fetch))
      )
      const url = "http://127.0.0.1:54321"
      const layers = [
        Layer.provide(SupabaseRest.layer, config({ SUPABASE_URL: url, SUPABASE_SERVICE_ROLE_KEY: "eyJ.legacy" })),
        SupabaseRest.fromClient(createClient(url, "eyJ.legacy", { db: { schema: "api" } })),
        SupabaseRest.fromClient(new PostgrestClient(url))
      ]
      for (const layer of layers) yield* Effect.provide(SupabaseRest.SupabaseRest.use(ask), layer)
      assert.deepStrictEqual(profiles, ["public", "public", "public"])
    })
  )

  it.effect("its own layer needs the project's URL and secret key, and says so", () =>
    Effect.gen(function* () {
      const url = { SUPABASE_URL: "http://127.0.0.1:54321" }
      assert.strictEqual(yield* built({}), "SUPABASE_URL")
      assert.strictEqual(yield* built(url), "SUPABASE_SECRET_KEYS")
      assert.strictEqual(yield* built({ ...url, SUPABASE_SERVICE_ROLE_KEY: "eyJ.legacy" }), "built")
    })
  )
})
