import { assert, describe, it } from "@effect/vitest"
import { ago, changeOf, duration, millisBetween, plural, short, stateOf } from "../../console/model/words.ts"
import { aDeadLetter, anEvent } from "../support/fakeProject.ts"

describe("a duration", () => {
  it.each([
    [0, "0 ms"],
    [0.417, "0.4 ms"],
    [9.96, "10 ms"],
    [31.2, "31 ms"],
    [999.4, "999 ms"],
    [999.6, "1 s"],
    [2_400, "2.4 s"],
    [80_000, "80 s"],
    [180_000, "3 min"],
    [5_400_000, "1.5 h"],
    [172_800_000, "2 d"]
  ])("of %d milliseconds is %s", (millis, words) => {
    assert.strictEqual(duration(millis), words)
  })

  it("between two stored times counts microseconds, and is never negative", () => {
    const [early, late] = ["2026-11-22T09:30:00.999999Z", "2026-11-22T09:30:01.000250Z"]
    assert.strictEqual(millisBetween(early, late), 0.251)
    assert.strictEqual(millisBetween(late, early), 0)
  })

  it("since a time has no fractions, and with a clock that is behind, it is just now", () => {
    const now = Date.parse("2026-11-22T09:30:02.400Z")
    assert.strictEqual(ago("2026-11-22T09:30:00.000000Z", now), "2 s ago")
    assert.strictEqual(ago("2026-11-22T09:30:09.000000Z", now), "just now")
  })
})

describe("an event in words", () => {
  it("is its transition, or the columns that changed", () => {
    assert.strictEqual(changeOf({ ...anEvent(), transition: "PAUSE" }), "PAUSE")
    const changed = anEvent({ record: { stage: "won", owner: "1" }, oldRecord: { stage: "open", owner: "1" } })
    assert.strictEqual(changeOf(changed), "stage: won")
    assert.strictEqual(changeOf(anEvent({ type: "INSERT", oldRecord: null })), "INSERT")
  })

  it("that reached nobody is not simply completed, until a person acknowledges it", () => {
    assert.strictEqual(stateOf(anEvent()), "completed")
    assert.strictEqual(stateOf(aDeadLetter("away")), "dead letter")
    const nobody = anEvent({ reachedNobody: true, receipt: { notified: 0 } })
    assert.strictEqual(stateOf(nobody), "reached nobody")
    assert.strictEqual(stateOf({ ...nobody, receipt: { notified: 0, acknowledged: true } }), "completed")
  })

  it("names a short key in full, and shortens a long one", () => {
    assert.strictEqual(short("42"), "42")
    assert.strictEqual(short("3a2d6064-1111-4222-8333-444444444444"), "3a2d6064")
    assert.strictEqual(plural(1, "person", "people"), "1 person")
    assert.strictEqual(plural(1_200, "event"), "1,200 events")
  })
})
