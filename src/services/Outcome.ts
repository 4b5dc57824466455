import * as Cause from "effect/Cause"
import type * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"
import type { ClaimError, Release } from "./DedupeStore.ts"
import type { Extracted, NoChange, NoEventTime } from "./Extract.ts"
import type { InvalidPayload, MalformedBody } from "./Payload.ts"
import type { SignatureRejected, SignatureStale } from "./SignatureVerifier.ts"

/**
 * What the engine asks of a topic's error.
 *
 * **Shape** `_tag` and `message` go into the log, the reply and the event's history: neither may hold a secret. `release`
 * says what becomes of the event, and `eventId` names it in a reply.
 */
export interface TopicError {
  readonly _tag: string
  readonly message: string
  readonly eventId?: string
  readonly release: Release
}

/** What is wrong with one payload. */
export type PayloadError = InvalidPayload | NoEventTime

/** How one payload failed. */
export type EventError<E> = PayloadError | ClaimError | E

/** How a delivery failed; each error says what the sender is to do. */
export type WebhookError<E> = SignatureRejected | SignatureStale | MalformedBody | EventError<E>

/**
 * The topic has just handled the event.
 *
 * **Shape** `status` is `no_recipients` when the receipt says that nobody was reached, else the topic's word; `continued` lists the further events that the same delivery handled, if any, and how each ended.
 */
export interface Handled<Event> {
  readonly _tag: "Handled"
  readonly status: string
  readonly eventId: EventId
  readonly key: string
  readonly event: Event
  readonly receipt: Receipt
  readonly continued?: ReadonlyArray<BatchItem<Event, TopicError>>
}

/** How one of several payloads or events ended. **Shape** `eventId` is missing when the payload names none that can be read. */
export interface BatchItem<Event, E> {
  readonly eventId: EventId | undefined
  readonly result: Result.Result<Handled<Event> | NoChange, EventError<E>>
}

/**
 * How a delivery of several payloads ended: each on its own, in the order they came.
 *
 * **Shape** `continued` says how the further events ended that the delivery went on with.
 */
export interface HandledBatch<Event, E> {
  readonly _tag: "Batch"
  readonly items: ReadonlyArray<BatchItem<Event, E>>
  readonly continued: ReadonlyArray<BatchItem<Event, E>>
}

/** How a delivery succeeded. */
export type Ended<Event, E> = Handled<Event> | NoChange | HandledBatch<Event, E>

/** What is known about a delivery before its end. */
export type Seen<Event> = Extracted<Event> | NoChange | undefined

/** What a program failed with; nothing if it was a defect. */
export const firstError = <E>(cause: Cause.Cause<E>): E | undefined => cause.reasons.find(Cause.isFailReason)?.error
