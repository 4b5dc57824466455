import { assert, describe, it } from "@effect/vitest"
import { figuresOf, percentile } from "../../console/model/figures.ts"
import { anEvent } from "../support/fakeProject.ts"

const now = Date.parse("2026-11-22T09:30:30.000Z")
const settled = (secondsAgo: number, tookMs: number) => {
  const completed = now - secondsAgo * 1_000
  const iso = (at: number) => new Date(at).toISOString().replace("Z", "000Z")
  return anEvent({ createdAt: iso(completed - tookMs), completedAt: iso(completed) })
}

describe("the figures of the last 15 minutes", () => {
  it("count by the minute in which an event was completed", () => {
    const { count, minutes } = figuresOf([settled(5, 20), settled(29, 20), settled(31, 20), settled(899, 20)], now)
    assert.deepStrictEqual(
      minutes.map((minute) => minute.count),
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    )
    assert.strictEqual(count, 3)
  })

  it("leave out what is older, in the future, or not completed", () => {
    const events = [
      settled(960, 20),
      settled(-60, 20),
      anEvent({ completedAt: null, createdAt: "2026-11-22T09:30:20.000000Z" })
    ]
    assert.strictEqual(figuresOf(events, now).count, 0)
  })

  it("have p50 and p99, in total and per minute", () => {
    const events = Array.from({ length: 100 }, (_, index) => settled(index < 50 ? 5 : 65, index + 1))
    const { minutes, p50, p99 } = figuresOf(events, now)
    assert.deepStrictEqual([p50, p99], [50, 99])
    assert.deepStrictEqual(
      minutes.slice(-2).map((minute) => [minute.p50, minute.p99]),
      [
        [75, 100],
        [25, 50]
      ]
    )
  })

  it("are 0 if there is nothing", () => {
    assert.strictEqual(percentile([], 0.5), 0)
    assert.strictEqual(percentile([7], 0.99), 7)
  })
})
