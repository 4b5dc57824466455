import * as Schema from "effect/Schema"
import { EventId, EventTime, MentorId, Traceparent, Version } from "./Identifiers.ts"
import { Direction } from "./Transition.ts"

/**
 * A change of a mentor between active and paused, as the orchestrator gets it.
 *
 * **Shape** `{ eventId, mentorId, transition, oldStatus, newStatus, occurredAt, version?, source, force?, redrive?,
 * traceparent? }`;
 * `version` is missing if the sender has none; `force` asks the orchestrator to notify although a newer one has been
 * notified; `redrive` counts how often a person sent it again; `traceparent` names its trace.
 * **Source** `source` says who sent it: `outbox` (our trigger) or `webhook` (a stock database webhook).
 */
export const PauseEvent = Schema.Struct({
  eventId: EventId,
  mentorId: MentorId,
  transition: Direction,
  oldStatus: Schema.String,
  newStatus: Schema.String,
  occurredAt: EventTime,
  version: Schema.optionalKey(Version),
  source: Schema.Literals(["outbox", "webhook"]),
  force: Schema.optionalKey(Schema.Boolean),
  redrive: Schema.optionalKey(Version),
  traceparent: Schema.optionalKey(Traceparent)
})
export type PauseEvent = typeof PauseEvent.Type

/** Several events in one call; each is notified and answered on its own. */
export const PauseEvents = Schema.Array(PauseEvent)
