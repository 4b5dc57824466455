import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import type { StoredEvent } from "../../src/schema/Events.ts"
import { pauseStatusEvents } from "../../src/topics/PauseStatusEvents.ts"
import { seedMemory, seedOf } from "../support/events.ts"

const { state } = EventStoreMemory.make()
const seed = seedOf()
Effect.runSync(seedMemory(state)(seed))
const wordsOf = (changes: Partial<StoredEvent>) =>
  pauseStatusEvents.wordsOf({ ...(state.events.get(seed.eventId) ?? assert.fail("no event")), ...changes })
const row = (status: unknown) => ({ id: seed.mentorId, status })

describe("a pause-status event", () => {
  it.each([
    ["active", "paused", "PAUSE"],
    ["paused", "active", "RESUME"]
  ] as const)("from %s to %s is a %s of the mentor", (oldStatus, newStatus, transition) => {
    assert.deepStrictEqual(wordsOf({ oldRecord: row(oldStatus), record: row(newStatus) }), {
      mentorId: seed.mentorId,
      transition,
      oldStatus,
      newStatus
    })
  })

  it("has the mentor's key, whatever its type in the table", () => {
    assert.strictEqual(wordsOf({ key: "42" }).mentorId, "42")
  })

  it.each([
    ["an insert", { oldRecord: null }],
    ["of other statuses", { oldRecord: row("active"), record: row("retired") }],
    ["without a status", { record: {} }],
    ["with a status that is no text", { record: row(1) }]
  ])("that is %s has no words", (_, changes) => {
    assert.deepStrictEqual(wordsOf(changes), {})
  })

  it("is found by its transition in the topic's words", () => {
    const { transitions } = pauseStatusEvents
    assert.strictEqual(wordsOf({}).newStatus, transitions?.PAUSE["status"])
    assert.strictEqual(wordsOf({}).oldStatus, transitions?.RESUME["status"])
  })
})
