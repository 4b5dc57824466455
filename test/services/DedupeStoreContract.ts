import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Exit, type Layer } from "effect"
import { EventTime } from "../../src/schema/Identifiers.ts"
import { type Claim, DedupeStore, type OutboxEvent } from "../../src/services/DedupeStore.ts"
import { claimOne, complete, release } from "../support/layers.ts"
import { newEntry } from "../support/payloads.ts"
import { answersEachEvent } from "./DedupeStoreBatches.ts"
import { followsTheModel } from "./DedupeStoreModel.ts"
import { knowsItsOutbox } from "./DedupeStoreOutbox.ts"

/** What the suites need of a store. */
export interface Contract {
  /** A store that may hold anything but events of these tests, which are all new. */
  readonly layer: () => Layer.Layer<DedupeStore, unknown>
  /** Puts events into its outbox, as if their rows had changed in this order. Nobody else sends them. */
  readonly queue: (...events: ReadonlyArray<OutboxEvent>) => Effect.Effect<void>
  /** Lets the lease of a claim end, by moving whichever clock the store goes by. */
  readonly expireLease: (claim: Claim) => Effect.Effect<void>
}

const receipt = { notified: 2, notificationIds: ["a", "ü"], nested: { deep: [null, 1.5, { "": false }] } }
const strangeReceipts = {
  "a NUL": { notified: 3, text: "a\u0000b", "\u0000": true },
  "half of a surrogate pair": { notified: 3, text: ["\ud83d", { "\udc00": "\ud83d\ude00" }] },
  "text that only looks like an escape": { notified: 3, text: "\\u0000 \\\\ud83d" },
  "10,000 levels": { notified: 3, deep: JSON.parse("[".repeat(10_000) + "]".repeat(10_000)) },
  "a megabyte of text": { notified: 3, text: "x".repeat(1_000_000) }
}
const transient = { kind: "transient", message: "status 503", retryAfterSeconds: 1 } as const
const parked = { kind: "parked", message: "the circuit is open", retryAfterSeconds: 10 } as const
const permanent = { kind: "permanent", message: "status 400" } as const

const tagOf = (event: OutboxEvent) =>
  Effect.match(claimOne(event), { onSuccess: () => "Claimed", onFailure: (error) => error._tag })

