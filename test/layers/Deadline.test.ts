import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { promiseWithin } from "../../src/layers/Deadline.ts"
import { countingClock, throughTime } from "../support/layers.ts"

/** Waits half a second, or as long as it is told, for a promise, and remembers the signal that it was given. */
const waitFor = <A>(promise: (signal: AbortSignal) => PromiseLike<A>, millis = 500) => {
  const signals: Array<AbortSignal> = []
  const wait = promiseWithin({
    millis,
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
  it.effect("returns what the promise returns, and aborts nothing", () =>
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

  it.effect("fails at the deadline and aborts, even in an uninterruptible region", () =>
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

  it.effect("ends each of several waits at its own deadline, whichever started first", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clockWith(Effect.succeed)
      const ends: Array<readonly [number, number]> = []
      for (const millis of [500, 200, 2_000, 700]) {
        const wait = Effect.ignore(waitFor(never, millis).wait)
        const ended = Effect.sync(() => ends.push([millis, clock.currentTimeMillisUnsafe()]))
        yield* Effect.forkChild(Effect.andThen(wait, ended), { startImmediately: true })
      }
      yield* TestClock.adjust("100 millis")
      yield* Effect.forkChild(Effect.ignore(waitFor(never, 50).wait), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(ends, [
        [200, 200],
        [500, 500],
        [700, 700],
        [2_000, 2_000]
      ])
    })
  )

  it.effect("keeps its deadline while the time of day is set back", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clockWith(Effect.succeed)
      const backwards: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeMillisUnsafe: () => -clock.currentTimeMillisUnsafe()
      })
      const wait = Effect.provideService(Effect.flip(waitFor(never).wait), Clock.Clock, backwards)
      const fiber = yield* Effect.forkChild(wait, { startImmediately: true })
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "late")
    })
  )

  it.effect("sets no timer while an earlier wait's is running, and one for an earlier deadline", () =>
    Effect.gen(function* () {
      const { clock, sleeps } = yield* countingClock
      const waitOf = (millis: number) =>
        Effect.provideService(waitFor(() => Promise.resolve(42), millis).wait, Clock.Clock, clock)
      for (const millis of [500, 500, 900, 300, 500]) yield* waitOf(millis)
      assert.deepStrictEqual(sleeps, [500, 300])
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(sleeps, [500, 300])
      yield* waitOf(900)
      assert.deepStrictEqual(sleeps, [500, 300, 900])
    })
  )
})
