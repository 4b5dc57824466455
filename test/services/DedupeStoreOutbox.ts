import { assert, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import {
  type Claim,
  DedupeStore,
  type Next,
  type OutboxEvent,
  type Settlement
} from "../../src/services/DedupeStore.ts"
import { eventIdOf } from "../../src/services/EventIdentity.ts"
import { claimOne, complete, release } from "../support/layers.ts"
import { changes, entriesOf, newEntry } from "../support/payloads.ts"
import type { Contract } from "./DedupeStoreContract.ts"

const receipt = { notified: 1 }
const completed = (claim: Claim): Settlement => ({ claim, outcome: "completed", receipt })
const tagOf = (event: OutboxEvent) =>
  Effect.match(claimOne(event), { onSuccess: () => "Claimed", onFailure: (error) => error._tag })

const first = <A>([one]: ReadonlyArray<A>): A => one ?? assert.fail("there is none")

const claimOf = ({ payload, ...grant }: Next): Claim => ({
  eventId: eventIdOf(payload) ?? assert.fail("the payload names no event"),
  ...grant
})

/** The mentor of a payload that was handed out. */
const keyOf = ({ payload }: Next): unknown =>
  Predicate.hasProperty(payload, "record") && Predicate.hasProperty(payload.record, "id") && payload.record.id

/** Grants only what its outbox has, and hands out what comes next in it. */
export const knowsItsOutbox = ({ layer, queue }: Contract) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, DedupeStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  /** A new mentor's changes, in the outbox. */
  const queued = (count: number) =>
    Effect.suspend(() => {
      const events = entriesOf(changes(count))
      return Effect.as(queue(...events), events)
    })

  const settle = (settlements: ReadonlyArray<Settlement>, take: number, topic = "pause-status") =>
    DedupeStore.use((store) => store.settle(settlements, { topic, take }))

  test("an event of an outbox is granted only if this one has it, and is not stored otherwise", () =>
    Effect.gen(function* () {
      const event = newEntry()
      assert.strictEqual(yield* tagOf(event), "EventNotInOutbox")
      assert.strictEqual(yield* tagOf({ ...event, version: 50 }), "EventNotInOutbox")
      assert.strictEqual(
        yield* complete({ eventId: event.eventId, token: 1, attempt: 1, leaseSeconds: 30 }, receipt),
        "stale"
      )
      const claims = yield* DedupeStore.use((store) => store.claim([event, newEntry()]))
      assert.deepStrictEqual(
        claims.map(({ _tag }) => _tag),
        ["Failure", "Failure"]
      )
      yield* queue(event)
      assert.strictEqual(yield* tagOf({ ...event, version: 50 }), "PayloadMismatch")
      assert.strictEqual(yield* tagOf(event), "Claimed")
    }))

  test("a stock webhook needs no outbox", () =>
    Effect.gen(function* () {
      const { version: _, ...event } = newEntry()
      assert.strictEqual(yield* tagOf({ ...event, source: "webhook" }), "Claimed")
    }))

  test("a key's later event is out of order until the earlier ones are settled", () =>
    Effect.gen(function* () {
      const [pause, resume, again] = yield* queued(3)
      if (pause === undefined || resume === undefined || again === undefined) return assert.fail("fewer than asked for")
      assert.strictEqual(yield* tagOf(resume), "EventOutOfOrder")
      const claim = yield* claimOne(pause)
      assert.strictEqual(yield* tagOf(resume), "EventOutOfOrder")
      yield* complete(claim, receipt)
      assert.strictEqual(yield* tagOf(again), "EventOutOfOrder")
      yield* release(yield* claimOne(resume), { kind: "permanent", message: "status 400" })
      assert.strictEqual(yield* tagOf(again), "Claimed")
    }))

  test("a settlement that takes none returns none", () =>
    Effect.gen(function* () {
      const claim = yield* claimOne(first(yield* queued(2)))
      assert.deepStrictEqual(yield* settle([completed(claim)], 0), { settled: ["completed"], next: [] })
    }))

  test("a settlement returns the key's next event as queued, claimed only for the caller", () =>
    Effect.gen(function* () {
      const [pause, resume] = yield* queued(2)
      if (pause === undefined || resume === undefined) return assert.fail("fewer than asked for")
      const { next } = yield* settle([completed(yield* claimOne(pause))], 1)
      assert.lengthOf(next, 1)
      const claim = claimOf(first(next))
      const { eventId, key, occurredAt, oldRecord, record, topic, version } = resume
      assert.deepInclude<unknown>(first(next).payload, {
        topic,
        type: "UPDATE",
        event_id: eventId,
        version,
        timestamp: occurredAt,
        record
      })
      assert.strictEqual(keyOf(first(next)), key)
      assert.isNotNull(oldRecord)
      assert.isAbove(claim.token, 0)
      assert.strictEqual(claim.attempt, 1)
      assert.isAbove(claim.leaseSeconds, 0)
      assert.strictEqual(yield* tagOf(resume), "EventInFlight")
      assert.strictEqual(yield* complete(claim, receipt), "completed")
      assert.strictEqual(yield* tagOf(resume), "AlreadyProcessed")
    }))

  test("a key's events are returned one at a time, in order, until the last", () =>
    Effect.gen(function* () {
      const events = yield* queued(6)
      const { key } = first(events)
      let held: Array<Claim> = [yield* claimOne(first(events))]
      const seen: Array<string> = []
      while (held.length > 0) {
        seen.push(...held.map(({ eventId }) => eventId))
        const { next } = yield* settle(held.map(completed), 100)
        held = next.filter((one) => keyOf(one) === key).map(claimOf)
        assert.isAtMost(held.length, 1)
      }
      assert.deepStrictEqual(
        seen,
        events.map(({ eventId }) => eventId)
      )
    }))

  test("as many of the keys' next events are returned as are taken, and the others can still be claimed", () =>
    Effect.gen(function* () {
      const lines = yield* Effect.replicateEffect(queued(2), 5)
      const claims = yield* Effect.forEach(lines, (events) => claimOne(first(events)))
      const { next, settled } = yield* settle(claims.map(completed), 3)
      assert.deepStrictEqual(
        settled,
        claims.map(() => "completed")
      )
      assert.lengthOf(next, 3)
      assert.includeMembers(
        claims.map(({ event }) => event.key),
        next.map(keyOf)
      )
      const tags = yield* Effect.forEach(lines, ([, resume]) => tagOf(resume ?? assert.fail("no second event")))
      assert.deepStrictEqual(tags.toSorted(), ["Claimed", "Claimed", "EventInFlight", "EventInFlight", "EventInFlight"])
    }))

  test("the next event is returned after a dead letter, but not after a released event", () =>
    Effect.gen(function* () {
      const [dead, freed] = [yield* queued(2), yield* queued(2)]
      const { next, settled } = yield* settle(
        [
          {
            claim: yield* claimOne(first(dead)),
            outcome: "released",
            reason: { kind: "permanent", message: "status 400" }
          },
          {
            claim: yield* claimOne(first(freed)),
            outcome: "released",
            reason: { kind: "transient", message: "status 503" }
          }
        ],
        100
      )
      assert.deepStrictEqual(settled, ["dead", "released"])
      assert.include(next.map(keyOf), first(dead).key)
      assert.notInclude(next.map(keyOf), first(freed).key)
    }))

  test("a settlement returns only events of its own topic", () =>
    Effect.gen(function* () {
      const [pause, resume] = yield* queued(2)
      if (pause === undefined || resume === undefined) return assert.fail("fewer than asked for")
      const { next } = yield* settle([completed(yield* claimOne(pause))], 100, "another")
      assert.deepStrictEqual(next, [])
      assert.strictEqual(yield* tagOf(resume), "Claimed")
    }))

  test("concurrent settlements never return an event twice", () =>
    Effect.gen(function* () {
      const lines = yield* Effect.replicateEffect(queued(2), 6)
      const claims = yield* Effect.forEach(lines, (events) => claimOne(first(events)))
      const batches = yield* Effect.forEach(claims, (claim) => settle([completed(claim)], 100), {
        concurrency: "unbounded"
      })
      const ids = batches.flatMap(({ next }) => next.map((one) => claimOf(one).eventId))
      assert.strictEqual(new Set(ids).size, ids.length)
      const tags = yield* Effect.forEach(lines, ([, resume]) => tagOf(resume ?? assert.fail("no second event")))
      assert.isTrue(
        tags.every((tag, index) => (tag === "EventInFlight") === ids.includes(lines[index]?.[1]?.eventId ?? first(ids)))
      )
    }))
}
