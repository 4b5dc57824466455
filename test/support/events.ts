import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { State } from "../../src/layers/EventStoreMemory.ts"
import type { EventHistory, EventStatus } from "../../src/schema/Events.ts"
import { EventId, MentorId } from "../../src/schema/Identifiers.ts"
import type { Database } from "./pipeline.ts"

/** A pause-status event to be put into a store in a state of one's choice. */
export interface Seed {
  readonly eventId: EventId
  readonly mentorId: MentorId
  readonly version: number
  readonly transition: "PAUSE" | "RESUME"
  readonly status: EventStatus
  /** Only of a failed one: whether a person has closed its dead letter. */
  readonly resolved: boolean
  /** Only of a completed one: how many coordinators were notified. */
  readonly notified: number
  readonly createdAt: string
  readonly occurredAt: string
  /** What the mentor's coordinators know of; a newer one than the event's own supersedes it. */
  readonly notifiedVersion: number
}

export const newMentorId = () => MentorId.make(randomUUID())

export const seedOf = (seed: Partial<Seed> = {}): Seed => ({
  eventId: EventId.make(randomUUID()),
  mentorId: newMentorId(),
  version: 1,
  transition: "PAUSE",
  status: "completed",
  resolved: false,
  notified: 1,
  createdAt: "2026-11-22T09:30:00.124001Z",
  occurredAt: "2026-11-22T09:30:00.123456Z",
  notifiedVersion: 0,
  ...seed
})

/** Puts events into a memory store. */
export const seedMemory =
  (state: State) =>
  (...seeds: ReadonlyArray<Seed>): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const { mentorId, notified, notifiedVersion, resolved, transition, ...seed } of seeds) {
        const [oldStatus, newStatus] = transition === "PAUSE" ? ["active", "paused"] : ["paused", "active"]
        const failed = seed.status === "failed"
        const event: EventHistory = {
          ...seed,
          topic: "pause-status",
          key: mentorId,
          type: "UPDATE",
          record: { id: mentorId, status: newStatus },
          oldRecord: { id: mentorId, status: oldStatus },
          source: "outbox",
          attemptCount: 1,
          failures: failed ? 1 : 0,
          completedAt: seed.status === "completed" ? seed.createdAt : null,
          nextAttemptAt: null,
          lastError: failed ? "status 400" : null,
          receipt: seed.status === "completed" ? { notified } : null,
          reachedNobody: seed.status === "completed" && notified === 0,
          attempts: [],
          deadLetter: failed
            ? {
                id: randomUUID(),
                reason: "refused",
                attempts: 1,
                firstFailedAt: seed.createdAt,
                lastFailedAt: seed.createdAt,
                lastError: "status 400",
                createdAt: seed.createdAt,
                resolution: resolved ? "resolved" : null,
                resolvedAt: resolved ? seed.createdAt : null,
                notes: null
              }
            : null
        }
        state.events.set(seed.eventId, event)
        state.handled.set(mentorId, Math.max(notifiedVersion, state.handled.get(mentorId) ?? 0))
      }
    })

// Pending and processing ones are somebody else's (source webhook), so that no sweep of a running stack takes them up.
// The lease is the longest there is: the sweep takes a longer one for a clock that was set back, and ends it.
const insert = `
  with given as (
    select
      s.*,
      case s.transition when 'PAUSE' then 'active' else 'paused' end as old_status,
      case s.transition when 'PAUSE' then 'paused' else 'active' end as new_status,
      case when s.status in ('completed', 'failed') then s.version end as own_version
    from jsonb_to_record($1::jsonb) as s (
      "eventId" uuid, "mentorId" text, version bigint, transition text, status text, resolved boolean, notified integer,
      "createdAt" timestamptz, "occurredAt" text
    )
  )
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, status, attempts, claim_token,
    lease_expires_at, receipt, created_at, completed_at
  )
  select
    "eventId", 'pause-status', "mentorId", own_version, 'UPDATE',
    jsonb_build_object('id', "mentorId", 'status', new_status),
    jsonb_build_object('id', "mentorId", 'status', old_status),
    "occurredAt"::timestamptz,
    case when own_version is null then 'webhook' else 'outbox' end,
    case status when 'failed' then 'processing' else status end,
    1, 1,
    case when status in ('processing', 'failed') then clock_timestamp() + interval '1 minute' end,
    case status when 'completed' then jsonb_build_object('notified', notified) end,
    "createdAt",
    case status when 'completed' then "createdAt" end
  from given`

const fail = `
  with letter as (
    insert into outbox.dead_letters (
      event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error, resolution,
      resolved_at
    )
    select
      e.event_id, e.topic, e.key, e.version, 'refused', 1, e.created_at, e.created_at, 'status 400',
      case when $2 then 'resolved' end, case when $2 then clock_timestamp() end
    from outbox.events e
    where e.event_id = $1
    returning *
  )
  update outbox.events e
  set
    status = 'failed', failures = 1, first_failed_at = letter.first_failed_at, last_failed_at = letter.last_failed_at,
    last_error = letter.last_error, dead_letter_id = letter.id, lease_expires_at = null
  from letter
  where e.event_id = letter.event_id`

// Versions that were given and are not in the outbox are those of events that were completed and are forgotten.
const giveVersions = `
  insert into outbox.keys as k (topic, key, version, known)
  values ('pause-status', $1, $2, '{"status": "active"}')
  on conflict (topic, key) do update
  set version = greatest(k.version, excluded.version)`

/** Puts events into the outbox itself. */
export const seedDatabase = async (database: Database, ...seeds: ReadonlyArray<Seed>): Promise<void> => {
  for (const seed of seeds) {
    await database.rows(insert, [JSON.stringify(seed)])
    if (seed.status === "failed") await database.rows(fail, [seed.eventId, seed.resolved])
    await database.rows(giveVersions, [seed.mentorId, Math.max(seed.version, seed.notifiedVersion)])
  }
}
