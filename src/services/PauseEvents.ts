import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EventTime, MentorId } from "../schema/Identifiers.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Direction, NoChangeReason } from "../schema/Transition.ts"
import type { UpdatePayload, WebhookPayload } from "../schema/WebhookPayload.ts"
import { eventIdFromKey } from "./EventIdentity.ts"
import { InvalidPayload } from "./Payload.ts"
import { detectTransitionDirection } from "./Transition.ts"

/** A legal payload of which nobody is told. **Shape** `reason` says why. */
export interface NoChange {
  readonly transition: "NO_CHANGE"
  readonly mentorId: MentorId
  readonly reason: NoChangeReason
}

/** Nothing in the payload says when the change happened, so it cannot be told from another one. */
export class NoEventTime extends Data.TaggedError("NoEventTime") {
  override readonly message =
    "The payload says nowhere when the change happened: send event_id and timestamp, " +
    "or add an updated_at timestamptz column that every UPDATE sets"
}

const isEventTime = Schema.is(EventTime)

const eventTimeOf = (payload: UpdatePayload): EventTime | undefined => {
  const time = payload.timestamp ?? payload.record.updated_at
  return isEventTime(time) ? time : undefined
}

const extractUpdate = Effect.fnUntracedEager(function* (
  payload: UpdatePayload,
  transition: Direction,
  mentorId: MentorId,
  webhookId: string | undefined
): Effect.fn.Return<PauseEvent, InvalidPayload | NoEventTime> {
  const occurredAt = eventTimeOf(payload)
  if (occurredAt === undefined) return yield* new NoEventTime()
  const eventId = yield* eventIdFromKey(payload.event_id ?? webhookId ?? `${mentorId} ${occurredAt} ${transition}`)
  if (payload.event_id !== undefined && webhookId !== undefined && (yield* eventIdFromKey(webhookId)) !== eventId) {
    return yield* new InvalidPayload({
      issues: [{ path: ["event_id"], message: "Expected the signed webhook-id" }]
    })
  }
  return {
    eventId,
    mentorId,
    transition,
    oldStatus: payload.old_record.status,
    newStatus: payload.record.status,
    occurredAt,
    ...(payload.version !== undefined && { version: payload.version }),
    ...(payload.force !== undefined && { force: payload.force }),
    source: payload.event_id === undefined || payload.version === undefined ? "webhook" : "outbox"
  }
})

/**
 * Makes the event of a payload, or says why there is none.
 *
 * Its id is the outbox's `event_id`, which must be the signed `webhook-id`; else the signed `webhook-id`; else it is
 * derived from mentor id, raw event time and transition, which is all that a stock dashboard webhook offers.
 *
 * **Fails with** NoEventTime; InvalidPayload when `event_id` is not the signed one.
 */
export const extractPauseEvent = (
  payload: WebhookPayload,
  webhookId?: string
): Effect.Effect<PauseEvent | NoChange, InvalidPayload | NoEventTime> => {
  const mentorId = MentorId.make(payload.record.id.toLowerCase())
  if (payload.type === "INSERT") return Effect.succeed({ transition: "NO_CHANGE", mentorId, reason: "inserted" })
  const transition = detectTransitionDirection(payload.old_record.status, payload.record.status)
  return transition.type === "NO_CHANGE"
    ? Effect.succeed({ transition: "NO_CHANGE", mentorId, reason: transition.reason })
    : extractUpdate(payload, transition.type, mentorId, webhookId)
}
