import { createHash } from "node:crypto"
import type pg from "pg"
import type { Mentor } from "./seed.ts"
import { switchMailsOn } from "./mails.ts"
import { until } from "./until.ts"

export interface QueueRow {
  readonly event_id: string
  readonly transition: string
  readonly version: number
  readonly status: string
  readonly attempts: number
  /** The webhook-id of its last request. */
  readonly delivery_id: string | null
  readonly last_error: string | null
  readonly receipt: unknown
  /** The exact text that is sent. */
  readonly body: string
  /** What the handler answered to the last request. */
  readonly response_status: number | null
}

const LAST_EVENT = `
  select q.event_id, case q.record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end as transition, q.version::int, q.status, q.attempts, q.delivery_id, q.last_error, q.receipt,
    outbox.body(q)::text as body,
    (
      select r.status_code
      from outbox.deliveries d
      join net._http_response r on r.id = d.request_id
      -- A released event is no longer on its way. A delivery of one event has that event's id.
      where d.id = coalesce(q.delivery_id, q.event_id)
      limit 1
    ) as response_status
  from outbox.events q
  where q.topic = 'pause-status' and q.key = $1::text
  order by q.version desc
  limit 1`

const TOLD = `
  select c.name
  from public.notifications n
  join public.coordinators c on c.id = n.coordinator_id
  where n.event_id = $1
  order by c.name`

// Except the heartbeats of scheduled jobs, which change at any moment.
const TABLES = `
  select format('%I.%I', schemaname, tablename) as name
  from pg_catalog.pg_tables
  where schemaname in ('public', 'outbox') and tablename <> 'heartbeats' and tablename <> all ($1)
  order by name`

const MAILS = `
  select count(*) filter (where q.status = 'completed')::int as sent, (
    select count(*)::int
    from outbox.attempts a
    join outbox.events e using (event_id)
    where e.topic = 'notification-mail' and a.outcome = 'transient'
  ) as failures
  from outbox.events q
  where q.topic = 'notification-mail'`

const inWords = ({ failures, sent }: { readonly sent: number; readonly failures: number }): string =>
  `${sent} mails after ${failures} failures`

const describe = ({ attempts, last_error, status }: QueueRow): string =>
  `${status}, attempts ${attempts}, last error ${last_error ?? "none"}`

const REST_QUERIES = `
  select 'backend ' || pid || ' at ' || query_start::time || ': ' || query as query
  from pg_catalog.pg_stat_activity
  where usename = 'authenticator' and query_start is not null`

/** What the database shows of a scenario's effects. */
export class Evidence {
  readonly #client: pg.Client
  readonly #signal: AbortSignal

  constructor(client: pg.Client, signal: AbortSignal) {
    this.#client = client
    this.#signal = signal
  }

  /** Changes the status of one or more mentors in one UPDATE. */
  async setStatus(mentors: Mentor | ReadonlyArray<Mentor>, status: string): Promise<void> {
    const ids = [mentors].flat().map(({ id }) => id)
    await this.#client.query("update public.peer_mentor_profiles set status = $2 where id = any ($1)", [ids, status])
  }

  /** The mentor's last event. */
  async event(mentor: Mentor): Promise<QueueRow> {
    const { rows } = await this.#client.query<QueueRow>(LAST_EVENT, [mentor.id])
    const [row] = rows
    if (row === undefined) throw new Error(`nothing was queued for ${mentor.name}`)
    return row
  }

  eventUntil(mentor: Mentor, what: string, isDone: (event: QueueRow) => boolean): Promise<QueueRow> {
    return until(what, this.#signal, () => this.event(mentor), isDone, describe)
  }

  /** The names of those who were notified of the event. A name appears twice if somebody was notified twice. */
  async notifiedAbout({ event_id }: QueueRow): Promise<ReadonlyArray<string>> {
    const { rows } = await this.#client.query<{ name: string }>(TOLD, [event_id])
    return rows.map(({ name }) => name)
  }

  /** Mails each notification from now on. */
  switchMailsOn(): Promise<void> {
    return switchMailsOn(this.#client)
  }

  /** How many tries to mail have failed, once so many mails are recorded as sent. */
  async mailFailuresUntilSent(count: number): Promise<number> {
    const look = async () => {
      const { rows } = await this.#client.query<{ sent: number; failures: number }>(MAILS)
      return rows[0] ?? { sent: 0, failures: 0 }
    }
    const { failures } = await until(
      `${count} mails to be sent`,
      this.#signal,
      look,
      ({ sent }) => sent === count,
      inWords
    )
    return failures
  }

  /** A digest of every row of every writable table, except the excluded ones. */
  async tables(...leftOut: ReadonlyArray<string>): Promise<string> {
    const digest = createHash("sha256")
    const { rows } = await this.#client.query<{ name: string }>(TABLES, [leftOut])
    for (const { name } of rows) {
      const content = await this.#client.query<{ text: string | null }>(
        `select string_agg(content::text, e'\\n' order by content::text) as text from ${name} as content`
      )
      digest.update(`${name}\n${content.rows[0]?.text}\n`)
    }
    return digest.digest("hex")
  }

  /** Each PostgREST connection's last query and its time. The functions have no other access. */
  async restQueries(): Promise<ReadonlyArray<string>> {
    const { rows } = await this.#client.query<{ query: string }>(REST_QUERIES)
    return rows.map(({ query }) => query)
  }
}
