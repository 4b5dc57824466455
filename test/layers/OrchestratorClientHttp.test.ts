import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { config, type FetchStep, fetchOf, notifyOne, throughTime } from "../support/layers.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"

type Settings = Readonly<Record<string, string>>

const project = {
  SUPABASE_URL: "https://abcdefgh.supabase.co",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}'
}
const accepted: FetchStep = { status: 200, body: '{"notified":2,"notificationIds":["a"]}' }
const receipt = { notified: 2, notificationIds: ["a"] }
const status = (code: number, headers: Settings = {}): FetchStep => ({ status: code, headers })

/** Hands one event over, the way notifyOnce does: uninterruptibly, while the clock moves on. */
const notify = Effect.fnUntraced(function* (steps: ReadonlyArray<FetchStep>, settings: Settings = {}) {
  const server = fetchOf(...steps)
  const program = Effect.uninterruptible(notifyOne(pauseEvent))
  const result = yield* throughTime(
    program.pipe(
      Effect.provide(OrchestratorClientHttp.layer),
      Effect.provide([server.layer, config({ ...project, ...settings })]),
      Effect.result
    )
  )
  return { calls: server.calls, result }
})

const failureOf = <A, E>(result: Result.Result<A, E>): E =>
  Result.isFailure(result) ? result.failure : assert.fail("it was accepted")

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

  it.effect("tries a failing orchestrator again until it accepts, under the same key", () =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(503), status(503), accepted])
      assert.deepStrictEqual(result, Result.succeed(receipt))
      assert.deepStrictEqual(
        calls.map(({ headers }) => headers.get("idempotency-key")),
        [eventId, eventId, eventId]
      )
      assert.strictEqual(new Set(calls.map(({ body }) => body)).size, 1)
    })
  )

  it.effect.each([400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451, 301, 302, 307, 308])(
    "a %i is a refusal: one call, no other",
    (code) =>
      Effect.gen(function* () {
        const { calls, result } = yield* notify([status(code, { location: "https://elsewhere.test/" }), accepted])
        const error = failureOf(result)
        assert.strictEqual(error._tag, "OrchestratorRefused")
        assert.strictEqual(error._tag === "OrchestratorRefused" && error.status, code)
        assert.lengthOf(calls, 1)
        assert.strictEqual(calls[0]?.redirect, "manual")
      })
  )

  it.effect.each([408, 425, 429, 500, 502, 503, 504, 546])("a %i is worth another try", (code) =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(code), accepted])
      assert.deepStrictEqual(result, Result.succeed(receipt))
      assert.lengthOf(calls, 2)
    })
  )

  it.effect("gives up after the configured number of tries", () =>
    Effect.gen(function* () {
      const failing = Array.from({ length: 20 }, () => status(503))
      assert.lengthOf((yield* notify(failing)).calls, 3)
      assert.lengthOf((yield* notify(failing, { ORCHESTRATOR_RETRIES: "0" })).calls, 1)
      const { calls, result } = yield* notify(failing, { ORCHESTRATOR_RETRIES: "1" })
      assert.lengthOf(calls, 2)
      const error = failureOf(result)
      assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.failure, "status")
      assert.include(error.message, "503")
    })
  )

  it.effect("waits longer before each try", () =>
    Effect.gen(function* () {
      const failing = Array.from({ length: 20 }, () => status(503))
      const settings = { ORCHESTRATOR_RETRIES: "4", ORCHESTRATOR_BUDGET_MS: "60000" }
      const { calls } = yield* notify(failing, settings)
      const pauses = calls.slice(1).map(({ at }, index) => at - (calls[index]?.at ?? 0))
      assert.lengthOf(pauses, 4)
      for (const [index, pause] of pauses.entries()) {
        assert.isAtLeast(pause, 50 * 2 ** index)
        // Half a pause of jitter above the nominal one, and the clock's step.
        assert.isAtMost(pause, 150 * 2 ** index + 50)
      }
    })
  )

  it.effect("a connection that fails is tried again, and in the end said so", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* notify(["no connection", accepted])).result, Result.succeed(receipt))
      const { calls, result } = yield* notify([])
      const error = failureOf(result)
      assert.lengthOf(calls, 3)
      assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.failure, "connection")
    })
  )

  it.effect.each(["hangs", "hangs in the body"] as const)("a call that %s is aborted at its timeout", (hangs) =>
    Effect.gen(function* () {
      const settings = { ORCHESTRATOR_TIMEOUT_MS: "500", ORCHESTRATOR_RETRIES: "1" }
      const { calls, result } = yield* notify([hangs, hangs], settings)
      const error = failureOf(result)
      assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.failure, "timeout")
      assert.lengthOf(calls, 2)
      assert.deepStrictEqual(
        calls.map(({ signal }) => signal.aborted),
        [true, true]
      )
    })
  )

  it.effect("a timeout of one call leaves time for the next", () =>
    Effect.gen(function* () {
      const { result } = yield* notify(["hangs", accepted], { ORCHESTRATOR_TIMEOUT_MS: "500" })
      assert.deepStrictEqual(result, Result.succeed(receipt))
    })
  )

  it.effect.each([
    { "retry-after": "2" },
    { "retry-after": "Thu, 01 Jan 1970 00:00:02 GMT" },
    { "retry-after": "Thu, 01 Jan 1970 00:00:02 +0000" }
  ])("waits as long as it is asked to within the budget: %j", (headers) =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(503, headers), accepted])
      assert.deepStrictEqual(result, Result.succeed(receipt))
      assert.isAtLeast(calls[1]?.at ?? 0, 2_000)
    })
  )

  it.effect.each([
    { "retry-after": "5", seconds: 5 },
    { "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", seconds: 60 }
  ])("gives up at once when it is asked to wait beyond the budget, and passes it on: %j", ({ seconds, ...headers }) =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([status(429, headers), accepted])
      const error = failureOf(result)
      assert.lengthOf(calls, 1)
      assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.retryAfterSeconds, seconds)
    })
  )

  it.effect.each(["soon", "", "-5", "1.5", "Thu, 01 Jan 2026 00:00:00 GMT"])(
    "a Retry-After of %j does not keep it from another try",
    (value) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_790_000_000_000)
        const { result } = yield* notify([status(503, { "retry-after": value }), accepted])
        assert.deepStrictEqual(result, Result.succeed(receipt))
      })
  )

  it.effect.each(["", "accepted", "null", "[]", '"id"', "42"])(
    "a 200 whose body is %j is no receipt, and worth another try",
    (body) =>
      Effect.gen(function* () {
        assert.deepStrictEqual((yield* notify([{ status: 200, body }, accepted])).result, Result.succeed(receipt))
        const error = failureOf((yield* notify([{ status: 200, body }], { ORCHESTRATOR_RETRIES: "0" })).result)
        assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.failure, "receipt")
        assert.strictEqual(error.message.includes("receipt"), true)
      })
  )

  it.effect.prop(
    "whatever the orchestrator does, all calls are within the budget",
    {
      steps: Schema.Array(
        Schema.Literals(["hangs", "hangs in the body", "no connection", 200, 408, 429, 500, 503, "503 in 1 s"])
      ).check(Schema.isMaxLength(12)),
      retries: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
      budget: Schema.Literals([200, 1_000, 4_000])
    },
    ({ budget, retries, steps }) =>
      Effect.gen(function* () {
        const script = steps.map((step): FetchStep => {
          if (step === "503 in 1 s") return status(503, { "retry-after": "1" })
          return typeof step === "number" ? status(step) : step
        })
        const settings = {
          ORCHESTRATOR_RETRIES: String(retries),
          ORCHESTRATOR_BUDGET_MS: String(budget),
          ORCHESTRATOR_TIMEOUT_MS: "500"
        }
        const startedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const { calls, result } = yield* notify(script, settings)
        const endedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        assert.isAtMost(calls.length, retries + 1)
        assert.isTrue(calls.every(({ at }) => at < startedAt + budget))
        // The clock moves in steps of 50.
        assert.isAtMost(endedAt, startedAt + budget + 100)
        assert.isTrue(Result.isFailure(result))
      }),
    { timeout: 30_000, arbitrary: { runs: 60 } }
  )
})
