import { readFile } from "node:fs/promises"
import type { Ending } from "./Fence.ts"
import { rowsOf, type Session } from "./Session.ts"

/** A committed change of a profile, in the order in which each mentor's were committed. */
export interface Change {
  readonly mentorId: string
  readonly isInsert: boolean
  /** The id that the mentor had before, when this changed it. */
  readonly oldMentorId: string | null
  readonly oldStatus: string | null
  readonly newStatus: string
  readonly transaction: string
  /** Milliseconds since 1970: when the row was written, shortly before its commit. */
  readonly at: number
}

/** A row of public.notifications, in the order in which they were inserted. */
export interface Told {
  readonly eventId: string
  readonly mentorId: string
  readonly coordinatorId: string
  readonly transition: string
  readonly version: number | null
  readonly createdAt: number
  readonly at: number
}

/** An event that is, or once was, a dead letter. */
export interface DeadLetter {
  readonly eventId: string
  readonly mentorId: string
  readonly version: number
  readonly reason: string
  readonly lastError: string
  readonly failures: number
  readonly resolution: string | null
}

export interface Evidence {
  readonly changes: ReadonlyArray<Change>
  readonly told: ReadonlyArray<Told>
  readonly deadLetters: ReadonlyArray<DeadLetter>
  /** Versions that the reconciliation gave, by mentor. */
  readonly reconciled: ReadonlyMap<string, ReadonlySet<number>>
  readonly coordinators: ReadonlyMap<string, ReadonlySet<string>>
}

export const installAudit = async (session: Session): Promise<void> => {
  const text = await readFile(new URL("audit.sql", import.meta.url), "utf8")
  await session.retrying((client) => client.query(text))
}

const millis = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`

const CHANGES = `
  select mentor_id as "mentorId", is_insert as "isInsert", old_mentor_id as "oldMentorId", old_status as "oldStatus", new_status as "newStatus", transaction, ${millis("at")} as at
  from chaos.changes order by place`

const TOLD = `
  select event_id as "eventId", mentor_id as "mentorId", coordinator_id as "coordinatorId", transition,
    version::int, ${millis("created_at")} as "createdAt", ${millis("at")} as at
  from chaos.told order by place`

const DEAD_LETTERS = `
  select d.event_id as "eventId", d.key as "mentorId", d.version::int, d.reason, d.last_error as "lastError",
    d.resolution, (
      select count(*)::int from outbox.attempts a
      where a.event_id = d.event_id and a.outcome not in ('completed', 'parked', 'dispatch') and a.ended_at <= d.created_at + interval '1 second'
    ) as failures
  from outbox.dead_letters d where d.topic = 'pause-status' order by d.key, d.version, d.created_at`

const ENDINGS = `
  select event_id as "eventId", claim_token::int as token, ${millis("ended_at")} as at
  from outbox.attempts
  where outcome in ('completed', 'permanent', 'transient', 'parked') and claim_token is not null`

const RECONCILED = `
  select q.key as id, array_agg(q.version::int) as members
  from outbox.events q
  where q.topic = 'pause-status' and (q.dispatch_reason = 'reconcile'
    or exists (select from outbox.attempts a where a.event_id = q.event_id and a.why = 'reconcile'))
  group by q.key`

const COORDINATORS = `
  select mentor_id as id, array_agg(coordinator_id::text) as members
  from public.mentor_coordinators group by mentor_id`

/** Every attempt that a settlement ended. */
export const readEndings = (session: Session) => rowsOf<Ending>(session, ENDINGS)

const setsOf = async <Member>(session: Session, text: string): Promise<ReadonlyMap<string, ReadonlySet<Member>>> => {
  const rows = await rowsOf<{ id: string; members: ReadonlyArray<Member> }>(session, text)
  return new Map(rows.map(({ id, members }) => [id, new Set(members)]))
}

/** All that the verdict is made from. */
export const readEvidence = async (session: Session): Promise<Evidence> => ({
  changes: await rowsOf<Change>(session, CHANGES),
  told: await rowsOf<Told>(session, TOLD),
  deadLetters: await rowsOf<DeadLetter>(session, DEAD_LETTERS),
  reconciled: await setsOf<number>(session, RECONCILED),
  coordinators: await setsOf<string>(session, COORDINATORS)
})
