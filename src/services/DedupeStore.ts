import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { EventId, EventTime } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"

/**
 * An event as the outbox keeps it. Two deliveries with one event id are the same event only if topic, key, time, version
 * and record are.
 *
 * **Shape** `record` and `oldRecord` are what the topic's Schema decoded; `oldRecord` is null for an INSERT; `version` is
 * missing for a stock webhook.
 */
export interface OutboxEvent {
  readonly eventId: EventId
  readonly topic: string
  readonly key: string
  readonly version?: number
  readonly occurredAt: EventTime
  readonly source: "outbox" | "webhook"
  readonly record: Readonly<Record<string, unknown>>
  readonly oldRecord: Readonly<Record<string, unknown>> | null
}

/**
 * The terms of a claim.
 *
 * **Shape** `token` is a fencing token: it grows with every claim, so a late handler's token is outdated. `attempt`
 * counts from 1.
 * **Units** `leaseSeconds` from the moment of the claim.
 */
interface Grant {
  readonly token: number
  readonly attempt: number
  readonly leaseSeconds: number
}

/** The right to process an event until the lease ends. */
export interface Claim extends Grant {
  readonly eventId: EventId
}

/** A further event, already claimed. **Shape** `payload` is the body of a delivery of it, not yet read. */
export interface Next extends Grant {
  readonly payload: unknown
}

/**
 * How a claim is released: `permanent`, a retry cannot succeed; `transient`, a retry may succeed; `parked`, nothing was
 * tried, so it does not count as a failure.
 *
 * **Units** `retryAfterSeconds` is how long the failed service asks to wait; `status` its HTTP status.
 */
export interface Release {
  readonly kind: "transient" | "permanent" | "parked"
  readonly status?: number | undefined
  readonly retryAfterSeconds?: number | undefined
}

/** Why a claim is released. */
export interface ReleaseReason extends Release {
  readonly message: string
}

/** How a claim ends: completed with the topic's receipt, or released. */
export type Settlement = { readonly claim: Claim } & (
  | { readonly outcome: "completed"; readonly receipt: Receipt }
  | { readonly outcome: "released"; readonly reason: ReleaseReason }
)

/**
 * The result of a settlement: `dead` if the event failed for good, `stale` if a later claim holds or settled the event
 * and nothing was changed, `invalid` if the store cannot save it.
 */
export type Settled = "completed" | "released" | "dead" | "stale" | "invalid"

/** The results of settlements, in their order. **Shape** `next` are further events, already claimed. */
export interface SettledBatch {
  readonly settled: ReadonlyArray<Settled>
  readonly next: ReadonlyArray<Next>
}

/** This event was handled before; its receipt is attached. */
export class AlreadyProcessed extends Data.TaggedError("AlreadyProcessed")<{
  readonly eventId: EventId
  readonly receipt: Receipt
}> {
  override readonly message = "This event has already been processed; its receipt is attached"
}

/** Another delivery of this event holds the claim. **Units** `retryAfterSeconds` until its lease ends. */
export class EventInFlight extends Data.TaggedError("EventInFlight")<{
  readonly eventId: EventId
  readonly retryAfterSeconds: number
}> {
  override readonly message = "Another delivery of this event is being processed"
}

/** The event failed for good; a person has to redrive it. */
export class EventDeadLettered extends Data.TaggedError("EventDeadLettered")<{
  readonly eventId: EventId
}> {
  override readonly message = "This event is a dead letter; redrive it to process it again"
}

/** An earlier version of the same key is not settled yet. **Units** `retryAfterSeconds` until a retry is useful. */
export class EventOutOfOrder extends Data.TaggedError("EventOutOfOrder")<{
  readonly eventId: EventId
  readonly retryAfterSeconds: number
}> {
  override readonly message = "An earlier event of this key is not settled yet"
}

/**
 * The event claims to come from the outbox, but the outbox does not have it. It comes from a copy of this project, or a
 * crash of the database lost its transaction. It must not be handled.
 */
export class EventNotInOutbox extends Data.TaggedError("EventNotInOutbox")<{
  readonly eventId: EventId
}> {
  override readonly message = "The outbox of this project has no event with this id"
}

/** The store can never hold this event. */
export class EventUnstorable extends Data.TaggedError("EventUnstorable")<{
  readonly eventId: EventId
}> {
  override readonly message = "The database cannot store this event"
}

/** The key was used for a different event. */
export class PayloadMismatch extends Data.TaggedError("PayloadMismatch")<{
  readonly eventId: EventId
}> {
  override readonly message = "This event id was used before with a different payload"
}

/** The store did not answer, or its answer could not be read. */
export class DedupeStoreUnavailable extends Data.TaggedError("DedupeStoreUnavailable")<{
  readonly operation: "claim" | "settle"
  readonly detail: string
}> {
  override get message(): string {
    return `The claim store could not ${this.operation}: ${this.detail}`
  }
}

/** Every reason why one event cannot be claimed. */
export type ClaimRefused =
  | AlreadyProcessed
  | EventInFlight
  | EventDeadLettered
  | EventOutOfOrder
  | EventNotInOutbox
  | EventUnstorable
  | PayloadMismatch

/** Every reason why an event cannot be claimed, including a store that is unavailable. */
export type ClaimError = ClaimRefused | DedupeStoreUnavailable

/**
 * Remembers which events are being processed and which are done. An event is first claimed with a lease, then completed
 * with a receipt, but only after its topic handled it. Both methods take many events at once and answer each
 * separately, in the order given.
 *
 * - `claim` is atomic: of any number of simultaneous claims of one event, exactly one succeeds. After the lease has
 *   expired, the event can be claimed again, with a higher token. An outbox event can be claimed only if this store's
 *   outbox has it.
 * - `settle` saves the receipt, or releases the event so that a retry is not a duplicate. With an old token it answers
 *   `stale` and changes nothing. Completing twice with one token is `completed`, because the first answer may have been
 *   lost. It also claims up to `take` further events of the topic for the caller, first those that waited for the
 *   settled ones.
 *
 * **Fails with** DedupeStoreUnavailable, for all events of the call.
 */
export class DedupeStore extends Context.Service<
  DedupeStore,
  {
    readonly claim: (
      events: ReadonlyArray<OutboxEvent>
    ) => Effect.Effect<ReadonlyArray<Result.Result<Claim, ClaimRefused>>, DedupeStoreUnavailable>
    readonly settle: (
      settlements: ReadonlyArray<Settlement>,
      options: { readonly topic: string; readonly take: number }
    ) => Effect.Effect<SettledBatch, DedupeStoreUnavailable>
  }
>()("pause-status-webhook-handler/services/DedupeStore") {}
