import { assert, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import { EventId } from "../../src/schema/Identifiers.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { type Claim, DedupeStore, type Settlement } from "../../src/services/DedupeStore.ts"
import { claimOne, complete, release } from "../support/layers.ts"
import { newEvent } from "../support/payloads.ts"
import type { Contract } from "./DedupeStoreContract.ts"

const receipt = { notified: 1 }
const completed = (claim: Claim): Settlement => ({ claim, outcome: "completed", receipt })
const tagOf = (event: PauseEvent) =>
  Effect.match(claimOne(event), { onSuccess: () => "Claimed", onFailure: (error) => error._tag })

/** The changes of a new mentor, in their order. */
const changes = (count: number): ReadonlyArray<PauseEvent> => {
  const pause = newEvent()
  const resume = { ...pause, transition: "RESUME", oldStatus: "paused", newStatus: "active" } as const
  return Array.from({ length: count }, (_, index) => ({
    ...(index % 2 === 0 ? pause : resume),
    eventId: EventId.make(randomUUID()),
    version: index + 1
  }))
}

const first = <A>([one]: ReadonlyArray<A>): A => one ?? assert.fail("there is none")

/** Grants only what its outbox has, and hands out what comes next in it. */
export const knowsItsOutbox = ({ layer, queue }: Contract) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, DedupeStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  /** A new mentor's changes, in the outbox. */
  const queued = (count: number) =>
    Effect.suspend(() => {
      const events = changes(count)
      return Effect.as(queue(...events), events)
    })

  const settle = (settlements: ReadonlyArray<Settlement>, take: number) =>
    DedupeStore.use((store) => store.settle(settlements, { take }))

  const mentorIdsOf = (claims: ReadonlyArray<Claim>) => claims.map(({ event }) => event.mentorId)

  test("an event of an outbox is granted only if this one has it; until then nothing of it is kept", () =>
    Effect.gen(function* () {
      const event = newEvent()
      assert.strictEqual(yield* tagOf(event), "EventNotInOutbox")
      assert.strictEqual(yield* tagOf({ ...event, version: 50 }), "EventNotInOutbox")
      assert.strictEqual(yield* complete({ event, token: 1, attempt: 1, leaseSeconds: 30 }, receipt), "stale")
      const claims = yield* DedupeStore.use((store) => store.claim([event, newEvent()]))
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
      const { version: _, ...event } = newEvent()
      assert.strictEqual(yield* tagOf({ ...event, source: "webhook" }), "Claimed")
    }))

  test("a mentor's later event is out of order until the earlier ones are settled", () =>
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

  test("a settlement that takes none hands out none", () =>
    Effect.gen(function* () {
      const claim = yield* claimOne(first(yield* queued(2)))
      assert.deepStrictEqual(yield* settle([completed(claim)], 0), { settled: ["completed"], next: [] })
    }))

  test("a settlement hands out the mentor's next event as it was queued, claimed for the caller alone", () =>
    Effect.gen(function* () {
      const [pause, resume] = yield* queued(2)
      if (pause === undefined || resume === undefined) return assert.fail("fewer than asked for")
      const { next } = yield* settle([completed(yield* claimOne(pause))], 1)
      assert.deepStrictEqual(
        next.map(({ event }) => event),
        [resume]
      )
      const claim = first(next)
      assert.isAbove(claim.token, 0)
      assert.strictEqual(claim.attempt, 1)
      assert.isAbove(claim.leaseSeconds, 0)
      assert.strictEqual(yield* tagOf(resume), "EventInFlight")
      assert.strictEqual(yield* complete(claim, receipt), "completed")
      assert.strictEqual(yield* tagOf(resume), "AlreadyProcessed")
    }))

  test("a mentor's events are handed out one at a time, in their order, to their end", () =>
    Effect.gen(function* () {
      const events = yield* queued(6)
      const { mentorId } = first(events)
      let held = [yield* claimOne(first(events))]
      const seen: Array<PauseEvent> = []
      while (held.length > 0) {
        seen.push(...held.map(({ event }) => event))
        const { next } = yield* settle(held.map(completed), 100)
        held = next.filter(({ event }) => event.mentorId === mentorId)
        assert.isAtMost(held.length, 1)
      }
      assert.deepStrictEqual(seen, events)
    }))

  test("of many mentors' next events as many are handed out as are taken, and the others stay to be claimed", () =>
    Effect.gen(function* () {
      const lines = yield* Effect.replicateEffect(queued(2), 5)
      const claims = yield* Effect.forEach(lines, (events) => claimOne(first(events)))
      const { next, settled } = yield* settle(claims.map(completed), 3)
      assert.deepStrictEqual(
        settled,
        claims.map(() => "completed")
      )
      assert.lengthOf(next, 3)
      assert.includeMembers(mentorIdsOf(claims), mentorIdsOf(next))
      const tags = yield* Effect.forEach(lines, ([, resume]) => tagOf(resume ?? assert.fail("no second event")))
      assert.deepStrictEqual(tags.toSorted(), ["Claimed", "Claimed", "EventInFlight", "EventInFlight", "EventInFlight"])
    }))

  test("behind a dead letter the next event is handed out; behind what was released it is not", () =>
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
      assert.include(mentorIdsOf(next), first(dead).mentorId)
      assert.notInclude(mentorIdsOf(next), first(freed).mentorId)
    }))

  test("settlements at once never hand out an event twice", () =>
    Effect.gen(function* () {
      const lines = yield* Effect.replicateEffect(queued(2), 6)
      const claims = yield* Effect.forEach(lines, (events) => claimOne(first(events)))
      const batches = yield* Effect.forEach(claims, (claim) => settle([completed(claim)], 100), {
        concurrency: "unbounded"
      })
      const ids = batches.flatMap(({ next }) => next.map(({ event }) => event.eventId))
      assert.strictEqual(new Set(ids).size, ids.length)
      const tags = yield* Effect.forEach(lines, ([, resume]) => tagOf(resume ?? assert.fail("no second event")))
      assert.isTrue(
        tags.every((tag, index) => (tag === "EventInFlight") === ids.includes(lines[index]?.[1]?.eventId ?? first(ids)))
      )
    }))
}
