import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EventId } from "../schema/Identifiers.ts"
import { type PauseEvent, Receipt } from "../schema/PauseEvent.ts"

/**
 * The right to process an event until the lease ends.
 *
 * **Shape** `token` fences: it grows with every claim, so a late finisher's is old. `attempt` counts claims from 1.
 * **Units** `leaseSeconds` from the moment of the claim.
 */
export interface Claim {
  readonly event: PauseEvent
  readonly token: number
  readonly attempt: number
  readonly leaseSeconds: number
}

/** Why a claim is given back. **Units** `retryAfterSeconds` is the orchestrator's own Retry-After. */
export interface ReleaseReason {
  readonly kind: "transient" | "permanent"
  readonly message: string
  readonly retryAfterSeconds?: number
}

/** Whether a settlement counted: `stale` when a later claim holds or settled the event; nothing was changed then. */
export type Settlement = "settled" | "stale"

/** The orchestrator accepted this event before; its receipt comes along. */
export class AlreadyProcessed extends Schema.TaggedError<AlreadyProcessed>()("AlreadyProcessed", {
  eventId: EventId,
  receipt: Receipt
}) {
  override get message(): string {
    return "This event was processed before; its receipt is attached"
  }
}

/** Another delivery of this event holds the claim. **Units** `retryAfterSeconds` until its lease ends. */
export class EventInFlight extends Schema.TaggedError<EventInFlight>()("EventInFlight", {
  eventId: EventId,
  retryAfterSeconds: Schema.Int
}) {
  override get message(): string {
    return "Another delivery of this event is being processed"
  }
}

/** The event failed for good; a person redrives it. */
export class EventDeadLettered extends Schema.TaggedError<EventDeadLettered>()("EventDeadLettered", {
  eventId: EventId
}) {
  override get message(): string {
    return "This event is a dead letter; redrive it to have it processed again"
  }
}

/** The key was used for a different event. */
export class PayloadMismatch extends Schema.TaggedError<PayloadMismatch>()("PayloadMismatch", {
  eventId: EventId
}) {
  override get message(): string {
    return "This event id was used before with a different payload"
  }
}

/** The store did not answer, or not in words we know. */
export class DedupeStoreUnavailable extends Schema.TaggedError<DedupeStoreUnavailable>()("DedupeStoreUnavailable", {
  operation: Schema.Literals(["claim", "complete", "release"]),
  detail: Schema.String
}) {
  override get message(): string {
    return `The claim store could not ${this.operation}: ${this.detail}`
  }
}

/** All that keeps an event from being claimed. */
export type ClaimError = AlreadyProcessed | EventInFlight | EventDeadLettered | PayloadMismatch | DedupeStoreUnavailable

/**
 * Remembers which events are being processed and which are done. Two states: a claim with a lease, then completed
 * with a receipt; nothing is done before the orchestrator accepted it.
 *
 * - `claim` is atomic: of any number of simultaneous claims of one event exactly one succeeds. An expired lease can
 *   be claimed again, with a higher token.
 * - `complete` keeps the receipt; `release` gives the event back so that a retry is not a duplicate. With an old
 *   token both answer `stale` and change nothing. Completing twice with one token is settled: the first answer may have
 *   been lost.
 *
 * **Fails with** ClaimError; settling only with DedupeStoreUnavailable.
 */
export class DedupeStore extends Context.Service<
  DedupeStore,
  {
    readonly claim: (event: PauseEvent) => Effect.Effect<Claim, ClaimError>
    readonly complete: (claim: Claim, receipt: Receipt) => Effect.Effect<Settlement, DedupeStoreUnavailable>
    readonly release: (claim: Claim, reason: ReleaseReason) => Effect.Effect<Settlement, DedupeStoreUnavailable>
  }
>()("pause-status-webhook-handler/services/DedupeStore") {}

/**
 * What must be equal for two deliveries of one event id to be the same event.
 *
 * **Shape** mentor id, transition, raw event time and version (or `-`), joined by spaces; the SQL function
 * pause_status.fingerprint writes the same text.
 */
export const fingerprint = (event: PauseEvent): string =>
  `${event.mentorId.toLowerCase()} ${event.transition} ${event.occurredAt} ${event.version ?? "-"}`
