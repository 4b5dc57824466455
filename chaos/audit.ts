import { readFile } from "node:fs/promises"
import type { TopicName } from "./calls.ts"
import type { Ending } from "./Fence.ts"
import { rowsOf, type Session } from "./Session.ts"
import { type Change, transitionsIn } from "./transitions.ts"

/** A committed change that must be notified. Those of a key are in the order of their commits. */
export interface Transition {
  readonly key: string
  /** What the notification must say. */
  readonly expected: string
  readonly transaction: string
  /** Milliseconds since 1970, when the row was written, shortly before its commit. */
  readonly at: number
}

/** A notification to a listener, in the order in which they were recorded. */
export interface Told {
  readonly eventId: string
  readonly key: string
  readonly listener: string
  readonly said: string
  readonly version: number | null
  readonly createdAt: number
  readonly at: number
}

/** An event that is or was a dead letter. */
export interface DeadLetter {
  readonly eventId: string
  readonly key: string
  readonly version: number
  readonly reason: string
  readonly lastError: string
  readonly failures: number
  readonly resolution: string | null
}

/** The whole record of one topic. */
export interface Evidence {
  readonly topic: TopicName
  readonly transitions: ReadonlyArray<Transition>
  readonly told: ReadonlyArray<Told>
  readonly deadLetters: ReadonlyArray<DeadLetter>
  /** Versions that the reconciliation assigned, by key. */
  readonly reconciled: ReadonlyMap<string, ReadonlySet<number>>
  /** Events whose redrive was forced although a later event had been handled. */
  readonly forced?: ReadonlySet<string>
  /** Who must be notified about a key. */
  readonly listenersOf: (key: string) => ReadonlySet<string>
}

export const installAudit = async (session: Session): Promise<void> => {
  const text = await readFile(new URL("audit.sql", import.meta.url), "utf8")
  await session.retrying((client) => client.query(text))
}

export const millis = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`

const CHANGES = `
  select mentor_id as "mentorId", is_insert as "isInsert", old_mentor_id as "oldMentorId", old_status as "oldStatus", new_status as "newStatus", transaction, ${millis("at")} as at
  from chaos.changes order by place`

const TOLD = `
  select event_id as "eventId", mentor_id as key, coordinator_id as listener, transition as said,
    version::int, ${millis("created_at")} as "createdAt", ${millis("at")} as at
  from chaos.told order by place`

const STAGES = "concat_ws(' to ', coalesce(to_json(old_stage), 'null'), coalesce(to_json(new_stage), 'null'))"

const ORDER_CHANGES = `
  select order_id::text as key, ${STAGES} as expected, transaction, ${millis("at")} as at
  from chaos.order_changes order by place`

const TOLD_ORDERS = `
  select event_id as "eventId", order_id::text as key, 'everybody' as listener, ${STAGES} as said, version::int,
    ${millis("at")} as "createdAt", ${millis("at")} as at
  from chaos.told_orders order by place`

const DEAD_LETTERS = `
  select d.event_id as "eventId", d.key, d.version::int, d.reason, d.last_error as "lastError",
    d.resolution, (
      select count(*)::int from outbox.attempts a
      where a.event_id = d.event_id and a.outcome not in ('completed', 'parked', 'dispatch') and a.ended_at <= d.created_at + interval '1 second'
    ) as failures
  from outbox.dead_letters d where d.topic = $1 order by d.key, d.version, d.created_at`

const ENDINGS = `
  select event_id as "eventId", claim_token::int as token, ${millis("ended_at")} as at
  from outbox.attempts
  where outcome in ('completed', 'permanent', 'transient', 'parked') and claim_token is not null`

const RECONCILED = `
  select q.key as id, array_agg(q.version::int) as members
  from outbox.events q
  where q.topic = $1 and (q.dispatch_reason = 'reconcile'
    or exists (select from outbox.attempts a where a.event_id = q.event_id and a.why = 'reconcile'))
  group by q.key`

const COORDINATORS = `
  select mentor_id as id, array_agg(coordinator_id::text) as members
  from public.mentor_coordinators group by mentor_id`

/** Every attempt that a settlement ended. */
export const readEndings = (session: Session) => rowsOf<Ending>(session, ENDINGS)

const setsOf = async <Member>(
  session: Session,
  text: string,
  values: ReadonlyArray<unknown> = []
): Promise<ReadonlyMap<string, ReadonlySet<Member>>> => {
  const rows = await rowsOf<{ id: string; members: ReadonlyArray<Member> }>(session, text, values)
  return new Map(rows.map(({ id, members }) => [id, new Set(members)]))
}

export const readTopic = async (session: Session, topic: TopicName) => ({
  topic,
  deadLetters: await rowsOf<DeadLetter>(session, DEAD_LETTERS, [topic]),
  reconciled: await setsOf<number>(session, RECONCILED, [topic])
})

const nobody: ReadonlySet<string> = new Set()
export const everybody: ReadonlySet<string> = new Set(["everybody"])

/** The record of pause-status. */
export const readPauseStatus = async (session: Session): Promise<Evidence> => {
  const coordinators = await setsOf<string>(session, COORDINATORS)
  return {
    ...(await readTopic(session, "pause-status")),
    transitions: transitionsIn(await rowsOf<Change>(session, CHANGES)),
    told: await rowsOf<Told>(session, TOLD),
    listenersOf: (mentorId) => coordinators.get(mentorId) ?? nobody
  }
}

/** Everything that the verdict needs, by topic. */
export const readEvidence = async (session: Session): Promise<ReadonlyArray<Evidence>> => {
  return [
    await readPauseStatus(session),
    {
      ...(await readTopic(session, "order-stage")),
      transitions: await rowsOf<Transition>(session, ORDER_CHANGES),
      told: await rowsOf<Told>(session, TOLD_ORDERS),
      listenersOf: () => everybody
    }
  ]
}
