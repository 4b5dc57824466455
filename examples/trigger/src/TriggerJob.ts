import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EventId } from "pause-status-webhook-handler/topic"
import { ProjectKey } from "pause-status-webhook-handler/supabase"
import { trigger } from "./TriggerDev.ts"

/** The task that handles changes of a table. */
export const jobs: Readonly<Record<string, string>> = { "public.orders": "process-order" }

/** A Supabase database webhook: stock, or as the outbox sends it. */
const DatabasePayload = Schema.Struct({
  type: Schema.Literals(["INSERT", "UPDATE"]),
  schema: Schema.String,
  table: Schema.String,
  record: Schema.Struct({
    id: Schema.Union([Schema.NonEmptyString, Schema.Int]),
    created_at: Schema.optionalKey(Schema.String),
    updated_at: Schema.optionalKey(Schema.String)
  }),
  event_id: Schema.optionalKey(EventId),
  timestamp: Schema.optionalKey(Schema.String)
})
type DatabasePayload = typeof DatabasePayload.Type

class BadRequest extends Data.TaggedError("BadRequest")<{ readonly detail: string }> {}

const decode = Schema.decodeUnknownEffect(DatabasePayload)
const hexOf = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")

/** The event id. A stock webhook has none, so its id is a digest of the raw text that distinguishes its events. */
const keyOf = Effect.fnUntraced(function* ({ event_id, record, schema, table, timestamp, type }: DatabasePayload) {
  if (event_id !== undefined) return event_id.toLowerCase()
  const time = timestamp ?? record.updated_at ?? record.created_at
  if (time === undefined) return yield* new BadRequest({ detail: "Send event_id, timestamp or record.updated_at" })
  const identity = new TextEncoder().encode(`${schema}.${table} ${record.id} ${type} ${time}`)
  return hexOf(new Uint8Array(yield* Effect.promise(() => crypto.subtle.digest("SHA-256", identity))))
})

const reply = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Response =>
  Response.json(body, { status, headers })

const order = Effect.fnUntraced(function* (request: Request) {
  const projectKey = yield* ProjectKey
  yield* projectKey.check(request.headers)
  const json = yield* Effect.tryPromise({
    try: (): Promise<unknown> => request.json(),
    catch: () => new BadRequest({ detail: "The body is not JSON" })
  })
  const payload = yield* Effect.mapError(decode(json), ({ message }) => new BadRequest({ detail: message }))
  const table = `${payload.schema}.${payload.table}`
  const task = jobs[table]
  if (task === undefined) return yield* new BadRequest({ detail: `No task handles changes of ${table}` })
  const key = yield* keyOf(payload)
  // The whole payload, with the id that is the key of the task's steps.
  return yield* trigger({
    task,
    payload: Object.assign({}, json, { event_id: key }),
    idempotencyKey: key,
    concurrencyKey: String(payload.record.id)
  })
})

const toReply = (error: BadRequest | { readonly _tag: string; readonly message: string }): Response => {
  if (error instanceof BadRequest) return reply(400, { success: false, error: error.detail })
  if (error._tag === "CredentialsRejected")
    return reply(401, { success: false, error: "Send the project's secret key" })
  const retryable = !("retryable" in error && error.retryable === false)
  return reply(error._tag === "Misconfigured" ? 503 : 502, { success: false, error: error.message, retryable })
}

/** `POST` a database payload with the project's key. The reply is `{ success, run_id }`, one run per event. */
export const respond = (request: Request): Effect.Effect<Response, never, ProjectKey> =>
  request.method === "POST"
    ? Effect.map(Effect.result(order(request)), (result) =>
        Result.isSuccess(result) ? reply(200, { success: true, run_id: result.success }) : toReply(result.failure)
      )
    : Effect.succeed(reply(405, { success: false, error: "This path answers POST" }, { allow: "POST" }))
