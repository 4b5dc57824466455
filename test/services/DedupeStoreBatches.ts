import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Result } from "effect"
import {
  type Claim,
  type ClaimRefused,
  DedupeStore,
  type OutboxEvent,
  type Settlement
} from "../../src/services/DedupeStore.ts"
import { claimOne, complete, release } from "../support/layers.ts"

const tagOf = (claim: Result.Result<Claim, ClaimRefused>) => (Result.isSuccess(claim) ? "Claimed" : claim.failure._tag)
const transient = { kind: "transient", message: "status 503" } as const
const permanent = { kind: "permanent", message: "status 400" } as const

const completed = (claim: Claim, receipt = {}): Settlement => ({ claim, outcome: "completed", receipt })

/** Takes an array as its events one by one: each answered for itself, in the order given. */
export const answersEachEvent = ({
  layer,
  queued
}: {
  readonly layer: () => Layer.Layer<DedupeStore, unknown>
  /** A new event of the outbox. */
  readonly queued: Effect.Effect<OutboxEvent>
}) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, DedupeStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  test("claims of many events are answered one by one, in the given order", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const done = yield* claimOne(yield* queued)
      yield* complete(done, { notified: 3 })
      const dead = yield* claimOne(yield* queued)
      yield* release(dead, permanent)
      const held = yield* claimOne(yield* queued)
      const freed = yield* claimOne(yield* queued)
      yield* release(freed, transient)
      const events = [
        yield* queued,
        done.event,
        { ...held.event, version: 2 },
        dead.event,
        freed.event,
        held.event,
        yield* queued
      ]
      const claims = yield* store.claim(events)
      assert.deepStrictEqual(claims.map(tagOf), [
        "Claimed",
        "AlreadyProcessed",
        "PayloadMismatch",
        "EventDeadLettered",
        "Claimed",
        "EventInFlight",
        "Claimed"
      ])
      for (const [index, claim] of claims.entries()) {
        const { eventId } = Result.isSuccess(claim) ? claim.success : claim.failure
        assert.strictEqual(eventId, events[index]?.eventId)
      }
    }))

  test("the same event twice in one array is granted once", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const event = yield* queued
      const claims = yield* store.claim([event, yield* queued, event])
      assert.deepStrictEqual(claims.map(tagOf), ["Claimed", "Claimed", "EventInFlight"])
    }))

  test("each event of concurrent overlapping arrays is granted once, in any order", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const events = yield* Effect.replicateEffect(queued, 8)
      const orders = Array.from({ length: 8 }, (_, turn) => [...events.slice(turn), ...events.slice(0, turn)])
      const claims = yield* Effect.forEach(
        orders.flatMap((order) => [order, order.toReversed()]),
        (order) => store.claim(order),
        { concurrency: "unbounded" }
      )
      const granted = claims.flat().flatMap((claim) => (Result.isSuccess(claim) ? [claim.success.eventId] : []))
      assert.deepStrictEqual(granted.toSorted(), events.map(({ eventId }) => eventId).toSorted())
    }))

  test("settlements of many claims are answered one by one, in the given order", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const claim = () => Effect.flatMap(queued, claimOne)
      const lost = yield* claim()
      yield* release(lost, transient)
      const current = yield* claimOne(lost.event)
      const [one, two, three] = [yield* claim(), yield* claim(), yield* claim()]
      const { settled } = yield* store.settle(
        [
          completed(lost),
          { claim: two, outcome: "released", reason: transient },
          completed(one, { notified: 1 }),
          { claim: three, outcome: "released", reason: permanent },
          { claim: { ...one, eventId: (yield* queued).eventId }, outcome: "released", reason: transient }
        ],
        { topic: "pause-status", take: 0 }
      )
      assert.deepStrictEqual(settled, ["stale", "released", "completed", "dead", "stale"])
      const claims = yield* store.claim([one.event, two.event, three.event, current.event])
      assert.deepStrictEqual(claims.map(tagOf), ["AlreadyProcessed", "Claimed", "EventDeadLettered", "EventInFlight"])
      const [first] = claims
      assert.deepInclude<unknown>(first !== undefined && Result.isFailure(first) && first.failure, {
        receipt: { notified: 1 }
      })
    }))

  test("an empty array is answered with an empty array", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      assert.isEmpty(yield* store.claim([]))
      assert.deepStrictEqual(yield* store.settle([], { topic: "pause-status", take: 0 }), { settled: [], next: [] })
    }))
}
