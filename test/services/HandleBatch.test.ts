import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { DedupeStore, DedupeStoreUnavailable } from "../../src/services/DedupeStore.ts"
import {
  OrchestratorCircuitOpen,
  OrchestratorClient,
  type OrchestratorError
} from "../../src/topics/OrchestratorClient.ts"
import type { BatchItem } from "../../src/services/Outcome.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { orchestratorOf, throughTime, verifierThatTrusts } from "../support/layers.ts"
import { bytesOf, dashboardUpdate, newPause, outboxPause } from "../support/payloads.ts"

const trusting = verifierThatTrusts({ scheme: "standard-webhooks", webhookId: "msg_of_a_batch" })

const world = (...behaviours: ReadonlyArray<OrchestratorClientMemory.Behaviour>) => {
  const store = DedupeStoreMemory.make()
  const orchestrator = OrchestratorClientMemory.make(...behaviours)
  return { layer: Layer.mergeAll(trusting, store.layer, orchestrator.layer), store, orchestrator }
}

/** Counts the calls of the store and of the orchestrator, with how many events each had. */
const counting = (calls: Array<readonly [string, number]>) => {
  const count = (name: string, of: ReadonlyArray<unknown>) => Effect.sync(() => calls.push([name, of.length]))
  return Layer.merge(
    Layer.effect(
      DedupeStore,
      Effect.map(DedupeStore, (inner) => ({
        claim: (events) => Effect.andThen(count("claim", events), inner.claim(events)),
        settle: (settlements, options) =>
          Effect.andThen(count("settle", settlements), inner.settle(settlements, options))
      }))
    ),
    Layer.effect(
      OrchestratorClient,
      Effect.map(OrchestratorClient, (inner) => ({
        ...inner,
        notify: (events) => Effect.andThen(count("notify", events), inner.notify(events))
      }))
    )
  )
}

const handle = (payloads: ReadonlyArray<unknown>) =>
  Effect.map(handleWebhookEvent({ header: () => undefined, body: bytesOf(payloads) }), (handled) =>
    handled._tag === "Batch" ? handled.items : assert.fail("it was no batch")
  )

const endOf = ({ result }: BatchItem<PauseEvent, OrchestratorError>): string => {
  if (Result.isFailure(result)) return result.failure._tag
  return result.success._tag === "NoChange" ? result.success.reason : "Notified"
}
const endsOf = (payloads: ReadonlyArray<unknown>) => Effect.map(handle(payloads), (items) => items.map(endOf))

const unavailable = new DedupeStoreUnavailable({ operation: "settle", detail: "no connection" })
const without = (part: Partial<DedupeStore["Service"]>) =>
  Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (inner) => ({ ...inner, ...part }))
  )

