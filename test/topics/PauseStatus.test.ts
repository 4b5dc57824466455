import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EventTime, MentorId } from "../../src/schema/Identifiers.ts"
import type { NoChangeReason } from "../../src/schema/Transition.ts"
import { extractPauseEvent, validatePayload } from "../../src/topics/PauseStatus.ts"
import { dashboardUpdate, eventId, mentorId, outboxPause, pauseEvent } from "../support/payloads.ts"

const extract = (input: unknown, webhookId?: string) =>
  Effect.flatMap(validatePayload(input), (payload) => extractPauseEvent(payload, webhookId))

const eventOf = Effect.fnUntraced(function* (input: unknown, webhookId?: string) {
  const extracted = yield* extract(input, webhookId)
  return extracted.transition === "NO_CHANGE" ? assert.fail("no change") : extracted
})

const idOf = (input: unknown, webhookId?: string) => Effect.map(eventOf(input, webhookId), (event) => event.eventId)

const pauseOf = (id: string, updatedAt: string) => ({
  ...dashboardUpdate("active", "paused"),
  record: { id, status: "paused", updated_at: updatedAt }
})
const noChange = (reason: NoChangeReason) => ({ transition: "NO_CHANGE" as const, mentorId, reason })

describe("extractPauseEvent", () => {
  it.effect("the outbox's event has the signed webhook-id, the version and the raw time", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* extract(outboxPause, eventId), pauseEvent)
    })
  )

  it.effect("the way back is a RESUME", () =>
    Effect.gen(function* () {
      const event = yield* eventOf(dashboardUpdate("paused", "active"))
      assert.strictEqual(event.transition, "RESUME")
      assert.strictEqual(event.oldStatus, "paused")
      assert.strictEqual(event.newStatus, "active")
    })
  )

  it.effect("an insert, an equal status and an unknown one are NO_CHANGE, each with its reason", () =>
    Effect.gen(function* () {
      const { old_record: _, ...insert } = { ...outboxPause, type: "INSERT" }
      assert.deepStrictEqual(yield* extract(insert), noChange("inserted"))
      assert.deepStrictEqual(yield* extract(dashboardUpdate("paused", "paused")), noChange("unchanged"))
      assert.deepStrictEqual(yield* extract(dashboardUpdate("active", "retired")), noChange("unrecognised"))
    })
  )

  it.effect("NO_CHANGE needs no time", () =>
    Effect.gen(function* () {
      const extracted = yield* extract(dashboardUpdate("paused", "paused", null))
      assert.strictEqual(extracted.transition, "NO_CHANGE")
    })
  )

  it.effect("an event_id that is not the signed webhook-id is refused at its path", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(extract(outboxPause, "6b1f0c52-7c1d-4c8e-b6a5-0f2d9c3e4b1a"))
      assert.strictEqual(error._tag, "InvalidPayload")
      assert.deepStrictEqual(error._tag === "InvalidPayload" && error.issues.map(({ path }) => path), [["event_id"]])
    })
  )

  it.effect("only an event with an event_id and a version is the outbox's", () =>
    Effect.gen(function* () {
      const { version: _, ...unversioned } = outboxPause
      const { event_id: __, ...unsigned } = outboxPause
      assert.strictEqual((yield* eventOf(unversioned, eventId)).source, "webhook")
      assert.strictEqual((yield* eventOf(unsigned, eventId)).source, "webhook")
      assert.strictEqual((yield* eventOf(outboxPause)).source, "outbox")
    })
  )

  it.effect("ids are the same in any case", () =>
    Effect.gen(function* () {
      const upper = {
        ...outboxPause,
        record: { id: mentorId.toUpperCase(), status: "paused" },
        event_id: eventId.toUpperCase()
      }
      assert.deepStrictEqual(yield* extract(upper, eventId), pauseEvent)
      assert.deepStrictEqual(yield* extract(outboxPause, eventId.toUpperCase()), pauseEvent)
    })
  )

  it.effect("a mentor id that is not a uuid stays unchanged", () =>
    Effect.gen(function* () {
      const named = { ...outboxPause, record: { id: "Ada", status: "paused" } }
      assert.strictEqual((yield* eventOf(named)).mentorId, MentorId.make("Ada"))
    })
  )

  it.effect("the outbox's own key is kept unchanged, whatever it looks like", () =>
    Effect.gen(function* () {
      const id = mentorId.toUpperCase()
      const upper = { ...outboxPause, topic: "pause-status", record: { id, status: "paused" } }
      assert.strictEqual((yield* eventOf(upper)).mentorId, MentorId.make(id))
    })
  )

  it.effect("a payload of another table for this topic is read like any other", () =>
    Effect.gen(function* () {
      const other = { ...outboxPause, topic: "pause-status", schema: "crm", table: "people" }
      assert.deepStrictEqual(yield* extract(other, eventId), pauseEvent)
    })
  )

  it.effect("a stock webhook with a signed id is identified by that id", () =>
    Effect.gen(function* () {
      const change = dashboardUpdate("active", "paused")
      const later = dashboardUpdate("active", "paused", "2026-11-22T10:00:00+00:00")
      assert.strictEqual(yield* idOf(change, "msg_1"), yield* idOf(later, "msg_1"))
      assert.notStrictEqual(yield* idOf(change, "msg_1"), yield* idOf(change, "msg_2"))
      assert.strictEqual((yield* eventOf(change, "msg_1")).source, "webhook")
    })
  )

  it.effect("a stock webhook is identified by mentor, time and transition, and by each of them", () =>
    Effect.gen(function* () {
      const change = dashboardUpdate("active", "paused")
      const same = { ...change, record: { ...change.record, id: mentorId.toUpperCase(), bio: "changed" } }
      const another = { ...change, record: { ...change.record, id: eventId } }
      const back = dashboardUpdate("paused", "active")
      assert.strictEqual(yield* idOf(same), yield* idOf(change))
      assert.notStrictEqual(yield* idOf(another), yield* idOf(change))
      assert.notStrictEqual(yield* idOf(back), yield* idOf(change))
    })
  )

  it.effect("two changes within one millisecond are two events", () =>
    Effect.gen(function* () {
      const first = dashboardUpdate("active", "paused", "2026-11-22T09:30:00.123456+00:00")
      const second = dashboardUpdate("active", "paused", "2026-11-22T09:30:00.123457+00:00")
      assert.notStrictEqual(yield* idOf(first), yield* idOf(second))
    })
  )

  it.effect("the sender's timestamp comes before updated_at", () =>
    Effect.gen(function* () {
      const change = { ...dashboardUpdate("active", "paused"), timestamp: "2026-11-22T09:30:00.5Z" }
      assert.strictEqual((yield* eventOf(change)).occurredAt, EventTime.make("2026-11-22T09:30:00.5Z"))
    })
  )

  it.each([undefined, null, "", "yesterday", "2026-11-22", 1_700_000_000, { at: 1 }])(
    "without a timestamp and with an updated_at of %j there is no event time, and the error says what to do",
    (updatedAt) =>
      Effect.runPromise(
        Effect.gen(function* () {
          const change = dashboardUpdate("active", "paused")
          const error = yield* Effect.flip(extract({ ...change, record: { ...change.record, updated_at: updatedAt } }))
          assert.strictEqual(error._tag, "NoEventTime")
          assert.include(error.message, "updated_at")
        })
      )
  )

  it.effect.prop(
    "the same change always has the same id, and another time another one",
    [MentorId, EventTime, EventTime],
    ([id, time, otherTime]) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* idOf(pauseOf(id, time)), yield* idOf(pauseOf(id, time)))
        assert.strictEqual(
          (yield* idOf(pauseOf(id, time))) === (yield* idOf(pauseOf(id, otherTime))),
          time === otherTime
        )
      })
  )
})
