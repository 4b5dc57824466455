import * as Schema from "effect/Schema"
import { StoredEvent } from "./Events.ts"

/** 200: a page of events, newest first. **Shape** `nextCursor` is opaque, null on the last page. */
export const EventPageReply = Schema.Struct({
  events: Schema.Array(StoredEvent),
  nextCursor: Schema.NullOr(Schema.String)
})

/**
 * 200: what became of a redrive or a resolve, or with `dryRun` would have. `cancelled` is what a resolve does to a
 * pending event.
 *
 * **Shape** `already_pending` and `already_resolved` say that there was nothing to do; `event` is the event after it.
 */
export const EventChangeReply = Schema.Struct({
  outcome: Schema.Literals([
    "redriven",
    "would_redrive",
    "already_pending",
    "resolved",
    "would_resolve",
    "already_resolved",
    "cancelled",
    "would_cancel"
  ]),
  dryRun: Schema.Boolean,
  event: StoredEvent
})
export type EventChangeReply = typeof EventChangeReply.Type