describe("a batch", () => {
  it.effect("is claimed, notified and settled together, and answered one by one in order", () => {
    const { layer, orchestrator, store } = world()
    const calls: Array<readonly [string, number]> = []
    const payloads = [newPause(), newPause(), newPause()]
    return Effect.gen(function* () {
      const items = yield* Effect.provide(handle(payloads), counting(calls))
      const ids = payloads.map((payload) => payload.event_id)
      assert.deepStrictEqual<unknown>(
        items.map(({ eventId, result }) => [
          eventId,
          Result.isSuccess(result) && "event" in result.success && result.success.event.mentorId
        ]),
        payloads.map(({ event_id, record }) => [event_id, record.id])
      )
      assert.deepStrictEqual(
        orchestrator.state.calls.map(({ eventId }) => `${eventId}`),
        ids
      )
      assert.deepStrictEqual(calls, [
        ["claim", 3],
        ["notify", 3],
        ["settle", 3]
      ])
      assert.deepStrictEqual(
        [...store.state.values()].map(({ state }) => state._tag),
        ["Completed", "Completed", "Completed"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("a bad payload never affects the others, wherever it stands", () => {
    const { layer, orchestrator } = world()
    const { timestamp: _, ...timeless } = newPause()
    const payloads = [
      "nonsense",
      newPause(),
      null,
      { ...newPause(), table: "another" },
      dashboardUpdate("paused", "paused"),
      newPause(),
      timeless,
      dashboardUpdate("active", "retired"),
      [newPause()],
      newPause(),
      { ...newPause(), event_id: 42 }
    ]
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* endsOf(payloads), [
        "InvalidPayload",
        "Notified",
        "InvalidPayload",
        "InvalidPayload",
        "unchanged",
        "Notified",
        "NoEventTime",
        "unrecognised",
        "InvalidPayload",
        "Notified",
        "InvalidPayload"
      ])
      assert.lengthOf(orchestrator.state.calls, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a bad payload is identified by its event id, if that can be read", () =>
    Effect.gen(function* () {
      const wrong = { ...newPause(), table: "another" }
      const items = yield* handle([wrong, { ...wrong, event_id: "msg_1" }, "nonsense"])
      assert.deepStrictEqual<unknown>(
        items.map(({ eventId }) => eventId),
        [wrong.event_id, undefined, undefined]
      )
    }).pipe(Effect.provide(world().layer))
  )

  it.effect("a failing event never affects the others, and each is released for its own reason", () => {
    const { layer, store } = world("accept", "refuse", "fail", "accept and lose the reply", "accept")
    const payloads = [newPause(), newPause(), newPause(), newPause(), newPause()]
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* endsOf(payloads), [
        "Notified",
        "OrchestratorRefused",
        "OrchestratorUnavailable",
        "OrchestratorUnavailable",
        "Notified"
      ])
      assert.deepStrictEqual(
        payloads.map((payload) => store.state.get(EventId.make(payload.event_id))?.state._tag),
        ["Completed", "Dead", "Pending", "Pending", "Completed"]
      )
      assert.deepStrictEqual(yield* endsOf(payloads), [
        "AlreadyProcessed",
        "EventDeadLettered",
        "Notified",
        "Notified",
        "AlreadyProcessed"
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("the same event twice in one array is notified once", () => {
    const { layer, orchestrator } = world()
    const twice = newPause()
    return Effect.gen(function* () {
      const payloads = [twice, newPause(), twice, { ...twice, version: 2 }]
      assert.deepStrictEqual(yield* endsOf(payloads), ["Notified", "Notified", "EventInFlight", "PayloadMismatch"])
      assert.lengthOf(orchestrator.state.calls, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "payloads without an event id are identified by mentor, raw time and transition, not by the batch's id",
    () =>
      Effect.gen(function* () {
        const pause = dashboardUpdate("active", "paused")
        const resume = dashboardUpdate("paused", "active")
        assert.deepStrictEqual(yield* endsOf([pause, resume]), ["Notified", "Notified"])
        assert.deepStrictEqual(yield* endsOf([resume, pause]), ["AlreadyProcessed", "AlreadyProcessed"])
      }).pipe(Effect.provide(world().layer))
  )

  it.effect("a forced event says so to the orchestrator, and is still the same event", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* endsOf([{ ...outboxPause, force: true }]), ["Notified"])
      assert.isTrue(orchestrator.state.calls[0]?.force)
      assert.deepStrictEqual(yield* endsOf([outboxPause]), ["AlreadyProcessed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a redriven event says how often to the orchestrator", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* endsOf([{ ...outboxPause, redrive: 2 }]), ["Notified"])
      assert.strictEqual(orchestrator.state.calls[0]?.redrive, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([0, 201])("of %i payloads is refused as a whole", (length) => {
    const { layer, orchestrator, store } = world()
    return Effect.gen(function* () {
      const error = yield* Effect.flip(handle(Array.from({ length }, newPause)))
      assert.strictEqual(error._tag, "InvalidPayload")
      assert.strictEqual(store.state.size + orchestrator.state.calls.length, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([1, 200])("of %i payloads is handled", (length) =>
    Effect.gen(function* () {
      const ends = yield* endsOf(Array.from({ length }, newPause))
      assert.deepStrictEqual(
        ends,
        Array.from({ length }, () => "Notified")
      )
    }).pipe(Effect.provide(world().layer))
  )

  it.effect("without an event calls neither store nor orchestrator", () => {
    const calls: Array<readonly [string, number]> = []
    return Effect.gen(function* () {
      const payloads = [dashboardUpdate("paused", "paused"), "nonsense", dashboardUpdate("active", "retired")]
      const ends = yield* Effect.provide(endsOf(payloads), counting(calls))
      assert.deepStrictEqual(ends, ["unchanged", "InvalidPayload", "unrecognised"])
      assert.isEmpty(calls)
    }).pipe(Effect.provide(world().layer))
  })
})

describe("a batch without its claim store", () => {
  it.effect("that cannot be claimed fails as a whole, and nobody is notified", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.provide(handle([newPause(), "nonsense"]), without({ claim: () => unavailable }))
      )
      assert.strictEqual(error._tag, "DedupeStoreUnavailable")
      assert.isEmpty(orchestrator.state.calls)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that cannot be settled says so for accepted events, and a redelivery doubles nothing", () => {
    const { layer, orchestrator, store } = world("accept", "refuse")
    const payloads = [newPause(), newPause(), "nonsense"]
    return Effect.gen(function* () {
      const ends = yield* throughTime(Effect.provide(endsOf(payloads), without({ settle: () => unavailable })))
      assert.deepStrictEqual(ends, ["DedupeStoreUnavailable", "OrchestratorRefused", "InvalidPayload"])
      for (const entry of store.state.values()) assert.strictEqual(entry.state._tag, "Processing")
      assert.strictEqual(orchestrator.state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that is parked uses no attempt", () => {
    const { layer, store } = world()
    const open = orchestratorOf(({ eventId }) => new OrchestratorCircuitOpen({ eventId, retryAfterSeconds: 9 }))
    const payloads = [newPause(), newPause()]
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(endsOf(payloads), open), [
        "OrchestratorCircuitOpen",
        "OrchestratorCircuitOpen"
      ])
      for (const entry of store.state.values()) assert.strictEqual(entry.state._tag, "Pending")
      assert.deepStrictEqual(yield* endsOf(payloads), ["Notified", "Notified"])
    }).pipe(Effect.provide(layer))
  })
})
