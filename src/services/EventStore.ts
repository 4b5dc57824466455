import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { EventQuery, Redrive, Resolve } from "../schema/EventRequests.ts"
import type { EventHistory, PagePosition, StoredEvent } from "../schema/Events.ts"
import type { QueueFigures, TopicFigures } from "../schema/Health.ts"
import type { EventId } from "../schema/Identifiers.ts"
import type { EventInFlight } from "./DedupeStore.ts"

/** The outbox cannot be read or changed right now; what was asked for may or may not have happened. */
export class EventStoreUnavailable extends Data.TaggedError("EventStoreUnavailable")<{
  readonly operation: "list" | "get" | "redrive" | "resolve" | "erase" | "health" | "figures"
  readonly detail: string
}> {
  override get message(): string {
    return `The outbox did not ${this.operation}: ${this.detail}`
  }
}

/** The topic has no such event, or none that the caller may know of; an erased one is unknown as well. */
export class EventUnknown extends Data.TaggedError("EventUnknown")<{
  readonly eventId: EventId
}> {
  override readonly message = "There is no event with this id"
}

/** A newer event of the key was handled: sending this one would undo it. */
export class RedriveSuperseded extends Data.TaggedError("RedriveSuperseded")<{
  readonly eventId: EventId
}> {
  override readonly message = "A newer event of this key has already been handled; use force to send this one anyway"
}

/** An event that was completed and reached somebody can be neither redriven nor resolved. */
export class EventNotFailed extends Data.TaggedError("EventNotFailed")<{
  readonly eventId: EventId
}> {
  override readonly message = "The event was completed: there is nothing to send again or to close"
}

/** Only what is settled can be erased: a dead letter must be resolved first, a pending event cancelled. */
export class EventNotSettled extends Data.TaggedError("EventNotSettled")<{
  readonly eventId: EventId
}> {
  override readonly message = "The event is not settled: wait until it is handled, or resolve it first"
}

/** A page of events, newest first. **Shape** `next` is where the next page begins, null on the last one. */
export interface EventPage {
  readonly events: ReadonlyArray<StoredEvent>
  readonly next: PagePosition | null
}

/** What to list. **Shape** `userId` leaves only the events that the topic shows this user. */
export type EventSelection = Omit<EventQuery, "limit" | "transition"> & {
  readonly topic: string
  readonly limit: number
  readonly userId?: string
}

/** What became of a change that was not refused; the words are EventChangeReply's. */
export interface Changed<Outcome extends string> {
  readonly outcome: Outcome
  readonly event: StoredEvent
}

/** What a redrive can come to. */
export type Redriven = Changed<"redriven" | "would_redrive" | "already_pending">

/** What a resolve can come to. */
export type Resolved = Changed<"resolved" | "would_resolve" | "already_resolved" | "cancelled" | "would_cancel">

/** The figures, and whether Vault holds what the outbox needs to send: booleans, never a value. */
export interface EventStoreHealth extends QueueFigures {
  readonly vault: { readonly functionUrl: boolean; readonly webhookSecret: boolean }
}

/**
 * How people manage the outbox, topic by topic. An event of another topic is unknown. Each change is one transaction. It
 * may be repeated: the second time, there is nothing to do.
 *
 * **Fails with** EventStoreUnavailable; what else is in each type.
 */
export class EventStore extends Context.Service<
  EventStore,
  {
    readonly list: (selection: EventSelection) => Effect.Effect<EventPage, EventStoreUnavailable>
    readonly get: (
      topic: string,
      eventId: EventId,
      userId?: string
    ) => Effect.Effect<EventHistory, EventUnknown | EventStoreUnavailable>
    readonly redrive: (
      topic: string,
      eventId: EventId,
      options: Pick<Redrive, "force" | "dryRun">
    ) => Effect.Effect<Redriven, EventUnknown | RedriveSuperseded | EventNotFailed | EventStoreUnavailable>
    readonly resolve: (
      topic: string,
      eventId: EventId,
      options: Pick<Resolve, "notes" | "dryRun">
    ) => Effect.Effect<Resolved, EventUnknown | EventNotFailed | EventInFlight | EventStoreUnavailable>
    readonly erase: (
      topic: string,
      eventId: EventId
    ) => Effect.Effect<void, EventUnknown | EventNotSettled | EventStoreUnavailable>
    readonly health: () => Effect.Effect<EventStoreHealth, EventStoreUnavailable>
    readonly figures: () => Effect.Effect<ReadonlyArray<TopicFigures>, EventStoreUnavailable>
  }
>()("pause-status-webhook-handler/services/EventStore") {}
