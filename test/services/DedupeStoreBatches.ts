import { assert, it } from "@effect/vitest"
import { Effect, type Layer, Result } from "effect"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { type Claim, type ClaimRefused, DedupeStore, type Settlement } from "../../src/services/DedupeStore.ts"
import { claimOne, complete, release } from "../support/layers.ts"

const tagOf = (claim: Result.Result<Claim, ClaimRefused>) => (Result.isSuccess(claim) ? "Claimed" : claim.failure._tag)
const transient = { kind: "transient", message: "status 503" } as const
const permanent = { kind: "permanent", message: "status 400" } as const

const completed = (claim: Claim, receipt = {}): Settlement => ({ claim, outcome: "completed", receipt })

/** Takes an array as its events one by one: each answered for itself, in the order given. */
export const answersEachEvent = ({
  layer,
  newEvent
}: {
  readonly layer: () => Layer.Layer<DedupeStore, unknown>
  readonly newEvent: () => PauseEvent
}) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, DedupeStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  test("claims of many events are answered each for itself, in the order given", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const done = yield* claimOne(newEvent())
      yield* complete(done, { notified: 3 })
      const dead = yield* claimOne(newEvent())
      yield* release(dead, permanent)
      const held = yield* claimOne(newEvent())
      const freed = yield* claimOne(newEvent())
      yield* release(freed, transient)
      const events = [
        newEvent(),
        done.event,
        { ...held.event, version: 2 },
        dead.event,
        freed.event,
        held.event,
        newEvent()
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
        if (Result.isSuccess(claim)) assert.deepStrictEqual(claim.success.event, events[index])
        else assert.strictEqual(claim.failure.eventId, events[index]?.eventId)
      }
    }))

  test("the same event twice in one array is granted once", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const event = newEvent()
      const claims = yield* store.claim([event, newEvent(), event])
      assert.deepStrictEqual(claims.map(tagOf), ["Claimed", "Claimed", "EventInFlight"])
    }))

  test("of overlapping arrays at once each event is granted once, whatever their order", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const events = Array.from({ length: 8 }, newEvent)
      const orders = Array.from({ length: 8 }, (_, turn) => [...events.slice(turn), ...events.slice(0, turn)])
      const claims = yield* Effect.forEach(
        orders.flatMap((order) => [order, order.toReversed()]),
        (order) => store.claim(order),
        { concurrency: "unbounded" }
      )
      const granted = claims.flat().flatMap((claim) => (Result.isSuccess(claim) ? [claim.success.event.eventId] : []))
      assert.deepStrictEqual(granted.toSorted(), events.map(({ eventId }) => eventId).toSorted())
    }))

  test("settlements of many claims are answered each for itself, in the order given", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const claim = () => claimOne(newEvent())
      const lost = yield* claim()
      yield* release(lost, transient)
      const current = yield* claimOne(lost.event)
      const [one, two, three] = [yield* claim(), yield* claim(), yield* claim()]
      const settled = yield* store.settle([
        completed(lost),
        { claim: two, outcome: "released", reason: transient },
        completed(one, { notified: 1 }),
        { claim: three, outcome: "released", reason: permanent },
        { claim: { ...one, event: newEvent() }, outcome: "released", reason: transient }
      ])
      assert.deepStrictEqual(settled, ["stale", "released", "completed", "dead", "stale"])
      const claims = yield* store.claim([one.event, two.event, three.event, current.event])
      assert.deepStrictEqual(claims.map(tagOf), ["AlreadyProcessed", "Claimed", "EventDeadLettered", "EventInFlight"])
      const [first] = claims
      assert.deepInclude<unknown>(first !== undefined && Result.isFailure(first) && first.failure, {
        receipt: { notified: 1 }
      })
    }))

  test("none is answered with none", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      assert.deepStrictEqual([yield* store.claim([]), yield* store.settle([])], [[], []])
    }))
}
