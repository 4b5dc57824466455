import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

const ok: CircuitBreaker.Verdict = { failed: false }
const failed: CircuitBreaker.Verdict = { failed: true }

/** A breaker that opens after three failures for ten seconds, and the calls that it let through. */
const breaker = () => {
  const circuit = CircuitBreaker.make({ failures: 3, openMillis: 10_000 })
  const calls: Array<CircuitBreaker.Verdict> = []
  const judged = (verdict: Effect.Effect<CircuitBreaker.Verdict>) =>
    Effect.result(circuit.protect(verdict, (value) => value)).pipe(
      Effect.map((result) => (Result.isSuccess(result) ? "called" : result.failure.retryAfterSeconds))
    )
  /** How the breaker treats a call that ends with a verdict: `called`, or the seconds until one may be. */
  const call = (verdict: CircuitBreaker.Verdict) => judged(Effect.sync(() => (calls.push(verdict), verdict)))
  const callAll = (...verdicts: ReadonlyArray<CircuitBreaker.Verdict>) => Effect.forEach(verdicts, call)
  return { call, callAll, calls, judged }
}

describe("CircuitBreaker", () => {
  it.effect("opens after a number of failures in a row, and then makes no calls", () =>
    Effect.gen(function* () {
      const { callAll, calls } = breaker()
      assert.deepStrictEqual(yield* callAll(failed, failed, failed, ok, ok), ["called", "called", "called", 10, 10])
      assert.lengthOf(calls, 3)
    })
  )

  it.effect("a success in between resets the count", () =>
    Effect.gen(function* () {
      const { callAll } = breaker()
      const verdicts = [failed, failed, ok, failed, failed, ok, failed, failed, failed]
      assert.deepStrictEqual(
        yield* callAll(...verdicts),
        verdicts.map(() => "called")
      )
      assert.deepStrictEqual(yield* callAll(ok), [10])
    })
  )

  it.effect("says how long it stays open, in whole seconds", () =>
    Effect.gen(function* () {
      const { call, callAll } = breaker()
      yield* callAll(failed, failed, failed)
      yield* TestClock.adjust(2_500)
      assert.strictEqual(yield* call(ok), 8)
      yield* TestClock.adjust(7_499)
      assert.strictEqual(yield* call(ok), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* call(ok), "called")
    })
  )

  it.effect("after the pause one call probes, and the others wait for its result", () =>
    Effect.gen(function* () {
      const { call, callAll, judged } = breaker()
      yield* callAll(failed, failed, failed)
      yield* TestClock.adjust("10 seconds")
      const end = yield* Deferred.make<CircuitBreaker.Verdict>()
      const probe = yield* Effect.forkChild(judged(Deferred.await(end)), { startImmediately: true })
      assert.deepStrictEqual(yield* callAll(ok, ok), [10, 10])
      yield* Deferred.succeed(end, ok)
      assert.strictEqual(yield* Fiber.join(probe), "called")
      assert.strictEqual(yield* call(ok), "called")
    })
  )

  it.effect("a probe that succeeds closes it, with all failures forgotten", () =>
    Effect.gen(function* () {
      const { callAll } = breaker()
      yield* callAll(failed, failed, failed)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* callAll(ok, failed, failed, ok), ["called", "called", "called", "called"])
    })
  )

  it.effect("a probe that fails opens it again at once, for another pause", () =>
    Effect.gen(function* () {
      const { call, callAll } = breaker()
      yield* callAll(failed, failed, failed)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* callAll(failed, ok), ["called", 10])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* call(ok), "called")
    })
  )

  it.effect("a longer requested pause is granted, and a shorter one is not", () =>
    Effect.gen(function* () {
      const longer = breaker()
      yield* longer.callAll(failed, failed, { failed: true, retryAfterSeconds: 60 })
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* longer.call(ok), 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* longer.call(ok), "called")
      const shorter = breaker()
      yield* shorter.callAll(failed, failed, { failed: true, retryAfterSeconds: 1 })
      assert.strictEqual(yield* shorter.call(ok), 10)
    })
  )

  it.effect("a call that dies or is interrupted counts as failed", () =>
    Effect.gen(function* () {
      const { call, judged } = breaker()
      yield* Effect.exit(judged(Effect.die("a bug")))
      yield* Effect.exit(judged(Effect.interrupt))
      const hanging = yield* Effect.forkChild(judged(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(hanging)
      assert.strictEqual(yield* call(ok), 10)
    })
  )

  it.effect("a probe that is interrupted lets another one probe after a pause", () =>
    Effect.gen(function* () {
      const { call, callAll, judged } = breaker()
      yield* callAll(failed, failed, failed)
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(judged(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* call(ok), 10)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* call(ok), "called")
    })
  )

  it.effect("returns what the call returned", () =>
    Effect.gen(function* () {
      const circuit = CircuitBreaker.make({ failures: 1, openMillis: 1 })
      assert.strictEqual(yield* circuit.protect(Effect.succeed("a receipt"), () => failed), "a receipt")
    })
  )

  it.effect.prop(
    "calls in sequence end as a three-line model says",
    [Schema.Array(Schema.Literals(["ok", "failed", "5 seconds"])).check(Schema.isMaxLength(40))],
    ([steps]) =>
      Effect.gen(function* () {
        const { call } = breaker()
        let [now, failures, openUntil] = [0, 0, 0]
        for (const step of steps) {
          if (step === "5 seconds") {
            yield* TestClock.adjust(5_000)
            now += 5_000
            continue
          }
          const expected = now < openUntil ? (openUntil - now) / 1000 : "called"
          assert.strictEqual(yield* call(step === "ok" ? ok : failed), expected)
          if (expected !== "called") continue
          failures = step === "ok" ? 0 : failures + 1
          if (failures >= 3) openUntil = now + 10_000
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})
