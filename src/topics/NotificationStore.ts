import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Receipt } from "../schema/Receipt.ts"
import type { EventUnstorable, PayloadMismatch } from "../services/DedupeStore.ts"

/** The notifications could not be written; none was. */
export class NotificationStoreUnavailable extends Data.TaggedError("NotificationStoreUnavailable")<{
  readonly detail: string
}> {
  override get message(): string {
    return `The notifications could not be written: ${this.detail}`
  }
}

/** A newer event of this mentor has already been notified, so this one must not be. */
export class EventSuperseded extends Data.TaggedError("EventSuperseded")<{
  readonly eventId: EventId
}> {
  override readonly message = "A newer event of this mentor has already been notified"
}

/** What became of an event. **Shape** `replayed` when it was notified before and `receipt` is the first one. */
export interface Written {
  readonly receipt: Receipt
  readonly replayed: boolean
}

/** Why an event's notifications were not written. */
export type WriteRefused = PayloadMismatch | EventSuperseded | EventUnstorable

/**
 * Writes one notification for each coordinator of each event's mentor, all or none, once per event id, and never one
 * that is older than the last one that the mentor's coordinators got. Answers each event on its own, in the order given.
 *
 * **Fails with** NotificationStoreUnavailable, for all of them.
 */
export class NotificationStore extends Context.Service<
  NotificationStore,
  {
    readonly write: (
      events: ReadonlyArray<PauseEvent>
    ) => Effect.Effect<ReadonlyArray<Result.Result<Written, WriteRefused>>, NotificationStoreUnavailable>
  }
>()("pause-status-webhook-handler/topics/NotificationStore") {}
