import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"
import { callsOverFetch, type Caller, failureOf, notifier, status } from "./OrchestratorClientContract.ts"

const caller: Caller = {
  name: "OrchestratorClientHttp",
  layer: OrchestratorClientHttp.layer,
  settings: {
    SUPABASE_URL: "https://abcdefgh.supabase.co",
    SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}'
  },
  accepted: { status: 200, body: '{"notified":2,"notificationIds":["a"]}' },
  receipt: { notified: 2, notificationIds: ["a"] },
  refusals: [400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 301, 302, 307, 308],
  passing: [408, 425, 429, 500, 502, 503, 504, 546],
  waitUntil: (second) => ({ "retry-after": String(second) }),
  senseless: ["soon", "", "-5", "1.5", "Thu, 01 Jan 2026 00:00:00 GMT"].map((text) => ({ "retry-after": text })),
  noReceipts: ["", "accepted", "null", "[]", '"id"', "42"]
}
const notify = notifier(caller)
const { accepted, receipt } = caller

callsOverFetch(caller)

describe("OrchestratorClientHttp", () => {
  it.effect("posts the event as JSON under its id as the key, and returns the receipt", () =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([accepted])
      assert.deepStrictEqual(result, Result.succeed(receipt))
      assert.lengthOf(calls, 1)
      const call = calls[0] ?? assert.fail("no call")
      assert.strictEqual(call.url, "https://abcdefgh.supabase.co/functions/v1/pause-notification-orchestrator")
      assert.strictEqual(call.method, "POST")
      assert.strictEqual(call.headers.get("content-type"), "application/json")
      assert.strictEqual(call.headers.get("idempotency-key"), eventId)
      assert.deepStrictEqual(Schema.decodeUnknownSync(Schema.fromJsonString(PauseEvent))(call.body), pauseEvent)
    })
  )

  it.effect("retries under the same key", () =>
    Effect.gen(function* () {
      const { calls } = yield* notify([status(503), status(503), accepted])
      assert.deepStrictEqual(
        calls.map(({ headers }) => headers.get("idempotency-key")),
        [eventId, eventId, eventId]
      )
    })
  )

  it.effect.each([
    { "retry-after": "2" },
    { "retry-after": "Thu, 01 Jan 1970 00:00:02 GMT" },
    { "retry-after": "Thu, 01 Jan 1970 00:00:02 +0000" }
  ])("waits as long as asked, within the budget: %j", (headers) =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(503, headers), accepted])
      assert.deepStrictEqual(result, Result.succeed(receipt))
      assert.isAtLeast(calls[1]?.at ?? 0, 2_000)
    })
  )

  it.effect.each([
    { "retry-after": "5", seconds: 5 },
    { "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", seconds: 60 }
  ])("gives up at once if asked to wait beyond the budget, and passes the time on: %j", ({ seconds, ...headers }) =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(429, headers), accepted])
      const error = failureOf(result)
      assert.lengthOf(calls, 1)
      assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.retryAfterSeconds, seconds)
    })
  )
})
