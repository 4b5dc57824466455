import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { DedupeStore, DedupeStoreUnavailable, type Settlement } from "../../src/services/DedupeStore.ts"
import {
  OrchestratorCircuitOpen,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../../src/topics/OrchestratorClient.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { orchestratorOf, throughTime, verifierThatTrusts } from "../support/layers.ts"
import { bytesOf, eventId, outboxPause, pauseEvent } from "../support/payloads.ts"

const pause = handleWebhookEvent({ header: () => undefined, body: bytesOf(outboxPause) })
const trusting = verifierThatTrusts({ scheme: "standard-webhooks", webhookId: eventId })
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onSuccess: () => "Notified", onFailure: (error) => error._tag })

/** A memory store that fails to settle, so many times, before or after it did. */
const forgetful = (failures: number, when: "before" | "after") => {
  const store = DedupeStoreMemory.make()
  const unavailable = new DedupeStoreUnavailable({ operation: "settle", detail: "no connection" })
  let left = failures
  const layer = Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (inner) => ({
      ...inner,
      settle: (settlements: ReadonlyArray<Settlement>, options: { readonly topic: string; readonly take: number }) =>
        Effect.suspend(() => {
          if (left-- <= 0) return inner.settle(settlements, options)
          return when === "before" ? unavailable : Effect.andThen(inner.settle(settlements, options), unavailable)
        })
    }))
  ).pipe(Layer.provide(store.layer))
  return { layer, state: store.state }
}

describe("a settlement", () => {
  it.effect("a third settlement makes up for two failed ones", () => {
    const orchestrator = OrchestratorClientMemory.make()
    const store = forgetful(2, "before")
    return Effect.gen(function* () {
      assert.strictEqual(yield* throughTime(tagOf(pause)), "Notified")
      assert.strictEqual(store.state.get(eventId)?.state._tag, "Completed")
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide([trusting, store.layer, orchestrator.layer]))
  })

  it.effect("a settlement whose answer was lost is not a failure", () => {
    const orchestrator = OrchestratorClientMemory.make()
    const store = forgetful(1, "after")
    return Effect.gen(function* () {
      assert.strictEqual(yield* throughTime(tagOf(pause)), "Notified")
      assert.strictEqual(yield* tagOf(pause), "AlreadyProcessed")
    }).pipe(Effect.provide([trusting, store.layer, orchestrator.layer]))
  })

  it.effect("after three failed settlements the lease ends and a redelivery completes the one accepted event", () => {
    const orchestrator = OrchestratorClientMemory.make()
    const store = forgetful(3, "before")
    return Effect.gen(function* () {
      assert.strictEqual(yield* throughTime(tagOf(pause)), "DedupeStoreUnavailable")
      assert.strictEqual(yield* tagOf(pause), "EventInFlight")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* tagOf(pause), "Notified")
      assert.deepStrictEqual(orchestrator.state.calls, [pauseEvent, pauseEvent])
      assert.strictEqual(orchestrator.state.accepted.size, 1)
      assert.strictEqual(yield* tagOf(pause), "AlreadyProcessed")
    }).pipe(Effect.provide([trusting, store.layer, orchestrator.layer]))
  })
})

describe("a failed call", () => {
  it.effect.each([
    {
      error: new OrchestratorRefused({ eventId, status: 422 }),
      reason: { kind: "permanent", message: "The orchestrator refused the event with status 422", status: 422 }
    },
    {
      error: new OrchestratorUnavailable({ eventId, failure: "timeout", detail: "no answer" }),
      reason: { kind: "transient", message: "The orchestrator is unavailable: no answer" }
    },
    {
      error: new OrchestratorUnavailable({ eventId, failure: "status", detail: "status 503", retryAfterSeconds: 7 }),
      reason: {
        kind: "transient",
        message: "The orchestrator is unavailable: status 503",
        retryAfterSeconds: 7
      }
    },
    {
      error: new OrchestratorUnavailable({ eventId, failure: "status", detail: "status 504", status: 504 }),
      reason: { kind: "transient", message: "The orchestrator is unavailable: status 504", status: 504 }
    },
    {
      error: new OrchestratorCircuitOpen({ eventId, retryAfterSeconds: 9 }),
      reason: {
        kind: "parked",
        message: "Too many calls of the orchestrator failed in a row, so none is made for now",
        retryAfterSeconds: 9
      }
    }
  ])("gives the claim back with its reason: $reason.message", ({ error, reason }) => {
    const given: Array<unknown> = []
    const store = Layer.effect(
      DedupeStore,
      Effect.map(DedupeStore, (inner) => ({
        ...inner,
        settle: (settlements, options) =>
          Effect.andThen(
            Effect.sync(() => given.push(...settlements)),
            inner.settle(settlements, options)
          )
      }))
    ).pipe(Layer.provide(DedupeStoreMemory.layer))
    const failing = orchestratorOf(() => Effect.fail(error))
    return Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(pause), error._tag)
      const claim = { eventId, token: 1, attempt: 1, leaseSeconds: 30 }
      // As it is on the wire.
      assert.deepStrictEqual<unknown>(JSON.parse(JSON.stringify(given)), [{ claim, outcome: "released", reason }])
    }).pipe(Effect.provide([trusting, store, failing]))
  })

  it.effect("a failed release keeps the orchestrator's error as the answer, and the lease expires", () => {
    const orchestrator = OrchestratorClientMemory.make("fail")
    const store = forgetful(3, "before")
    return Effect.gen(function* () {
      assert.strictEqual(yield* throughTime(tagOf(pause)), "OrchestratorUnavailable")
      assert.strictEqual(yield* tagOf(pause), "EventInFlight")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* tagOf(pause), "Notified")
    }).pipe(Effect.provide([trusting, store.layer, orchestrator.layer]))
  })
})
