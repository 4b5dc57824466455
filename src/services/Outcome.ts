import * as Cause from "effect/Cause"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { ClaimError } from "./DedupeStore.ts"
import type { OrchestratorError } from "./OrchestratorClient.ts"
import type { NoChange, NoEventTime } from "./PauseEvents.ts"
import type { InvalidPayload, MalformedBody } from "./Payload.ts"
import type { Notified } from "./Round.ts"
import type { SignatureRejected, SignatureStale } from "./SignatureVerifier.ts"

/** How one payload ended well. */
export type Handled = Notified | NoChange

/** What is wrong with one payload. */
export type PayloadError = InvalidPayload | NoEventTime

/** How one payload ended otherwise. */
export type EventError = PayloadError | ClaimError | OrchestratorError

/** How a delivery ended otherwise; each error says by itself what the sender is to do. */
export type WebhookError = SignatureRejected | SignatureStale | MalformedBody | EventError

/** How one of several payloads or events ended. **Shape** `eventId` is missing when the payload names none that can be read. */
export interface BatchItem {
  readonly eventId: EventId | undefined
  readonly result: Result.Result<Handled, EventError>
}

/**
 * How a delivery of several payloads ended: each on its own, in the order they came.
 *
 * **Shape** `continued` says how the further events ended that the delivery went on with.
 */
export interface HandledBatch {
  readonly transition: "BATCH"
  readonly items: ReadonlyArray<BatchItem>
  readonly continued: ReadonlyArray<BatchItem>
}

/** What is known of a delivery's subject before its end. */
export type Seen = PauseEvent | NoChange | undefined

/** What a program failed with; nothing when that is a defect. */
export const firstError = <E>(cause: Cause.Cause<E>): E | undefined => cause.reasons.find(Cause.isFailReason)?.error
