import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, type Layer } from "effect"
import type { PagePosition, StoredEvent } from "../../src/schema/Events.ts"
import { EventId, type MentorId } from "../../src/schema/Identifiers.ts"
import { type EventSelection, EventStore } from "../../src/services/EventStore.ts"
import { newMentorId, type Seed, seedOf } from "../support/events.ts"

interface Contract {
  /** A store that may hold anything but events of these tests, which are all new. */
  readonly layer: () => Layer.Layer<EventStore, unknown>
  readonly seed: (...seeds: ReadonlyArray<Seed>) => Effect.Effect<void>
  /** Makes the topic show a mentor's events to a coordinator. */
  readonly assign: (coordinatorId: string, mentorId: MentorId) => Effect.Effect<void>
}

const tagOf = <A extends { readonly outcome: string } | void, E extends { readonly _tag: string }, R>(
  change: Effect.Effect<A, E, R>
) =>
  Effect.match(change, {
    onSuccess: (changed) => changed?.outcome ?? "erased",
    onFailure: (error) => error._tag
  })

// The events of these tests are of this topic.
const topic = "pause-status"

const idsOf = (events: ReadonlyArray<{ readonly eventId: EventId }>) => events.map(({ eventId }) => eventId)

/** Follows the pages of a list to its end, and does something between each two. */
const pagesOf = Effect.fnUntraced(function* (selection: EventSelection, between: Effect.Effect<void> = Effect.void) {
  const store = yield* EventStore
  const events: Array<StoredEvent> = []
  let cursor: PagePosition | undefined
  do {
    const page = yield* store.list({ ...selection, ...(cursor !== undefined && { cursor }) })
    events.push(...page.events)
    cursor = page.next ?? undefined
    yield* between
  } while (cursor !== undefined)
  return events
})

const states: Readonly<Record<string, Partial<Seed>>> = {
  pending: { status: "pending" },
  processing: { status: "processing" },
  completed: { status: "completed", notifiedVersion: 1 },
  unreached: { status: "completed", notified: 0, notifiedVersion: 1 },
  failed: { status: "failed" },
  superseded: { status: "failed", notifiedVersion: 2 },
  resolved: { status: "failed", resolved: true, notifiedVersion: 1 }
}

const changes: ReadonlyArray<
  readonly [state: string, redrive: string, forced: string, resolve: string, erase: string]
> = [
  ["unknown", "EventUnknown", "EventUnknown", "EventUnknown", "EventUnknown"],
  ["pending", "already_pending", "already_pending", "cancelled", "EventNotSettled"],
  ["processing", "already_pending", "already_pending", "EventInFlight", "EventNotSettled"],
  ["unreached", "redriven", "redriven", "resolved", "erased"],
  ["completed", "EventNotFailed", "EventNotFailed", "EventNotFailed", "erased"],
  ["failed", "redriven", "redriven", "resolved", "EventNotSettled"],
  ["superseded", "RedriveSuperseded", "redriven", "resolved", "EventNotSettled"],
  ["resolved", "redriven", "redriven", "already_resolved", "erased"]
]

const tried = (outcome: string) =>
  ({ redriven: "would_redrive", resolved: "would_resolve", cancelled: "would_cancel" })[outcome] ?? outcome

