import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as DedupeStoreSupabase from "../../src/layers/DedupeStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import {
  type Claim,
  DedupeStore,
  EventOutOfOrder,
  type OutboxEvent,
  type Settlement
} from "../../src/services/DedupeStore.ts"
import { answered, claimOne, type RpcStep, rpcClient, throughTime } from "../support/layers.ts"
import { entryOf, eventId, mentorId, outboxPause, pauseEvent } from "../support/payloads.ts"

const entry = entryOf(pauseEvent)
const claim: Claim = { eventId, token: 41, attempt: 2, leaseSeconds: 30 }
const receipt = { notified: 2, notificationIds: ["a"] }

/** Asks a store whose database gives one answer; returns what came out and what the database was asked. */
const ask = Effect.fnUntraced(function* <A, E>(step: RpcStep, program: Effect.Effect<A, E, DedupeStore>) {
  const { calls, client } = rpcClient(step)
  const layer = Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.fromClient(client))
  const result = yield* program.pipe(Effect.provide(layer), Effect.result)
  const asked = calls.map(({ args, name }) => ({ name, args }))
  return { asked, outcome: result._tag === "Success" ? result.success : result.failure }
})

const claimed = (step: RpcStep) => ask(step, claimOne(entry))
const claimedAll = (step: RpcStep, events: ReadonlyArray<OutboxEvent>) =>
  ask(
    step,
    DedupeStore.use((store) => store.claim(events))
  )
const settledAll = (step: RpcStep, settlements: ReadonlyArray<Settlement>, take = 0) =>
  ask(
    step,
    DedupeStore.use((store) => store.settle(settlements, { topic: "pause-status", take }))
  )
const completion: Settlement = { claim, outcome: "completed", receipt }
const settled = (step: RpcStep) => settledAll(step, [completion])
const transient = { kind: "transient", message: "status 503", status: 503, retryAfterSeconds: 7 } as const

// A legal answer to one event, of both functions.
const completedBefore = { eventId, outcome: "completed", receipt }
const settling = (settled: unknown, next: unknown = []) => ({ settled, next })

const refused = (status: number, code?: string): RpcStep => ({
  data: null,
  error: { message: "canary", ...(code !== undefined && { code }) },
  status
})

