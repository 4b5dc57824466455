import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Receipt } from "../schema/Receipt.ts"
import {
  AlreadyProcessed,
  type Claim,
  type ClaimRefused,
  DedupeStore,
  DedupeStoreUnavailable,
  EventDeadLettered,
  EventInFlight,
  EventNotInOutbox,
  EventOutOfOrder,
  EventUnstorable,
  type OutboxEvent,
  PayloadMismatch,
  type Settled,
  type Settlement
} from "../services/DedupeStore.ts"
import { storableReceipt } from "./StorableReceipt.ts"
import { SupabaseRest } from "./SupabaseRest.ts"

const outcome = <const Tag extends string>(tag: Tag) => Schema.Struct({ outcome: Schema.Literal(tag) })

const granted = { token: Schema.Int, attempt: Schema.Int, leaseSeconds: Schema.Finite }

const ClaimAnswer = Schema.Union([
  Schema.Struct({ outcome: Schema.Literal("claimed"), ...granted }),
  Schema.Struct({ outcome: Schema.Literals(["in_flight", "out_of_order"]), retryAfterSeconds: Schema.Int }),
  Schema.Struct({ outcome: Schema.Literal("completed"), receipt: Receipt }),
  outcome("payload_mismatch"),
  outcome("failed"),
  outcome("unknown_event"),
  outcome("invalid")
])
const decodeClaims = Schema.decodeUnknownEffect(Schema.Array(ClaimAnswer))
const decodeSettled = Schema.decodeUnknownEffect(
  Schema.Struct({
    settled: Schema.Array(
      Schema.Struct({ outcome: Schema.Literals(["completed", "released", "dead", "stale", "invalid"]) })
    ),
    next: Schema.Array(Schema.Struct({ payload: Schema.Unknown, ...granted }))
  })
)

const toClaim = ({ eventId }: OutboxEvent, answer: typeof ClaimAnswer.Type): Result.Result<Claim, ClaimRefused> => {
  switch (answer.outcome) {
    case "claimed": {
      const { attempt, leaseSeconds, token } = answer
      return Result.succeed({ eventId, token, attempt, leaseSeconds })
    }
    case "in_flight":
      return Result.fail(new EventInFlight({ eventId, retryAfterSeconds: answer.retryAfterSeconds }))
    case "out_of_order":
      return Result.fail(new EventOutOfOrder({ eventId, retryAfterSeconds: answer.retryAfterSeconds }))
    case "completed":
      return Result.fail(new AlreadyProcessed({ eventId, receipt: answer.receipt }))
    case "payload_mismatch":
      return Result.fail(new PayloadMismatch({ eventId }))
    case "failed":
      return Result.fail(new EventDeadLettered({ eventId }))
    case "unknown_event":
      return Result.fail(new EventNotInOutbox({ eventId }))
    case "invalid":
      return Result.fail(new EventUnstorable({ eventId }))
  }
}

const toSettled = (_: Settlement, { outcome }: { readonly outcome: Settled }): Settled => outcome

const encodeSettlement = (settlement: Settlement) => ({
  eventId: settlement.claim.eventId,
  token: settlement.claim.token,
  outcome: settlement.outcome,
  ...(settlement.outcome === "completed" ? { receipt: storableReceipt(settlement.receipt) } : settlement.reason)
})

const unavailable = (operation: DedupeStoreUnavailable["operation"]) => (failed: { readonly detail: string }) =>
  new DedupeStoreUnavailable({ operation, detail: failed.detail })

/** Pairs each that was asked with its answer, when the store has one for all of them. */
const pair =
  <A, B, C>(operation: DedupeStoreUnavailable["operation"], asked: ReadonlyArray<A>, f: (asked: A, answer: B) => C) =>
  (answers: ReadonlyArray<B>): Effect.Effect<ReadonlyArray<C>, DedupeStoreUnavailable> =>
    asked.length === answers.length
      ? Effect.succeed(Array.zipWith(asked, answers, f))
      : new DedupeStoreUnavailable({ operation, detail: "it answered for fewer events than were sent" })

/**
 * The outbox itself is the claim store: public.outbox_claim and public.outbox_settle, each one round trip
 * for any number of events.
 */
export const layer = Layer.effect(
  DedupeStore,
  Effect.gen(function* () {
    const database = yield* SupabaseRest
    return DedupeStore.of({
      claim: (events) =>
        database
          .rpc("outbox_claim", { events }, decodeClaims)
          .pipe(Effect.mapError(unavailable("claim")), Effect.flatMap(pair("claim", events, toClaim))),
      settle: (settlements, options) =>
        database
          .rpc("outbox_settle", { settlements: settlements.map(encodeSettlement), ...options }, decodeSettled)
          .pipe(
            Effect.mapError(unavailable("settle")),
            Effect.flatMap(({ next, settled }) =>
              Effect.map(pair("settle", settlements, toSettled)(settled), (settled) => ({ settled, next }))
            )
          )
    })
  })
)
