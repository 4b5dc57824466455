import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { EventTime, MentorId } from "../schema/Identifiers.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { NoChangeReason } from "../schema/Transition.ts"
import { WebhookPayload } from "../schema/WebhookPayload.ts"
import { lowerCaseUuid } from "../services/EventIdentity.ts"
import { extract, type NoEventTime } from "../services/Extract.ts"
import type { InvalidPayload } from "../services/Payload.ts"
import * as Topic from "../services/Topic.ts"
import { OrchestratorClient } from "./OrchestratorClient.ts"
import { detectTransitionDirection } from "./Transition.ts"

/** A valid payload of which nobody is notified. **Shape** `reason` says why. */
export interface NoPauseEvent {
  readonly transition: "NO_CHANGE"
  readonly mentorId: MentorId
  readonly reason: NoChangeReason
}

const name = "pause-status"
const isEventTime = Schema.is(EventTime)

const read = (payload: WebhookPayload) => {
  const { record, timestamp = record.updated_at } = payload
  // The outbox sends its key as it is, which may be text in upper case; another sender may write a uuid in either.
  const mentorId = payload.topic === undefined ? MentorId.make(lowerCaseUuid(record.id)) : record.id
  const noChange = (reason: NoChangeReason) =>
    ({ _tag: "NoChange", key: mentorId, reason, isUnexpected: reason === "unrecognised" }) as const

  if (payload.type === "INSERT") return noChange("inserted")
  const oldStatus = payload.old_record.status
  const transition = detectTransitionDirection(oldStatus, record.status)
  if (transition.type === "NO_CHANGE") return noChange(transition.reason)
  const occurredAt = isEventTime(timestamp) ? timestamp : undefined
  return {
    _tag: "Event",
    key: mentorId,
    occurredAt,
    identity: `${mentorId} ${occurredAt} ${transition.type}`,
    event: { mentorId, transition: transition.type, oldStatus, newStatus: record.status }
  } as const
}

/** Every pause and resume of a mentor, handed to the orchestrator. */
export const pauseStatus = Topic.make(name, {
  payload: WebhookPayload,
  stock: { schema: "public", table: "peer_mentor_profiles" },
  read,
  handle: (events) => OrchestratorClient.use((orchestrator) => orchestrator.notify(events)),
  atOnce: OrchestratorClient.use(({ atOnce }) => Effect.succeed(atOnce)),
  done: "notified",
  about: ({ transition }) => ({ transition }),
  reply: (ended) => {
    if (ended._tag === "NoChange") {
      return { status: "no_change", transition: "NO_CHANGE", reason: ended.reason, mentorId: ended.key }
    }
    const { event, eventId, receipt, status } = ended
    const { mentorId, transition } = event
    return { status, transition, eventId, mentorId, receipt }
  }
})

/**
 * The whole job for one delivery of pause-status.
 *
 * **Fails with** WebhookError, OrchestratorError.
 *
 * @example
 * handleWebhookEvent({ header: (name) => request.headers.get(name) ?? undefined, body }).pipe(Effect.provide(Live))
 */
export const handleWebhookEvent = Topic.receive(pauseStatus)

/**
 * Checks that a JSON value is a payload of pause-status, listing everything that is wrong. DELETE and another topic are
 * wrong; so are another table and another schema when no topic is named.
 *
 * **Fails with** InvalidPayload.
 */
export const validatePayload = (input: unknown): Effect.Effect<WebhookPayload, InvalidPayload> =>
  pauseStatus.decode(input)

/**
 * Makes the event of a payload, or says why there is none. Of a stock dashboard webhook, mentor id, raw event time and
 * transition are its identity.
 *
 * **Fails with** NoEventTime; InvalidPayload when `event_id` is not the signed `webhook-id`.
 */
export const extractPauseEvent = (
  payload: WebhookPayload,
  webhookId?: string
): Effect.Effect<PauseEvent | NoPauseEvent, InvalidPayload | NoEventTime> => {
  const reading = read(payload)
  return reading._tag === "NoChange"
    ? Effect.succeed({ transition: "NO_CHANGE", mentorId: reading.key, reason: reading.reason })
    : Effect.map(extract(name, payload, reading, webhookId), ({ event }) => event)
}