/** What every EventStore promises. */
export const eventStoreContract = (name: string, { assign, layer, seed }: Contract) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, EventStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  const eventIn = Effect.fnUntraced(function* (state: string) {
    const event = seedOf(states[state])
    if (state !== "unknown") yield* seed(event)
    return event.eventId
  })

  describe(`${name} keeps the contract of EventStore`, () => {
    for (const [state, redriven, forced, resolved, erased] of changes) {
      test(`of an event that is ${state}, a redrive is ${redriven}, with force ${forced}`, () =>
        Effect.gen(function* () {
          const store = yield* EventStore
          const eventId = yield* eventIn(state)
          assert.strictEqual(yield* tagOf(store.redrive(topic, eventId, { dryRun: true })), tried(redriven))
          assert.strictEqual(yield* tagOf(store.redrive(topic, eventId, { dryRun: true, force: true })), tried(forced))
          assert.strictEqual(yield* tagOf(store.redrive(topic, eventId, {})), redriven)
          const another = yield* eventIn(state)
          assert.strictEqual(yield* tagOf(store.redrive(topic, another, { force: true })), forced)
        }))

      test(`of an event that is ${state}, a resolve is ${resolved}, and an erasure ${erased}`, () =>
        Effect.gen(function* () {
          const store = yield* EventStore
          const eventId = yield* eventIn(state)
          assert.strictEqual(yield* tagOf(store.resolve(topic, eventId, { dryRun: true })), tried(resolved))
          assert.strictEqual(yield* tagOf(store.erase(topic, eventId)), erased)
          const another = yield* eventIn(state)
          assert.strictEqual(yield* tagOf(store.resolve(topic, another, { notes: "told by telephone" })), resolved)
        }))
    }

    test("a redriven event is pending, with a closed dead letter, and need not be redriven again", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const eventId = yield* eventIn("failed")
        const { event } = yield* store.redrive(topic, eventId, {})
        assert.strictEqual(event.status, "pending")
        assert.strictEqual(event.failures, 0)
        assert.strictEqual((yield* store.get(topic, eventId)).deadLetter?.resolution, "redriven")
      }))

    test("a resolved event stays failed, keeps the notes, and can be resolved twice and then erased", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const eventId = yield* eventIn("failed")
        const { event } = yield* store.resolve(topic, eventId, { notes: "told by telephone" })
        assert.strictEqual(event.status, "failed")
        const { deadLetter } = yield* store.get(topic, eventId)
        assert.strictEqual(deadLetter?.resolution, "resolved")
        assert.strictEqual(deadLetter?.notes, "told by telephone")
        assert.strictEqual(yield* tagOf(store.resolve(topic, eventId, { notes: "again" })), "already_resolved")
        assert.strictEqual((yield* store.get(topic, eventId)).deadLetter?.notes, "told by telephone")
        yield* store.erase(topic, eventId)
      }))

    test("a cancelled event is a closed dead letter with its notes, and can be erased", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const eventId = yield* eventIn("pending")
        const { event } = yield* store.resolve(topic, eventId, { notes: "a mistake" })
        assert.strictEqual(event.status, "failed")
        const { deadLetter } = yield* store.get(topic, eventId)
        assert.strictEqual(deadLetter?.reason, "cancelled")
        assert.strictEqual(deadLetter?.resolution, "resolved")
        assert.strictEqual(deadLetter?.notes, "a mistake")
        assert.strictEqual(yield* tagOf(store.resolve(topic, eventId, {})), "already_resolved")
        yield* store.erase(topic, eventId)
      }))

    test("an event that reached nobody says so, and is acknowledged when it is resolved", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const eventId = yield* eventIn("unreached")
        assert.isTrue((yield* store.get(topic, eventId)).reachedNobody)
        const { event } = yield* store.resolve(topic, eventId, { notes: "they have none" })
        assert.deepStrictEqual(event.receipt, { notified: 0, acknowledged: true, notes: "they have none" })
        assert.isTrue(event.reachedNobody)
        assert.strictEqual(yield* tagOf(store.resolve(topic, eventId, {})), "already_resolved")
        const redriven = yield* store.redrive(topic, eventId, {})
        assert.deepInclude(redriven.event, {
          status: "pending",
          receipt: null,
          completedAt: null,
          reachedNobody: false
        })
      }))

    test("a dry run changes nothing", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        for (const state of ["failed", "pending", "unreached"]) {
          const eventId = yield* eventIn(state)
          const before = yield* store.get(topic, eventId)
          yield* store.redrive(topic, eventId, { dryRun: true })
          yield* store.resolve(topic, eventId, { dryRun: true })
          assert.deepStrictEqual(yield* store.get(topic, eventId), before)
        }
      }))

    test("an erased event is unknown to all but a second erasure", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const event = seedOf()
        yield* seed(event)
        yield* store.erase(topic, event.eventId)
        yield* store.erase(topic, event.eventId)
        assert.strictEqual((yield* Effect.flip(store.get(topic, event.eventId)))._tag, "EventUnknown")
        assert.strictEqual(yield* tagOf(store.redrive(topic, event.eventId, {})), "EventUnknown")
        assert.strictEqual(yield* tagOf(store.resolve(topic, event.eventId, {})), "EventUnknown")
        assert.isEmpty(yield* pagesOf({ topic, limit: 10, key: event.mentorId }))
      }))

    test("events are listed newest first, and pages neither repeat nor skip any, even at equal times", () =>
      Effect.gen(function* () {
        const mentorId = newMentorId()
        const micros = ["000001", "000002", "000002", "000002", "000003"]
        const events = micros.map((fraction, index) =>
          seedOf({ mentorId, version: index + 1, createdAt: `2026-11-22T09:30:00.${fraction}Z` })
        )
        yield* seed(...events)
        const whole = idsOf(yield* pagesOf({ topic, limit: 100, key: mentorId }))
        assert.sameMembers(whole, idsOf(events))
        assert.strictEqual(whole[0], events[4]?.eventId)
        assert.strictEqual(whole[4], events[0]?.eventId)
        for (const limit of [1, 2, 3, 5]) {
          assert.deepStrictEqual(idsOf(yield* pagesOf({ topic, limit, key: mentorId })), whole)
        }
      }))

    test("events that are added do not shift the pages of a reader", () =>
      Effect.gen(function* () {
        const mentorId = newMentorId()
        const events = [1, 2, 3, 4].map((version) =>
          seedOf({ mentorId, version, createdAt: `2026-11-22T09:30:0${version}.000000Z` })
        )
        yield* seed(...events)
        let version = 4
        const add = Effect.suspend(() =>
          seed(seedOf({ mentorId, version: ++version, createdAt: `2026-11-22T09:31:0${version}.000000Z` }))
        )
        const read = yield* pagesOf({ topic, limit: 1, key: mentorId }, add)
        assert.deepStrictEqual(idsOf(read), idsOf(events.toReversed()))
      }))

    test("a list can be filtered by status, record and time, and by all together", () =>
      Effect.gen(function* () {
        const mentorId = newMentorId()
        const early = seedOf({ mentorId, version: 1, occurredAt: "2026-11-22T09:30:00.000001Z" })
        const late = seedOf({
          mentorId,
          version: 2,
          status: "failed",
          transition: "RESUME",
          occurredAt: "2026-11-22T09:30:00.000002Z",
          createdAt: "2026-11-22T09:30:01.000000Z"
        })
        yield* seed(early, late)
        const found = (selection: Partial<EventSelection>) =>
          Effect.map(pagesOf({ topic, limit: 10, key: mentorId, ...selection }), idsOf)
        const bound = "2026-11-22T10:30:00.000002+01:00"
        assert.deepStrictEqual(yield* found({}), [late.eventId, early.eventId])
        assert.deepStrictEqual(yield* found({ status: "failed" }), [late.eventId])
        assert.deepStrictEqual(yield* found({ record: { status: "paused" } }), [early.eventId])
        assert.deepStrictEqual(yield* found({ occurredFrom: bound }), [late.eventId])
        assert.deepStrictEqual(yield* found({ occurredTo: bound }), [early.eventId])
        assert.deepStrictEqual(yield* found({ occurredFrom: bound, status: "completed" }), [])
      }))

    test("a user sees only the events that the topic shows them", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const [mine, others] = [seedOf(), seedOf()]
        const [userId, stranger] = [randomUUID(), randomUUID()]
        yield* seed(mine, others)
        yield* assign(userId, mine.mentorId)
        assert.deepStrictEqual(idsOf(yield* pagesOf({ topic, limit: 10, userId })), [mine.eventId])
        assert.isEmpty(yield* pagesOf({ topic, limit: 10, userId, key: others.mentorId }))
        assert.isEmpty(yield* pagesOf({ topic, limit: 10, userId: stranger }))
        assert.strictEqual((yield* store.get(topic, mine.eventId, userId)).eventId, mine.eventId)
        assert.strictEqual((yield* Effect.flip(store.get(topic, others.eventId, userId)))._tag, "EventUnknown")
        assert.strictEqual((yield* Effect.flip(store.get(topic, mine.eventId, stranger)))._tag, "EventUnknown")
      }))

    test("an event of another topic is unknown, and in no list", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const event = seedOf({ status: "failed" })
        const { eventId, mentorId } = event
        yield* seed(event)
        const another = "order-created"
        assert.strictEqual((yield* Effect.flip(store.get(another, eventId)))._tag, "EventUnknown")
        assert.strictEqual(yield* tagOf(store.redrive(another, eventId, {})), "EventUnknown")
        assert.strictEqual(yield* tagOf(store.resolve(another, eventId, {})), "EventUnknown")
        assert.strictEqual(yield* tagOf(store.erase(another, eventId)), "EventUnknown")
        assert.isEmpty(yield* pagesOf({ topic: another, limit: 10, key: mentorId }))
      }))

    test("an event has its topic and key, and the watched columns before and after", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const event = seedOf({ version: 3 })
        yield* seed(event)
        const found = yield* store.get(topic, event.eventId)
        assert.deepInclude(found, { topic, key: event.mentorId, version: 3, type: "UPDATE" })
        assert.deepInclude(found.record, { status: "paused" })
        assert.deepInclude(found.oldRecord, { status: "active" })
      }))

    test("an id is the same in any case", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const event = seedOf({ eventId: EventId.make(randomUUID()) })
        yield* seed(event)
        assert.strictEqual((yield* store.get(topic, EventId.make(event.eventId.toUpperCase()))).eventId, event.eventId)
      }))

    test("its health counts what it holds", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        yield* seed(seedOf({ status: "failed" }), seedOf({ notified: 0 }))
        const { deadLettersOpen, failed, topics, withoutRecipients } = yield* store.health()
        assert.include(
          topics.map((capture) => capture.topic),
          topic
        )
        assert.isAtLeast(withoutRecipients, 1)
        assert.isAtLeast(failed, 1)
        assert.isAtLeast(deadLettersOpen, 1)
      }))

    test("its figures count the completed events of each topic", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const completed = Effect.map(
          store.figures(),
          (figures) => figures.find((one) => one.topic === topic)?.completed
        )
        const before = (yield* completed) ?? assert.fail("no such topic")
        yield* seed(
          seedOf({ status: "completed", createdAt: new Date().toISOString().replace("Z", "000Z") }),
          seedOf({ status: "failed" })
        )
        assert.strictEqual(yield* completed, before + 1)
      }))
  })
}
