import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DedupeStoreSupabase from "../../src/layers/DedupeStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { type Claim, DedupeStore } from "../../src/services/DedupeStore.ts"
import { answered, type RpcStep, rpcClient, throughTime } from "../support/layers.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"

const claim: Claim = { event: pauseEvent, token: 41, attempt: 2, leaseSeconds: 30 }
const receipt = { notified: 2, notificationIds: ["a"] }

/** Asks a store whose database gives one answer; returns what came out and what the database was asked. */
const ask = Effect.fnUntraced(function* <A, E>(
  step: RpcStep,
  program: (store: DedupeStore["Service"]) => Effect.Effect<A, E>
) {
  const { calls, client } = rpcClient(step)
  const layer = Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.fromClient(client))
  const result = yield* DedupeStore.use(program).pipe(Effect.provide(layer), Effect.result)
  const asked = calls.map(({ args, name }) => ({ name, args }))
  return { asked, outcome: result._tag === "Success" ? result.success : result.failure }
})

const claimed = (step: RpcStep) => ask(step, (store) => store.claim(pauseEvent))
const completed = (step: RpcStep) => ask(step, (store) => store.complete(claim, receipt))
const transient = { kind: "transient", message: "status 503", retryAfterSeconds: 7 } as const
const released = (step: RpcStep) => ask(step, (store) => store.release(claim, transient))

const refused = (status: number, code?: string): RpcStep => ({
  data: null,
  error: { message: "canary", ...(code !== undefined && { code }) },
  status
})

describe("DedupeStoreSupabase", () => {
  it.effect("claims with pause_status_claim(event), in one call", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* claimed(
        answered({ outcome: "claimed", token: 41, attempt: 2, leaseSeconds: 30 })
      )
      assert.deepStrictEqual(outcome, claim)
      assert.deepStrictEqual(asked, [{ name: "pause_status_claim", args: { event: { ...pauseEvent } } }])
    })
  )

  it.effect("completes with pause_status_complete(event_id, token, receipt)", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* completed(answered({ outcome: "completed" }))
      assert.strictEqual(outcome, "settled")
      assert.deepStrictEqual(asked, [
        { name: "pause_status_complete", args: { event_id: eventId, token: 41, receipt } }
      ])
    })
  )

  it.effect("releases with pause_status_release(event_id, token, error)", () =>
    Effect.gen(function* () {
      const { asked, outcome } = yield* released(answered({ outcome: "released" }))
      assert.strictEqual(outcome, "settled")
      assert.deepStrictEqual(asked, [
        { name: "pause_status_release", args: { event_id: eventId, token: 41, error: { ...transient } } }
      ])
    })
  )

  it.effect("a stale token settles nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* completed(answered({ outcome: "stale" }))).outcome, "stale")
      assert.strictEqual((yield* released(answered({ outcome: "stale" }))).outcome, "stale")
    })
  )

  it.effect.each([
    { answer: { outcome: "in_flight", retryAfterSeconds: 12 }, tag: "EventInFlight", retryAfterSeconds: 12 },
    { answer: { outcome: "completed", receipt }, tag: "AlreadyProcessed", receipt },
    { answer: { outcome: "payload_mismatch" }, tag: "PayloadMismatch" },
    { answer: { outcome: "failed" }, tag: "EventDeadLettered" }
  ])("an answer keeps an event from being claimed: $tag", ({ answer, tag, ...members }) =>
    Effect.gen(function* () {
      const { outcome } = yield* claimed(answered(answer))
      assert.deepInclude<unknown>(outcome, { _tag: tag, eventId, ...members })
    })
  )

  it.effect("is unavailable when the database does not answer in time, and tried no second time", () =>
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

  for (const [operation, attempt] of [
    ["claim", claimed],
    ["complete", completed],
    ["release", released]
  ] as const) {
    it.effect.each([
      ["a connection that fails", "rejects", /no connection/],
      ["a client that reports no connection", refused(0), /no connection/],
      ["a refused key", refused(401, "PGRST301"), /401.*secret key/],
      ["a forbidden function", refused(403, "42501"), /403.*secret key/],
      ["a missing function", refused(404, "PGRST202"), new RegExp(`pause_status_${operation}.*supabase/migrations`)],
      ["an SQL error", refused(400, "22023"), /400 \(22023\)/],
      ["a gateway's error", refused(503), /503/],
      ["an answer of another shape", answered({ outcome: "maybe" }), /supabase\/migrations/],
      ["an answer without its members", answered({ outcome: "claimed", token: "41" }), /supabase\/migrations/],
      ["an empty answer", answered(null), /supabase\/migrations/]
    ] as const)(`${operation} is unavailable after %s, and says what to do`, ([, step, detail]) =>
      Effect.gen(function* () {
        const { asked, outcome } = yield* attempt(step)
        if (typeof outcome === "string" || !("_tag" in outcome)) return assert.fail("it was available")
        assert.strictEqual(outcome._tag, "DedupeStoreUnavailable")
        assert.match(outcome.message, detail)
        assert.include(outcome.message, operation)
        assert.notInclude(outcome.message, "canary")
        assert.lengthOf(asked, 1)
      })
    )
  }
})
