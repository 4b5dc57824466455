import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"

/**
 * The right to process an event until the lease ends.
 *
 * **Shape** `token` fences: it grows with every claim, so a late finisher's is old. `attempt` counts from 1.
 * **Units** `leaseSeconds` from the moment of the claim.
 */
export interface Claim {
  readonly event: PauseEvent
  readonly token: number
  readonly attempt: number
  readonly leaseSeconds: number
}

/**
 * Why a claim is given back: `permanent` will fail again however often it is tried, `transient` may not, `parked` was
 * not tried at all and does not count.
 *
 * **Units** `retryAfterSeconds` is the orchestrator's own Retry-After; `status` its HTTP status.
 */
export interface ReleaseReason {
  readonly kind: "transient" | "permanent" | "parked"
  readonly message: string
  readonly status?: number
  readonly retryAfterSeconds?: number
}

/** How a claim ends: with the orchestrator's receipt, or given back. */
export type Settlement = { readonly claim: Claim } & (
  | { readonly outcome: "completed"; readonly receipt: Receipt }
  | { readonly outcome: "released"; readonly reason: ReleaseReason }
)

/**
 * What a settlement came to: `dead` when the event failed for good, `stale` when a later claim holds or settled the
 * event and nothing was changed, `invalid` when the store cannot keep it.
 */
export type Settled = "completed" | "released" | "dead" | "stale" | "invalid"

/** What settlements came to, in their order. **Shape** `next` are further events, claimed already. */
export interface SettledBatch {
  readonly settled: ReadonlyArray<Settled>
  readonly next: ReadonlyArray<Claim>
}

/** The orchestrator accepted this event before; its receipt comes along. */
export class AlreadyProcessed extends Data.TaggedError("AlreadyProcessed")<{
  readonly eventId: EventId
  readonly receipt: Receipt
}> {
  override readonly message = "This event was processed before; its receipt is attached"
}

/** Another delivery of this event holds the claim. **Units** `retryAfterSeconds` until its lease ends. */
export class EventInFlight extends Data.TaggedError("EventInFlight")<{
  readonly eventId: EventId
  readonly retryAfterSeconds: number
}> {
  override readonly message = "Another delivery of this event is being processed"
}

/** The event failed for good; a person redrives it. */
export class EventDeadLettered extends Data.TaggedError("EventDeadLettered")<{
  readonly eventId: EventId
}> {
  override readonly message = "This event is a dead letter; redrive it to have it processed again"
}

/** An earlier version of the same mentor is not settled yet. **Units** `retryAfterSeconds` until it is worth a try. */
export class EventOutOfOrder extends Data.TaggedError("EventOutOfOrder")<{
  readonly eventId: EventId
  readonly retryAfterSeconds: number
}> {
  override readonly message = "An earlier event of this mentor is not settled yet"
}

/**
 * The event says that it is from the outbox, which does not have it: it comes from a copy of this project, or a crash of
 * the database took its transaction back. Nobody may be notified of it.
 */
export class EventNotInOutbox extends Data.TaggedError("EventNotInOutbox")<{
  readonly eventId: EventId
}> {
  override readonly message = "The outbox of this project has no event with this id"
}

/** The store cannot hold this event, and never will. */
export class EventUnstorable extends Data.TaggedError("EventUnstorable")<{
  readonly eventId: EventId
}> {
  override readonly message = "The database cannot hold this event, and never will"
}

/** The key was used for a different event. */
export class PayloadMismatch extends Data.TaggedError("PayloadMismatch")<{
  readonly eventId: EventId
}> {
  override readonly message = "This event id was used before with a different payload"
}

/** The store did not answer, or not in words we know. */
export class DedupeStoreUnavailable extends Data.TaggedError("DedupeStoreUnavailable")<{
  readonly operation: "claim" | "settle"
  readonly detail: string
}> {
  override get message(): string {
    return `The claim store could not ${this.operation}: ${this.detail}`
  }
}

/** All that keeps one event from being claimed. */
export type ClaimRefused =
  | AlreadyProcessed
  | EventInFlight
  | EventDeadLettered
  | EventOutOfOrder
  | EventNotInOutbox
  | EventUnstorable
  | PayloadMismatch

/** All that keeps an event from being claimed, the store's own absence included. */
export type ClaimError = ClaimRefused | DedupeStoreUnavailable

/**
 * Remembers which events are being processed and which are done. Two states: a claim with a lease, then completed
 * with a receipt; nothing is done before the orchestrator accepted it. Takes many events at once, and answers each on
 * its own, in the order given.
 *
 * - `claim` is atomic: of any number of simultaneous claims of one event exactly one succeeds. An expired lease can
 *   be claimed again, with a higher token. An event from an outbox is granted only if this store's outbox has it.
 * - `settle` keeps the receipt, or gives the event back so that a retry is not a duplicate. With an old token it
 *   answers `stale` and changes nothing. Completing twice with one token is `completed`: the first answer may have been
 *   lost. It also claims at most `take` further events for the caller, those first that were waiting for the settled ones.
 *
 * **Fails with** DedupeStoreUnavailable, for all of them.
 */
export class DedupeStore extends Context.Service<
  DedupeStore,
  {
    readonly claim: (
      events: ReadonlyArray<PauseEvent>
    ) => Effect.Effect<ReadonlyArray<Result.Result<Claim, ClaimRefused>>, DedupeStoreUnavailable>
    readonly settle: (
      settlements: ReadonlyArray<Settlement>,
      options: { readonly take: number }
    ) => Effect.Effect<SettledBatch, DedupeStoreUnavailable>
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
