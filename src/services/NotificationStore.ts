import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { PauseEvent, Receipt } from "../schema/PauseEvent.ts"
import type { PayloadMismatch } from "./DedupeStore.ts"

/** The notifications could not be written; none was. */
export class NotificationStoreUnavailable extends Schema.TaggedError<NotificationStoreUnavailable>()(
  "NotificationStoreUnavailable",
  { detail: Schema.String }
) {
  override get message(): string {
    return `The notifications could not be written: ${this.detail}`
  }
}

/** What became of an event. **Shape** `replayed` when it was notified before and `receipt` is the first one. */
export interface Written {
  readonly receipt: Receipt
  readonly replayed: boolean
}

/**
 * Writes one notification for each of the mentor's coordinators, all or none, once per event id.
 *
 * **Fails with** PayloadMismatch when the event id was used for another event; NotificationStoreUnavailable.
 */
export class NotificationStore extends Context.Service<
  NotificationStore,
  {
    readonly write: (event: PauseEvent) => Effect.Effect<Written, PayloadMismatch | NotificationStoreUnavailable>
  }
>()("pause-status-webhook-handler/services/NotificationStore") {}
