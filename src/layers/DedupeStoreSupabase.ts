import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { PauseEvent, Receipt } from "../schema/PauseEvent.ts"
import {
  AlreadyProcessed,
  DedupeStore,
  DedupeStoreUnavailable,
  EventDeadLettered,
  EventInFlight,
  PayloadMismatch,
  type Settlement
} from "../services/DedupeStore.ts"
import { SupabaseRest } from "./SupabaseRest.ts"

const outcome = <const Tag extends string>(tag: Tag) => Schema.Struct({ outcome: Schema.Literal(tag) })

const decodeClaim = Schema.decodeUnknownEffect(
  Schema.Union([
    Schema.Struct({
      outcome: Schema.Literal("claimed"),
      token: Schema.Int,
      attempt: Schema.Int,
      leaseSeconds: Schema.Finite
    }),
    Schema.Struct({ outcome: Schema.Literal("in_flight"), retryAfterSeconds: Schema.Int }),
    Schema.Struct({ outcome: Schema.Literal("completed"), receipt: Receipt }),
    outcome("payload_mismatch"),
    outcome("failed")
  ])
)

const decodeSettled = Schema.decodeUnknownEffect(
  Schema.Struct({ outcome: Schema.Literals(["completed", "released", "stale"]) })
)

const encodeEvent = Schema.encodeSync(PauseEvent)

const unavailable = (operation: DedupeStoreUnavailable["operation"]) => (failed: { readonly detail: string }) =>
  new DedupeStoreUnavailable({ operation, detail: failed.detail })

const settlement = (answer: { readonly outcome: string }): Settlement =>
  answer.outcome === "stale" ? "stale" : "settled"

/**
 * The outbox itself is the claim store: public.pause_status_claim, _complete and _release, each one statement in
 * Postgres and one round trip.
 */
export const layer = Layer.effect(
  DedupeStore,
  Effect.gen(function* () {
    const database = yield* SupabaseRest
    return DedupeStore.of({
      claim: Effect.fn("DedupeStore.claim")(function* (event) {
        const { eventId } = event
        const answer = yield* database
          .rpc("pause_status_claim", { event: encodeEvent(event) }, decodeClaim)
          .pipe(Effect.mapError(unavailable("claim")))
        switch (answer.outcome) {
          case "claimed":
            return {
              event,
              token: answer.token,
              attempt: answer.attempt,
              leaseSeconds: answer.leaseSeconds
            }
          case "in_flight":
            return yield* new EventInFlight({
              eventId,
              retryAfterSeconds: answer.retryAfterSeconds
            })
          case "completed":
            return yield* new AlreadyProcessed({ eventId, receipt: answer.receipt })
          case "payload_mismatch":
            return yield* new PayloadMismatch({ eventId })
          case "failed":
            return yield* new EventDeadLettered({ eventId })
        }
      }),
      complete: Effect.fn("DedupeStore.complete")(({ event, token }, receipt) =>
        database
          .rpc("pause_status_complete", { event_id: event.eventId, token, receipt }, decodeSettled)
          .pipe(Effect.mapBoth({ onFailure: unavailable("complete"), onSuccess: settlement }))
      ),
      release: Effect.fn("DedupeStore.release")(({ event, token }, reason) =>
        database
          .rpc("pause_status_release", { event_id: event.eventId, token, error: reason }, decodeSettled)
          .pipe(Effect.mapBoth({ onFailure: unavailable("release"), onSuccess: settlement }))
      )
    })
  })
)
