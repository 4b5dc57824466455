import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { SignatureRejected, SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import { claimOne, heldOrchestrator, verifierThatTrusts } from "../support/layers.ts"
import {
  bytesOf,
  dashboardUpdate,
  entryOf,
  eventId,
  mentorId,
  fixture,
  outboxPause,
  pauseEvent
} from "../support/payloads.ts"

const deliver = (body: Uint8Array) => handleWebhookEvent({ header: () => undefined, body })
const pause = deliver(bytesOf(outboxPause))
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onSuccess: () => "Notified", onFailure: (error) => error._tag })

const trusting = verifierThatTrusts({ scheme: "standard-webhooks", webhookId: eventId })

/** The program over a memory store and a memory orchestrator that behaves as told. */
const world = (...behaviours: ReadonlyArray<OrchestratorClientMemory.Behaviour>) => {
  const store = DedupeStoreMemory.make()
  const orchestrator = OrchestratorClientMemory.make(...behaviours)
  const layer = Layer.mergeAll(trusting, store.layer, orchestrator.layer)
  return { layer, store, orchestrator, stateOf: () => store.state.get(eventId)?.state._tag }
}

describe("handleWebhookEvent", () => {
  it.effect("notifies the orchestrator of the event and keeps its receipt", () => {
    const { layer, orchestrator, stateOf } = world()
    return Effect.gen(function* () {
      const handled = yield* pause
      assert.deepStrictEqual<unknown>(handled, {
        _tag: "Handled",
        status: "notified",
        eventId,
        key: mentorId,
        event: pauseEvent,
        receipt: { eventId, notified: 1 }
      })
      assert.deepStrictEqual(orchestrator.state.calls, [pauseEvent])
      assert.strictEqual(stateOf(), "Completed")
    }).pipe(Effect.provide(layer))
  })

  it.effect("answers a duplicate with the first receipt, without a call", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      yield* pause
      const error = yield* Effect.flip(pause)
      assert.strictEqual(error._tag, "AlreadyProcessed")
      assert.deepStrictEqual(error._tag === "AlreadyProcessed" && error.receipt, { eventId, notified: 1 })
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("when the orchestrator fails the retry is not a duplicate", () => {
    const { layer, orchestrator, stateOf } = world("fail")
    return Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(pause), "OrchestratorUnavailable")
      assert.strictEqual(stateOf(), "Pending")
      assert.strictEqual(yield* tagOf(pause), "Notified")
      assert.lengthOf(orchestrator.state.calls, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("what the orchestrator refuses is a dead letter, and is not retried", () => {
    const { layer, orchestrator, stateOf } = world("refuse")
    return Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(pause), "OrchestratorRefused")
      assert.strictEqual(stateOf(), "Dead")
      assert.strictEqual(yield* tagOf(pause), "EventDeadLettered")
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an accepted event whose reply was lost is sent again under the same id, and doubles nothing", () => {
    const { layer, orchestrator } = world("accept and lose the reply")
    return Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(pause), "OrchestratorUnavailable")
      assert.strictEqual(yield* tagOf(pause), "Notified")
      assert.deepStrictEqual(orchestrator.state.calls, [pauseEvent, pauseEvent])
      assert.strictEqual(orchestrator.state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a delivery that lost its claim to a slow orchestrator does not touch the current claim", () => {
    const { layer, orchestrator, store } = world()
    return Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const late = yield* Effect.forkChild(Effect.provide(tagOf(pause), held.layer))
      yield* held.called
      yield* TestClock.adjust("30 seconds")
      const current = yield* claimOne(entryOf(pauseEvent))
      yield* held.answer
      assert.strictEqual(yield* Fiber.join(late), "Notified")
      assert.deepInclude(store.state.get(eventId), { token: current.token })
      assert.strictEqual(store.state.get(eventId)?.state._tag, "Processing")
      assert.strictEqual(orchestrator.state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the same id with another payload is a mismatch, without a call", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      yield* pause
      assert.strictEqual(yield* tagOf(deliver(bytesOf({ ...outboxPause, version: 8 }))), "PayloadMismatch")
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a rejected delivery, or one without a change, calls neither store nor orchestrator", () => {
    const { layer, orchestrator, store } = world()
    const bodies = [
      ...["truncated.json", "everything-wrong.json", "dashboard-delete.json", "dashboard-insert.json"].map(fixture),
      bytesOf({ ...outboxPause, event_id: "6b1f0c52-7c1d-4c8e-b6a5-0f2d9c3e4b1a" }),
      bytesOf(dashboardUpdate("active", "paused", null)),
      bytesOf(dashboardUpdate("paused", "paused")),
      bytesOf(dashboardUpdate("active", "retired"))
    ]
    return Effect.gen(function* () {
      yield* Effect.forEach(bodies, (body) => Effect.exit(deliver(body)))
      assert.strictEqual(store.state.size, 0)
      assert.isEmpty(orchestrator.state.calls)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an unsigned delivery is not even read", () => {
    const { layer, orchestrator, store } = world()
    const rejecting = Layer.succeed(SignatureVerifier, {
      verify: () => Effect.fail(new SignatureRejected({ reason: "mismatch" }))
    })
    return Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(deliver(fixture("truncated.json"))), "SignatureRejected")
      assert.strictEqual(yield* tagOf(pause), "SignatureRejected")
      assert.strictEqual(store.state.size, 0)
      assert.isEmpty(orchestrator.state.calls)
    }).pipe(Effect.provide(rejecting), Effect.provide(layer))
  })

  it.effect("an interruption after the claim changes nothing", () => {
    const { layer, orchestrator, stateOf } = world()
    return Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const fiber = yield* Effect.forkChild(Effect.provide(pause, held.layer))
      yield* held.called
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      assert.strictEqual(stateOf(), "Processing")
      yield* held.answer
      yield* Fiber.join(interrupting)
      assert.strictEqual(stateOf(), "Completed")
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("one of 50 concurrent deliveries notifies, and 49 are answered in flight", () => {
    const { layer, orchestrator } = world()
    return Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const told: Array<string> = []
      const count = (tag: string) => (told.push(tag) === 49 ? held.answer : Effect.void)
      const all = Array.from({ length: 50 }, () => Effect.tap(tagOf(pause), count))
      yield* Effect.all(all, { concurrency: "unbounded" }).pipe(Effect.provide(held.layer))
      assert.deepStrictEqual(told, [...Array.from({ length: 49 }, () => "EventInFlight"), "Notified"])
      assert.lengthOf(orchestrator.state.calls, 1)
      assert.strictEqual(yield* tagOf(pause), "AlreadyProcessed")
    }).pipe(Effect.provide(layer))
  })
})
