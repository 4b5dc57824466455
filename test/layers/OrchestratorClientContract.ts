import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { Misconfigured } from "../../src/layers/Config.ts"
import type { Receipt } from "../../src/schema/Receipt.ts"
import type { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { config, type FetchStep, fetchOf, notifyOne, throughTime } from "../support/layers.ts"
import { pauseEvent } from "../support/payloads.ts"

export type Settings = Readonly<Record<string, string>>

/** A layer that calls over fetch. **Shape** `waitUntil` is the header that asks to wait until then, in seconds. */
export interface Caller {
  readonly name: string
  readonly layer: Layer.Layer<OrchestratorClient, Misconfigured>
  readonly settings: Settings
  readonly accepted: FetchStep
  readonly receipt: Receipt
  readonly refusals: ReadonlyArray<number>
  readonly passing: ReadonlyArray<number>
  readonly waitUntil: (second: number) => Settings
  readonly senseless: ReadonlyArray<Settings>
  readonly noReceipts: ReadonlyArray<string>
}

export const status = (code: number, headers: Settings = {}): FetchStep => ({ status: code, headers })

export const failureOf = <A, E>(result: Result.Result<A, E>): E =>
  Result.isFailure(result) ? result.failure : assert.fail("it was accepted")

/** Hands one event over, the way notifyOnce does: uninterruptibly, while the clock moves on. */
export const notifier = ({ layer, settings: base }: Pick<Caller, "layer" | "settings">) =>
  Effect.fnUntraced(function* (steps: ReadonlyArray<FetchStep>, settings: Settings = {}, event = pauseEvent) {
    const server = fetchOf(...steps)
    const program = Effect.uninterruptible(notifyOne(event))
    const result = yield* throughTime(
      program.pipe(
        Effect.provide(layer),
        Effect.provide([server.layer, config({ ...base, ...settings })]),
        Effect.result
      )
    )
    return { calls: server.calls, result }
  })

/** What every OrchestratorClient that calls over fetch does. */
export const callsOverFetch = (caller: Caller) => {
  const { accepted, receipt } = caller
  const notify = notifier(caller)

  describe(`${caller.name}, which uses fetch,`, () => {
    it.effect("retries a failing orchestrator until it accepts, under the same key", () =>
      Effect.gen(function* () {
        const { calls, result } = yield* notify([status(503), status(503), accepted])
        assert.deepStrictEqual(result, Result.succeed(receipt))
        assert.lengthOf(calls, 3)
        assert.strictEqual(new Set(calls.map(({ body }) => body)).size, 1)
      })
    )

    it.effect.each(caller.refusals)("a %i is a refusal: one call, no other", (code) =>
      Effect.gen(function* () {
        const { calls, result } = yield* notify([status(code, { location: "https://elsewhere.test/" }), accepted])
        const error = failureOf(result)
        assert.strictEqual(error._tag, "OrchestratorRefused")
        assert.strictEqual(error._tag === "OrchestratorRefused" && error.status, code)
        assert.lengthOf(calls, 1)
        assert.strictEqual(calls[0]?.redirect, "manual")
      })
    )

    it.effect.each(caller.passing)("a %i is worth a retry", (code) =>
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

    it.effect("a failing connection is retried, and finally reported", () =>
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

    it.effect("waits as long as asked, within the budget", () =>
      Effect.gen(function* () {
        const { calls, result } = yield* notify([status(503, caller.waitUntil(2)), accepted])
        assert.deepStrictEqual(result, Result.succeed(receipt))
        assert.isAtLeast(calls[1]?.at ?? 0, 2_000)
      })
    )

    it.effect("gives up at once if asked to wait beyond the budget, and passes the time on", () =>
      Effect.gen(function* () {
        const { calls, result } = yield* notify([status(429, caller.waitUntil(60)), accepted])
        const error = failureOf(result)
        assert.lengthOf(calls, 1)
        assert.strictEqual(error._tag === "OrchestratorUnavailable" && error.retryAfterSeconds, 60)
      })
    )

    it.effect.each(caller.senseless)("%j does not prevent a retry", (headers) =>
      Effect.gen(function* () {
        yield* TestClock.setTime(1_790_000_000_000)
        const { result } = yield* notify([status(503, headers), accepted])
        assert.deepStrictEqual(result, Result.succeed(receipt))
      })
    )

    it.effect.each(caller.noReceipts)("a 200 with the body %j is not a receipt, and worth a retry", (body) =>
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
}
