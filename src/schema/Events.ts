import * as Schema from "effect/Schema"
import { EventId, Version } from "./Identifiers.ts"
import { Receipt } from "./Receipt.ts"

const timePattern = /^\d{4,6}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/u

/** A time as the database returns it. **Shape** ISO 8601 text in UTC. **Units** microseconds. */
export const StoredTime = Schema.String.check(
  Schema.isPattern(timePattern, { expected: "a time such as 2026-11-22T09:30:00.123456Z" })
)

/** Where an event is: `pending`, `processing`, `completed`, or `failed` (for good, with a dead letter). */
export const EventStatus = Schema.Literals(["pending", "processing", "completed", "failed"])
export type EventStatus = typeof EventStatus.Type

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The watched columns of a row, with the names and words that the topic sends. */
const WatchedRecord = Schema.Record(Schema.String, Schema.Unknown)

const event = {
  eventId: EventId,
  topic: Schema.String,
  key: Schema.String,
  version: Schema.NullOr(Version),
  type: Schema.Literals(["INSERT", "UPDATE"]),
  record: WatchedRecord,
  oldRecord: Schema.NullOr(WatchedRecord),
  occurredAt: Schema.NullOr(StoredTime),
  source: Schema.String,
  status: EventStatus,
  attemptCount: count,
  failures: count,
  createdAt: StoredTime,
  completedAt: Schema.NullOr(StoredTime),
  nextAttemptAt: Schema.NullOr(StoredTime),
  lastError: Schema.NullOr(Schema.String),
  receipt: Schema.NullOr(Receipt),
  reachedNobody: Schema.Boolean
}

/**
 * An event as the outbox keeps it, whatever its topic.
 *
 * **Shape** `key` is what events are ordered by, as text, and `version` its counter; `record` and `oldRecord` are the row
 * after and before the change, of which only the watched columns are kept; `attemptCount` is how often it was sent, `failures` how often it failed since it was queued or redriven;
 * `receipt` is the result of handling it, plus `acknowledged` and `notes` if a person resolved an event that reached
 * nobody; `reachedNobody` means that it was completed and nobody was notified.
 * **Source** outbox.events.
 */
export const StoredEvent = Schema.Struct(event)
export type StoredEvent = typeof StoredEvent.Type

/**
 * An attempt at an event that has ended.
 *
 * **Shape** `why` is the cause of the dispatch (`commit`, `settled`, `sweep`, `redrive`, `reconcile`), null if another
 * sender sent it; `outcome` is `completed`, `permanent`, `transient`, `parked`, `lease`, `unacknowledged`, `rejected` or
 * `dispatch`.
 * **Units** `durationMs` milliseconds, as reported by the handler.
 * **Source** outbox.attempts.
 */
export const Attempt = Schema.Struct({
  attempt: Schema.Int,
  why: Schema.NullOr(Schema.String),
  outcome: Schema.String,
  dispatchedAt: Schema.NullOr(StoredTime),
  endedAt: StoredTime,
  httpStatus: Schema.NullOr(Schema.Int),
  error: Schema.NullOr(Schema.String),
  durationMs: Schema.NullOr(Schema.Finite)
}).annotate({ identifier: "Attempt" })

/**
 * Why an event failed for good, and what a person did about it.
 *
 * **Shape** `reason` is `rejected` (by the handler), `refused` (downstream), `exhausted` or `cancelled` (by a
 * person, before it was processed); `resolution` is null while it is open; `notes` are those of the person who closed it.
 * **Source** outbox.dead_letters.
 */
const DeadLetter = Schema.Struct({
  id: Schema.String.check(Schema.isGUID()),
  reason: Schema.String,
  attempts: count,
  firstFailedAt: Schema.NullOr(StoredTime),
  lastFailedAt: Schema.NullOr(StoredTime),
  lastError: Schema.NullOr(Schema.String),
  createdAt: StoredTime,
  resolution: Schema.NullOr(Schema.Literals(["redriven", "resolved"])),
  resolvedAt: Schema.NullOr(StoredTime),
  notes: Schema.NullOr(Schema.String)
}).annotate({ identifier: "DeadLetter" })

/** An event with its attempts, oldest first, and its newest dead letter. */
export const EventHistory = Schema.Struct({
  ...event,
  attempts: Schema.Array(Attempt),
  deadLetter: Schema.NullOr(DeadLetter)
})
export type EventHistory = typeof EventHistory.Type

/** Where a page ended. **Shape** the last event's `createdAt`, as text, and its id; later pages are older. */
export const PagePosition = Schema.Struct({ createdAt: StoredTime, eventId: EventId })
export type PagePosition = typeof PagePosition.Type