describe("DedupeStoreSupabase", () => {
  it.effect("claims with outbox_claim(events), in one call", () =>
    Effect.gen(function* () {
      const other = { ...entry, eventId: EventId.make(mentorId), version: 8 }
      const { asked, outcome } = yield* claimedAll(
        answered([
          { eventId, outcome: "claimed", token: 41, attempt: 2, leaseSeconds: 30 },
          { eventId: mentorId, outcome: "out_of_order", retryAfterSeconds: 3 }
        ]),
        [entry, other]
      )
      const refusal = new EventOutOfOrder({ eventId: other.eventId, retryAfterSeconds: 3 })
      assert.deepStrictEqual<unknown>(outcome, [Result.succeed(claim), Result.fail(refusal)])
      assert.deepStrictEqual(asked, [{ name: "outbox_claim", args: { events: [{ ...entry }, { ...other }] } }])
    })
  )

  it.effect("settles with outbox_settle(settlements, topic, take), in one call", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* settledAll(
        answered(settling([{ eventId, outcome: "completed" }, { outcome: "dead" }])),
        [completion, { claim: { ...claim, token: 42 }, outcome: "released", reason: transient }]
      )
      assert.deepStrictEqual<unknown>(outcome, { settled: ["completed", "dead"], next: [] })
      const settlements = [
        { eventId, token: 41, outcome: "completed", receipt },
        { eventId, token: 42, outcome: "released", ...transient }
      ]
      assert.deepStrictEqual(asked, [{ name: "outbox_settle", args: { settlements, topic: "pause-status", take: 0 } }])
    })
  )

  it.effect.each(["completed", "released", "dead", "stale", "invalid"])("passes on that a claim was %s", (outcome) =>
    Effect.gen(function* () {
      const answer = yield* settled(answered(settling([{ eventId, outcome }])))
      assert.deepStrictEqual<unknown>(answer.outcome, { settled: [outcome], next: [] })
    })
  )

  it.effect("takes further events if asked to, each with the body of a delivery, whatever it contains", () =>
    Effect.gen(function* () {
      const { eventId: _, ...grant } = claim
      const next = [
        { payload: outboxPause, ...grant },
        { payload: { event_id: eventId }, ...grant, token: 3 },
        { payload: null, ...grant, token: 4 }
      ]
      const { asked, outcome } = yield* settledAll(
        answered(settling([{ eventId, outcome: "completed" }], next)),
        [completion],
        100
      )
      assert.deepStrictEqual<unknown>(outcome, { settled: ["completed"], next })
      assert.strictEqual(asked[0]?.args["take"], 100)
    })
  )

  it.effect("is unavailable if it gets an event without a token", () =>
    Effect.gen(function* () {
      const next = [{ payload: outboxPause, attempt: 1, leaseSeconds: 30 }]
      const { outcome } = yield* settled(answered(settling([{ eventId, outcome: "completed" }], next)))
      assert.deepInclude<unknown>(outcome, { _tag: "DedupeStoreUnavailable", operation: "settle" })
    })
  )

  it.effect.each([
    { answer: { outcome: "in_flight", retryAfterSeconds: 12 }, tag: "EventInFlight", retryAfterSeconds: 12 },
    { answer: { outcome: "completed", receipt }, tag: "AlreadyProcessed", receipt },
    { answer: { outcome: "payload_mismatch" }, tag: "PayloadMismatch" },
    { answer: { outcome: "failed" }, tag: "EventDeadLettered" },
    { answer: { outcome: "out_of_order", retryAfterSeconds: 4 }, tag: "EventOutOfOrder", retryAfterSeconds: 4 },
    { answer: { outcome: "unknown_event" }, tag: "EventNotInOutbox" },
    { answer: { outcome: "invalid", message: "canary" }, tag: "EventUnstorable" }
  ])("an answer keeps an event from being claimed: $tag", ({ answer, tag, ...members }) =>
    Effect.gen(function* () {
      const { outcome } = yield* claimed(answered([answer]))
      assert.notInclude(JSON.stringify(outcome), "canary")
      assert.deepInclude<unknown>(outcome, { _tag: tag, eventId, ...members })
    })
  )

  it.effect("is unavailable if the database does not answer in time, and is not retried", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* throughTime(claimed("hangs"), 1_000)
      assert.deepInclude<unknown>(outcome, {
        _tag: "DedupeStoreUnavailable",
        operation: "claim",
        detail: "no answer within 3000 ms"
      })
      assert.lengthOf(asked, 1)
    })
  )

  for (const [operation, attempt, shape] of [
    ["claim", claimed, (answers: ReadonlyArray<unknown>) => answers],
    ["settle", settled, settling]
  ] as const) {
    it.effect.each([
      ["a connection that fails", "rejects", /no connection/],
      ["a client that reports no connection", refused(0), /no connection/],
      ["a refused key", refused(401, "PGRST301"), /401.*secret key/],
      ["a forbidden function", refused(403, "42501"), /403.*secret key/],
      ["a missing function", refused(404, "PGRST202"), new RegExp(`outbox_${operation}.*supabase/migrations`)],
      ["an SQL error", refused(400, "22023"), /400 \(22023\)/],
      ["a gateway's error", refused(503), /503/],
      ["an answer of another shape", answered(shape([{ outcome: "maybe" }])), /supabase\/migrations/],
      ["an answer without its members", answered(shape([{ outcome: "claimed", token: "41" }])), /supabase\/migrations/],
      ["an empty answer", answered(null), /supabase\/migrations/],
      ["an answer of no events", answered({ outcome: "completed", receipt: {} }), /supabase\/migrations/],
      ["no answer for the event", answered(shape([])), /fewer events/],
      ["an answer too many", answered(shape([completedBefore, completedBefore])), /events/]
    ] as const)(`${operation} is unavailable after %s, and says what to do`, ([, step, detail]) =>
      Effect.gen(function* () {
        const { asked, outcome } = yield* attempt(step)
        if (!("_tag" in outcome) || outcome._tag !== "DedupeStoreUnavailable") return assert.fail("it was available")
        assert.match(outcome.message, detail)
        assert.include(outcome.message, operation)
        assert.notInclude(outcome.message, "canary")
        assert.lengthOf(asked, 1)
      })
    )
  }
})
