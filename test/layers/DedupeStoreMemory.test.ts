import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { dedupeStoreContract } from "../services/DedupeStoreContract.ts"
import { DedupeStore, type OutboxEvent } from "../../src/services/DedupeStore.ts"
import { claimOne } from "../support/layers.ts"
import { newEntry } from "../support/payloads.ts"

const outbox = new Set<OutboxEvent>()

dedupeStoreContract("DedupeStoreMemory", {
  layer: () => DedupeStoreMemory.make({ outbox }).layer,
  queue: (...events) => Effect.sync(() => events.forEach((event) => outbox.add(event))),
  expireLease: (claim) => TestClock.adjust(`${claim.leaseSeconds} seconds`)
})

describe("DedupeStoreMemory", () => {
  it.effect("a lease ends at its last millisecond and not before", () =>
    Effect.gen(function* () {
      const { event, leaseSeconds } = yield* claimOne(newEntry())
      assert.strictEqual(leaseSeconds, 30)
      yield* TestClock.adjust(29_999)
      const error = yield* Effect.flip(claimOne(event))
      assert.strictEqual(error._tag === "EventInFlight" && error.retryAfterSeconds, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* claimOne(event)).attempt, 2)
    }).pipe(Effect.provide(DedupeStoreMemory.layer))
  )

  it.effect("the lease can be set", () =>
    Effect.gen(function* () {
      const claim = yield* claimOne(newEntry())
      assert.strictEqual(claim.leaseSeconds, 5)
    }).pipe(Effect.provide(DedupeStoreMemory.make({ leaseSeconds: 5 }).layer))
  )

  it.effect("each layer has its own memory", () =>
    Effect.gen(function* () {
      const event = newEntry()
      const claim = claimOne(event)
      yield* claim.pipe(Effect.provide(DedupeStoreMemory.layer))
      yield* claim.pipe(Effect.provide(DedupeStoreMemory.layer))
    })
  )

  it.effect("without an outbox it accepts every event as its outbox's, and returns none", () =>
    Effect.gen(function* () {
      const claim = yield* claimOne({ ...newEntry(), version: 50 })
      const store = yield* DedupeStore
      const batch = yield* store.settle([{ claim, outcome: "completed", receipt: {} }], {
        topic: "pause-status",
        take: 100
      })
      assert.deepStrictEqual(batch, { settled: ["completed"], next: [] })
    }).pipe(Effect.provide(DedupeStoreMemory.layer))
  )

  it.effect("its contents can be read", () =>
    Effect.gen(function* () {
      const { layer, state } = DedupeStoreMemory.make()
      assert.strictEqual(state.size, 0)
      const event = newEntry()
      yield* claimOne(event).pipe(Effect.provide(layer))
      assert.strictEqual(state.get(event.eventId)?.state._tag, "Processing")
    })
  )
})
