import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { promiseWithin } from "../../src/layers/Deadline.ts"
import { throughTime } from "../support/layers.ts"

/** Waits half a second for a promise, and remembers the signal that it was given. */
const waitFor = <A>(promise: (signal: AbortSignal) => PromiseLike<A>) => {
  const signals: Array<AbortSignal> = []
  const wait = promiseWithin({
    millis: 500,
    promise: (signal) => {
      signals.push(signal)
      return promise(signal)
    },
    onRejection: () => "rejected" as const,
    onTimeout: () => "late" as const
  })
  return { wait, aborted: () => signals.map((signal) => signal.aborted) }
}

const never = () => new Promise<never>(() => {})

describe("promiseWithin", () => {
  it.effect("is what the promise is, and aborts nothing", () =>
    Effect.gen(function* () {
      const { aborted, wait } = waitFor(() => Promise.resolve(42))
      assert.strictEqual(yield* wait, 42)
      assert.deepStrictEqual(aborted(), [false])
    })
  )

  it.effect.each([
    ["rejects", () => Promise.reject(new TypeError("canary"))],
    [
      "throws at once",
      () => {
        throw new TypeError("canary")
      }
    ]
  ] as const)("fails in the caller's words when the promise %s", ([, promise]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(waitFor(promise).wait), "rejected")
    })
  )

  it.effect("fails at the deadline and aborts, also where nothing may interrupt it", () =>
    Effect.gen(function* () {
      const { aborted, wait } = waitFor(never)
      const clock = yield* Effect.clockWith(Effect.succeed)
      const startedAt = clock.currentTimeMillisUnsafe()
      assert.strictEqual(yield* throughTime(Effect.flip(Effect.uninterruptible(wait)), 500), "late")
      assert.strictEqual(clock.currentTimeMillisUnsafe() - startedAt, 500)
      assert.deepStrictEqual(aborted(), [true])
    })
  )

  it.effect("aborts when it is interrupted", () =>
    Effect.gen(function* () {
      const { aborted, wait } = waitFor(never)
      const fiber = yield* Effect.forkChild(wait, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(aborted(), [true])
    })
  )

  it.effect("is over with the promise that beat the deadline", () =>
    Effect.gen(function* () {
      const { aborted, wait } = waitFor(() => Promise.resolve(42))
      assert.strictEqual(yield* throughTime(Effect.tap(wait, Effect.sleep(2_000)), 500), 42)
      assert.deepStrictEqual(aborted(), [false])
    })
  )
})
