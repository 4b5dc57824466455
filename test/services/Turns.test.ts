import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Turns from "../../src/services/Turns.ts"

/** When each of so many calls that begin to wait now has its turn; what is left at the end was told how long to wait. */
const takeAll = Effect.fnUntraced(function* (
  turns: ReturnType<typeof Turns.make>,
  { count, latest }: { readonly count: number; readonly latest: number }
) {
  const taken: Array<number> = []
  const waits: Array<number> = []
  const one = Effect.gen(function* () {
    const wait = yield* turns.take(latest)
    if (wait > 0) waits.push(wait)
    else taken.push(yield* Turns.monotonicMillis)
  })
  const fiber = yield* Effect.forkChild(
    Effect.all(
      Array.from({ length: count }, () => one),
      { concurrency: "unbounded" }
    )
  )
  yield* TestClock.adjust("1 minute")
  yield* Fiber.join(fiber)
  return { taken, waits }
})

describe("turns", () => {
  it.effect("come as fast as the limit allows, each for one call", () =>
    Effect.gen(function* () {
      const { taken } = yield* takeAll(Turns.make(2), { count: 7, latest: 10_000 })
      assert.deepStrictEqual(taken, [0, 0, 1100, 1100, 2200, 2200, 3300])
    })
  )

  it.effect("follow another limit as soon as it is known", () =>
    Effect.gen(function* () {
      const turns = Turns.make(2)
      turns.pace(4)
      const { taken } = yield* takeAll(turns, { count: 6, latest: 10_000 })
      assert.deepStrictEqual(taken, [0, 0, 0, 0, 1100, 1100])
    })
  )

  it.effect("that come too late are not taken, and say how long they would take", () =>
    Effect.gen(function* () {
      const turns = Turns.make(2)
      const { taken, waits } = yield* takeAll(turns, { count: 6, latest: 1_500 })
      assert.deepStrictEqual(
        [taken, waits],
        [
          [0, 0, 1100, 1100],
          [2200, 2200]
        ]
      )
      assert.strictEqual(yield* turns.take(60_000), 0)
    })
  )

  it.effect("are given one by one after a limit, not all at once", () =>
    Effect.gen(function* () {
      const turns = Turns.make(2)
      turns.close(3_000)
      const { taken } = yield* takeAll(turns, { count: 5, latest: 10_000 })
      assert.deepStrictEqual(taken, [3000, 3000, 4100, 4100, 5200])
    })
  )

  it.effect("that were given before a limit was reached are given again after it", () =>
    Effect.gen(function* () {
      const turns = Turns.make(2)
      const fiber = yield* Effect.forkChild(takeAll(turns, { count: 6, latest: 10_000 }))
      yield* TestClock.adjust("500 millis")
      turns.close(2_000)
      yield* TestClock.adjust("1 minute")
      const { taken } = yield* Fiber.join(fiber)
      assert.isEmpty(taken.filter((at) => at > 0 && at < 2_000))
      for (const at of taken) assert.isAtMost(taken.filter((other) => other >= at && other < at + 1_000).length, 2)
      assert.lengthOf(taken, 6)
    })
  )

  it.effect("of whoever does not wait are there unless a limit is reached", () =>
    Effect.gen(function* () {
      const turns = Turns.make(1)
      assert.deepStrictEqual([yield* turns.take(undefined), yield* turns.take(undefined)], [0, 0])
      turns.close(1_500)
      assert.strictEqual(yield* turns.take(undefined), 1_500)
    })
  )
})
