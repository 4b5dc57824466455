import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Predicate, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { DedupeStore } from "../../src/services/DedupeStore.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import type { Verified } from "../../src/services/SignatureVerifier.ts"
import { verifierThatTrusts } from "../support/layers.ts"
import { bytesOf, eventId, outboxPause, RoughPayload, roughJson } from "../support/payloads.ts"

const outcomeOf = (body: Uint8Array) =>
  handleWebhookEvent({ header: () => undefined, body }).pipe(
    Effect.match({
      onSuccess: (handled) => {
        if (handled._tag === "Batch") return handled._tag
        return handled._tag === "NoChange" ? handled.reason : handled.event.transition
      },
      onFailure: (error) => error._tag
    })
  )

const signed: Verified = { scheme: "standard-webhooks", webhookId: eventId }
const unsigned: Verified = { scheme: "static" }

const world = (verified: Verified, ...behaviours: ReadonlyArray<OrchestratorClientMemory.Behaviour>) => {
  const store = DedupeStoreMemory.make()
  const orchestrator = OrchestratorClientMemory.make(...behaviours)
  const layer = Layer.mergeAll(verifierThatTrusts(verified), store.layer, orchestrator.layer)
  return { layer, store, orchestrator }
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const dateAndTime = /^\d{4,6}-\d\d-\d\d[T ]\d\d:\d\d:\d\d/
const isTime = (value: unknown): value is string => Predicate.isString(value) && dateAndTime.test(value)
const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => (Predicate.hasProperty(inner, key) ? inner[key] : undefined), value)
const absentOr = (legal: (value: unknown) => boolean) => (value: unknown) => value === undefined || legal(value)
const isUuid = (value: unknown): value is string => Predicate.isString(value) && uuid.test(value)

const isKey = (value: unknown) => Predicate.isString(value) && /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(value)

const isLegal = (payload: unknown): boolean =>
  at(payload, "table") === "peer_mentor_profiles" &&
  at(payload, "schema") === "public" &&
  isKey(at(payload, "record", "id")) &&
  Predicate.isString(at(payload, "record", "status")) &&
  absentOr(isUuid)(at(payload, "event_id")) &&
  absentOr((version) => Number.isSafeInteger(version) && Number(version) >= 1)(at(payload, "version")) &&
  absentOr(isTime)(at(payload, "timestamp")) &&
  (at(payload, "type") === "INSERT"
    ? (at(payload, "old_record") ?? null) === null
    : at(payload, "type") === "UPDATE" && Predicate.isString(at(payload, "old_record", "status")))

/** The rules once more, in the order in which the documentation gives them. */
const specified = (payload: unknown, { webhookId }: Verified): string => {
  if (!isLegal(payload)) return "InvalidPayload"
  if (at(payload, "type") === "INSERT") return "inserted"
  const [oldStatus, newStatus] = [at(payload, "old_record", "status"), at(payload, "record", "status")]
  if (oldStatus === newStatus) return "unchanged"
  const change = `${oldStatus} to ${newStatus}`
  if (change !== "active to paused" && change !== "paused to active") return "unrecognised"
  if (!isTime(at(payload, "timestamp") ?? at(payload, "record", "updated_at"))) return "NoEventTime"
  const id = at(payload, "event_id")
  if (webhookId !== undefined && isUuid(id) && id.toLowerCase() !== webhookId) return "InvalidPayload"
  return change === "active to paused" ? "PAUSE" : "RESUME"
}

describe("handleWebhookEvent, whatever it gets", () => {
  for (const verified of [signed, unsigned]) {
    it.effect.prop(
      `any payload of a ${verified.scheme} sender has exactly the specified outcome, once`,
      [RoughPayload],
      ([rough]) => {
        const { layer, orchestrator, store } = world(verified)
        return Effect.gen(function* () {
          const body = bytesOf(roughJson(rough))
          const expected = specified(JSON.parse(new TextDecoder().decode(body)), verified)
          const isTransition = expected === "PAUSE" || expected === "RESUME"
          assert.strictEqual(yield* outcomeOf(body), expected)
          assert.strictEqual(yield* outcomeOf(body), isTransition ? "AlreadyProcessed" : expected)
          assert.lengthOf(orchestrator.state.calls, isTransition ? 1 : 0)
          assert.strictEqual(store.state.size, isTransition ? 1 : 0)
        }).pipe(Effect.provide(layer))
      },
      { timeout: 30_000, arbitrary: { runs: 300 } }
    )
  }
})