/** What every DedupeStore promises. */
export const dedupeStoreContract = (name: string, contract: Contract) => {
  const { expireLease, layer, queue } = contract
  const queued = Effect.suspend(() => {
    const event = newEntry()
    return Effect.as(queue(event), event)
  })
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, DedupeStore>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  describe(`${name} keeps the contract of DedupeStore`, () => {
    test("the first claim of an event is granted, for a lease of at most a minute", () =>
      Effect.gen(function* () {
        const event = yield* queued
        const claim = yield* claimOne(event)
        assert.strictEqual(claim.eventId, event.eventId)
        assert.strictEqual(claim.attempt, 1)
        assert.isAbove(claim.leaseSeconds, 0)
        assert.isAtMost(claim.leaseSeconds, 60)
      }))

    test("a second claim learns how long the first one's lease lasts", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        const error = yield* Effect.flip(claimOne(claim.event))
        assert.strictEqual(error._tag, "EventInFlight")
        const seconds = error._tag === "EventInFlight" ? error.retryAfterSeconds : 0
        assert.isAtLeast(seconds, 1)
        assert.isAtMost(seconds, claim.leaseSeconds)
      }))

    test("exactly one of 20 concurrent claims is granted", () =>
      Effect.gen(function* () {
        const event = yield* queued
        const tags = yield* Effect.all(
          Array.from({ length: 20 }, () => tagOf(event)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(tags.toSorted(), ["Claimed", ...Array.from({ length: 19 }, () => "EventInFlight")])
      }))

    test("events do not affect each other", () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* tagOf(yield* queued), "Claimed")
        assert.strictEqual(yield* tagOf(yield* queued), "Claimed")
      }))

    test("a completed event is never granted again, and its receipt is returned unchanged", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        assert.strictEqual(yield* complete(claim, receipt), "completed")
        yield* expireLease(claim)
        const error = yield* Effect.flip(claimOne(claim.event))
        assert.strictEqual(error._tag, "AlreadyProcessed")
        assert.deepStrictEqual(error._tag === "AlreadyProcessed" && error.receipt, receipt)
      }))

    for (const [kind, strange] of Object.entries(strangeReceipts)) {
      test(`a receipt with ${kind} completes its event, and the other event's receipt is kept`, () =>
        Effect.gen(function* () {
          const events = [yield* queued, yield* queued]
          const store = yield* DedupeStore
          const claims = yield* Effect.forEach(events, claimOne)
          const settlements = claims.map((claim, index) => ({
            claim,
            outcome: "completed" as const,
            receipt: index === 0 ? strange : receipt
          }))
          const { settled } = yield* store.settle(settlements, { topic: "pause-status", take: 0 })
          assert.deepStrictEqual(settled, ["completed", "completed"])
          const [error, neighbours] = yield* Effect.forEach(events, (event) => Effect.flip(claimOne(event)))
          assert.strictEqual(error?._tag, "AlreadyProcessed")
          assert.deepStrictEqual(error?._tag === "AlreadyProcessed" && error.receipt["notified"], 3)
          assert.deepStrictEqual(neighbours?._tag === "AlreadyProcessed" && neighbours.receipt, receipt)
        }))
    }

    test("an event released for a transient failure can be claimed at once, with a higher token", () =>
      Effect.gen(function* () {
        const first = yield* claimOne(yield* queued)
        assert.strictEqual(yield* release(first, transient), "released")
        const second = yield* claimOne(first.event)
        assert.isAbove(second.token, first.token)
      }))

    test("a parked event can be claimed again, however often it is parked", () =>
      Effect.gen(function* () {
        const event = yield* queued
        for (let turn = 0; turn < 15; turn++) {
          assert.strictEqual(yield* release(yield* claimOne(event), parked), "released")
        }
        assert.strictEqual(yield* tagOf(event), "Claimed")
      }))

    test("an event released for a permanent failure is a dead letter, and never granted again", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        assert.strictEqual(yield* release(claim, permanent), "dead")
        assert.strictEqual(yield* tagOf(claim.event), "EventDeadLettered")
        yield* expireLease(claim)
        assert.strictEqual(yield* tagOf(claim.event), "EventDeadLettered")
      }))

    test("a repeated settlement gets the first one's outcome, whatever it asks for", () =>
      Effect.gen(function* () {
        const dead = yield* claimOne(yield* queued)
        assert.strictEqual(yield* release(dead, permanent), "dead")
        assert.strictEqual(yield* release(dead, permanent), "dead")
        assert.strictEqual(yield* release(dead, transient), "dead")
        assert.strictEqual(yield* complete(dead, receipt), "dead")
        assert.strictEqual(yield* tagOf(dead.event), "EventDeadLettered")
        const completed = yield* claimOne(yield* queued)
        assert.strictEqual(yield* complete(completed, receipt), "completed")
        assert.strictEqual(yield* release(completed, permanent), "completed")
        assert.strictEqual(yield* tagOf(completed.event), "AlreadyProcessed")
      }))

    test("attempts count the claims of an event that is counted nowhere else", () =>
      Effect.gen(function* () {
        const { version: _, ...event } = { ...newEntry(), source: "webhook" as const }
        const attempts: Array<number> = []
        for (let turn = 0; turn < 3; turn++) {
          const claim = yield* claimOne(event)
          attempts.push(claim.attempt)
          yield* release(claim, transient)
        }
        assert.deepStrictEqual(attempts, [1, 2, 3])
      }))

    test("an expired lease can be claimed by exactly one of many, with a higher token", () =>
      Effect.gen(function* () {
        const first = yield* claimOne(yield* queued)
        yield* expireLease(first)
        const exits = yield* Effect.all(
          Array.from({ length: 10 }, () => Effect.exit(claimOne(first.event))),
          { concurrency: "unbounded" }
        )
        const granted = exits.filter(Exit.isSuccess).map((exit) => exit.value.token)
        assert.lengthOf(granted, 1)
        assert.isAbove(granted[0] ?? 0, first.token)
      }))

    test("a settlement of a lost claim is stale and changes nothing", () =>
      Effect.gen(function* () {
        const late = yield* claimOne(yield* queued)
        yield* expireLease(late)
        const current = yield* claimOne(late.event)
        assert.strictEqual(yield* complete(late, { notified: 0 }), "stale")
        assert.strictEqual(yield* release(late, transient), "stale")
        assert.strictEqual(yield* tagOf(late.event), "EventInFlight")
        assert.strictEqual(yield* complete(current, receipt), "completed")
        assert.strictEqual(yield* release(late, permanent), "stale")
        assert.strictEqual(yield* complete(late, { notified: 0 }), "stale")
        const error = yield* Effect.flip(claimOne(late.event))
        assert.deepStrictEqual(error._tag === "AlreadyProcessed" && error.receipt, receipt)
      }))

    test("a claim can still be settled after its lease, as long as nobody else claimed", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        yield* expireLease(claim)
        assert.strictEqual(yield* complete(claim, receipt), "completed")
        assert.strictEqual(yield* tagOf(claim.event), "AlreadyProcessed")
      }))

    test("completing again after a lost answer is settled, and the first receipt stays", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        yield* complete(claim, receipt)
        assert.strictEqual(yield* complete(claim, { notified: 99 }), "completed")
        const error = yield* Effect.flip(claimOne(claim.event))
        assert.deepStrictEqual(error._tag === "AlreadyProcessed" && error.receipt, receipt)
      }))

    test("a completed event cannot be released, and a released one cannot be completed", () =>
      Effect.gen(function* () {
        const completed = yield* claimOne(yield* queued)
        yield* complete(completed, receipt)
        assert.strictEqual(yield* release(completed, transient), "completed")
        assert.strictEqual(yield* tagOf(completed.event), "AlreadyProcessed")
        const released = yield* claimOne(yield* queued)
        yield* release(released, transient)
        assert.strictEqual(yield* complete(released, receipt), "stale")
        assert.strictEqual(yield* tagOf(released.event), "Claimed")
      }))

    test("a claim that the store never granted is stale", () =>
      Effect.gen(function* () {
        const event = yield* queued
        const unknown = { eventId: event.eventId, token: 1, attempt: 1, leaseSeconds: 30 }
        assert.strictEqual(yield* complete(unknown, receipt), "stale")
        assert.strictEqual(yield* release(unknown, transient), "stale")
        assert.strictEqual(yield* tagOf(event), "Claimed")
      }))

    test("another event under the same id is a mismatch in every state, and changes nothing", () =>
      Effect.gen(function* () {
        const claim = yield* claimOne(yield* queued)
        const { event } = claim
        const others: ReadonlyArray<OutboxEvent> = [
          { ...event, topic: "another" },
          { ...event, key: randomUUID() },
          { ...event, record: { ...event.record, status: "active" } },
          { ...event, occurredAt: EventTime.make("2026-11-22T09:30:00.123457Z") },
          { ...event, version: 2 }
        ]
        const mismatches = Effect.forEach(others, tagOf)
        const expected = others.map(() => "PayloadMismatch")
        assert.deepStrictEqual(yield* mismatches, expected)
        assert.strictEqual(yield* release(claim, transient), "released")
        assert.deepStrictEqual(yield* mismatches, expected)
        assert.strictEqual(yield* complete(yield* claimOne(event), receipt), "completed")
        assert.deepStrictEqual(yield* mismatches, expected)
        assert.strictEqual(yield* tagOf(event), "AlreadyProcessed")
        const dead = yield* claimOne(yield* queued)
        assert.strictEqual(yield* release(dead, permanent), "dead")
        assert.strictEqual(yield* tagOf({ ...dead.event, version: 2 }), "PayloadMismatch")
        assert.strictEqual(yield* tagOf(dead.event), "EventDeadLettered")
      }))

    test("a column that a topic no longer reads makes no mismatch", () =>
      Effect.gen(function* () {
        const event = yield* queued
        assert.strictEqual(yield* tagOf(event), "Claimed")
        assert.strictEqual(yield* tagOf({ ...event, record: { id: event.key } }), "EventInFlight")
      }))

    answersEachEvent({ layer, queued })
    followsTheModel({ expireLease, layer, queued })
    knowsItsOutbox(contract)
  })
}
