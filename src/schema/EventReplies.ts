import * as Schema from "effect/Schema"
import { EventHistory, StoredEvent } from "./Events.ts"
import { Direction } from "./Transition.ts"

const words = {
  mentorId: Schema.optionalKey(Schema.String),
  transition: Schema.optionalKey(Direction),
  oldStatus: Schema.optionalKey(Schema.String),
  newStatus: Schema.optionalKey(Schema.String)
}

/** The fields that an event has in its topic. **Shape** a pause-status event has all four, any other none. */
export type EventWords = Schema.Struct.Type<typeof words>

const EventReply = Schema.Struct({ ...StoredEvent.fields, ...words }).annotate({ identifier: "Event" })

/** 200: an event with its attempts, oldest first, and its newest dead letter. */
export const EventHistoryReply = Schema.Struct({ ...EventHistory.fields, ...words })

/** 200: a page of events, newest first. **Shape** `nextCursor` is opaque, null on the last page. */
export const EventPageReply = Schema.Struct({
  events: Schema.Array(EventReply),
  nextCursor: Schema.NullOr(Schema.String)
})

/**
 * 200: the result of a redrive or a resolve, or with `dryRun` what it would be. Resolving a pending event gives
 * `cancelled`.
 *
 * **Shape** `already_pending` and `already_resolved` mean that there was nothing to do; `event` is the event
 * afterwards.
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
  event: EventReply
})
export type EventChangeReply = typeof EventChangeReply.Type