class Caller extends Context.Service<Caller, { readonly step: Effect.Effect<void> }>()("test/Caller") {}

/** Puts each step of a delivery, towards the store or the orchestrator, under the command of its caller. */
const stepByStep = <R>(layer: Layer.Layer<R | DedupeStore | OrchestratorClient>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const client = yield* OrchestratorClient
      const { step } = yield* Caller
      return Context.make(DedupeStore, {
        claim: (events) => Effect.andThen(step, store.claim(events)),
        settle: (settlements, options) => Effect.andThen(step, store.settle(settlements, options))
      }).pipe(
        Context.add(OrchestratorClient, {
          ...client,
          notify: (events) => Effect.andThen(step, client.notify(events))
        })
      )
    })
  ).pipe(Layer.provideMerge(layer))

const Schedule = Schema.Array(Schema.Literals(["first", "second", "the lease ends"])).check(Schema.isMaxLength(10))
const Behaviours = Schema.Array(Schema.Literals(["accept", "fail", "refuse", "accept and lose the reply"])).check(
  Schema.isMaxLength(3)
)

/** Runs two deliveries of one event, a step at a time in the order of the schedule, to their ends. */
const interleave = Effect.fnUntraced(function* <R>(
  layer: Layer.Layer<R | DedupeStore | OrchestratorClient>,
  schedule: typeof Schedule.Type
) {
  const start = Effect.fnUntraced(function* () {
    const turns = yield* Queue.unbounded<void>()
    const caller = Layer.succeed(Caller, { step: Queue.take(turns) })
    const commanded = stepByStep(layer).pipe(Layer.provide(caller))
    const fiber = yield* Effect.forkChild(
      outcomeOf(bytesOf(outboxPause)).pipe(Effect.provide(verifierThatTrusts(signed)), Effect.provide(commanded)),
      { startImmediately: true }
    )
    return { fiber, go: Effect.andThen(Queue.offer(turns, undefined), TestClock.adjust(0)) }
  })
  const first = yield* start()
  const second = yield* start()
  for (const turn of schedule) {
    yield* turn === "the lease ends" ? TestClock.adjust("30 seconds") : turn === "first" ? first.go : second.go
  }
  for (let rest = 0; rest < 6; rest++) yield* Effect.andThen(first.go, second.go)
  return [yield* Fiber.join(first.fiber), yield* Fiber.join(second.fiber)]
})

describe("two deliveries of one event", () => {
  it.effect.prop(
    "notify once in any order of their steps, while the claim holds",
    [Schedule],
    ([schedule]) => {
      const { layer, orchestrator } = world(signed)
      return Effect.gen(function* () {
        const outcomes = yield* interleave(
          layer,
          schedule.filter((turn) => turn !== "the lease ends")
        )
        const [other, notified] = outcomes.toSorted()
        assert.strictEqual(notified, "PAUSE")
        assert.include(["AlreadyProcessed", "EventInFlight"], other)
        assert.lengthOf(orchestrator.state.calls, 1)
      })
    },
    { timeout: 30_000, arbitrary: { runs: 100, size: 10 } }
  )

  it.effect.prop(
    "end in one accepted event or one dead letter in any order of their steps, failures and expired leases",
    [Schedule, Behaviours],
    ([schedule, behaviours]) => {
      const { layer, orchestrator, store } = world(signed, ...behaviours)
      return Effect.gen(function* () {
        yield* interleave(layer, schedule)
        const redeliver = Effect.andThen(TestClock.adjust("30 seconds"), outcomeOf(bytesOf(outboxPause)))
        yield* redeliver.pipe(
          Effect.provide(layer),
          Effect.repeat({
            until: (outcome) => outcome === "AlreadyProcessed" || outcome === "EventDeadLettered",
            times: 6
          })
        )
        const accepted = [...orchestrator.state.accepted.values()]
        const end = store.state.get(eventId)?.state
        if (behaviours.slice(0, orchestrator.state.calls.length).includes("refuse") && end?._tag === "Dead") {
          assert.isAtMost(accepted.length, 1)
        } else {
          assert.lengthOf(accepted, 1)
          assert.deepStrictEqual(end, { _tag: "Completed", receipt: accepted[0] ?? {} })
        }
        assert.isTrue(orchestrator.state.calls.every((event) => event.eventId === eventId))
      })
    },
    { timeout: 30_000, arbitrary: { runs: 100, size: 10 } }
  )
})
