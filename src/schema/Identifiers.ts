import * as Schema from "effect/Schema"

// Postgres takes any 128 bits for a uuid, whatever their version and variant: 11111111-1111-1111-1111-111111111111.
const uuid = Schema.isGUID({ expected: "a UUID" })

/**
 * The id of a mentor profile.
 *
 * **Shape** the key column as text: a uuid, a bigint, a name; 1 to 200 characters that are no control characters. Never
 * parsed further.
 * **Source** `peer_mentor_profiles.id`, or the column that the topic is declared with.
 */
export const MentorId = Schema.String.check(
  Schema.isMinLength(1),
  Schema.isMaxLength(200),
  Schema.isPattern(/^[^\p{Cc}\p{Cs}]*$/u, { expected: "text without control characters and lone surrogates" })
).pipe(Schema.brand("MentorId"))
export type MentorId = typeof MentorId.Type

/**
 * The id of a coordinator.
 *
 * **Shape** a uuid as text.
 * **Source** `coordinators.id`.
 */
export const CoordinatorId = Schema.String.check(uuid).pipe(Schema.brand("CoordinatorId"))
export type CoordinatorId = typeof CoordinatorId.Type

/**
 * The id of an event from end to end: uuid of the outbox row, header `webhook-id`, the orchestrator's
 * `Idempotency-Key`.
 *
 * **Shape** a uuid as text.
 * **Source** the outbox; for senders without one it is derived (see services/EventIdentity.ts).
 */
export const EventId = Schema.String.check(uuid).pipe(Schema.brand("EventId"))
export type EventId = typeof EventId.Type

const timestampText = /^\d{4,6}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}(?::?\d{2}){0,2})?$/u

/**
 * When a change happened, as the raw text the sender wrote. Never a Date: milliseconds would merge events that
 * microseconds distinguish. It identifies a change and never orders two.
 *
 * **Shape** Postgres or ISO 8601 text, `2026-11-22T09:30:00.123456+00:00`; the zone may be missing.
 * **Units** up to nanoseconds, as written.
 */
export const EventTime = Schema.String.check(
  Schema.isPattern(timestampText, {
    expected: "a timestamp such as 2026-11-22T09:30:00.123456+00:00"
  })
).pipe(Schema.brand("EventTime"))
export type EventTime = typeof EventTime.Type

/**
 * The trace that an event belongs to, and the event's own span in it.
 *
 * **Shape** W3C Trace Context, version 00.
 * **Source** outbox.traceparent().
 */
export const Traceparent = Schema.String.check(
  Schema.isPattern(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, { expected: "a W3C traceparent" })
)

/**
 * The counter per topic and key that the trigger assigns under the row lock: order without clocks.
 *
 * **Shape** a positive integer, 1 for a key's first change.
 */
export const Version = Schema.Int.check(Schema.isGreaterThan(0))
