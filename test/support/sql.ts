import { randomBytes, randomUUID } from "node:crypto"
import { type Client, Pool, type QueryResultRow } from "pg"
import { inject } from "vitest"
import { eventually } from "./eventually.ts"
import { migrate, type MigrateOptions, opened, untilNobodyIsIn, urlOf } from "./template.ts"

export const functionUrl = "http://127.0.0.1:9/functions/v1/pause-status-webhook-handler"

export type Answer = Readonly<Record<string, unknown>> & { readonly outcome: string }

/**
 * A database of its own in the shared stack's cluster: neither the pg_net worker nor the cron ticker looks into it, so
 * requests stay in net.http_request_queue and nothing is swept unless a test asks for it.
 */
export interface Database extends AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly rows: <Row extends QueryResultRow>(text: string, values?: ReadonlyArray<unknown>) => Promise<Array<Row>>
  readonly row: <Row extends QueryResultRow>(text: string, values?: ReadonlyArray<unknown>) => Promise<Row>
  /** Calls public.<name> by argument names as service_role, as PostgREST does. Arguments and answers are JSON. */
  readonly rpc: (name: string, args: Readonly<Record<string, unknown>>) => Promise<ReadonlyArray<Answer>>
  /** The same for any arguments and any answer: strings, numbers and booleans as they are, all else as JSON. */
  readonly call: <A = unknown>(name: string, args: Readonly<Record<string, unknown>>) => Promise<A>
  /** Applies supabase/migrations in order, each file in one transaction, as role postgres. */
  readonly migrate: (options?: MigrateOptions) => Promise<void>
  readonly connect: (role?: "owner" | "admin") => Promise<Client & AsyncDisposable>
}

/** As a login role of the test's own. */
export const openAs = (database: Database, role: string, password: string): Promise<Client & AsyncDisposable> => {
  const url = new URL(database.url)
  url.username = role
  url.password = encodeURIComponent(password)
  return opened(url.href)
}

/** Its template was made minutes ago, and no sweep has been there since. */
const beginAnew = async (url: string): Promise<void> => {
  await using client = await opened(url)
  await client.query("update outbox.heartbeats set last_at = clock_timestamp()")
}

const asAdmin = async (statement: string): Promise<void> => {
  await using admin = await opened(inject("stack").adminUrl)
  await admin.query(statement)
}

export const openDatabase = async (options: { readonly migrate?: boolean } = {}): Promise<Database> => {
  const { adminUrl, databaseUrl, template } = inject("stack")
  const isMigrated = options.migrate ?? true
  const name = `sql_${randomUUID().replaceAll("-", "_")}`
  const url = urlOf(databaseUrl, name)
  await asAdmin(`create database ${name} owner postgres template ${isMigrated ? template : "template1"}`)
  if (isMigrated) await beginAnew(url)
  const pool = new Pool({ connectionString: url, max: 4 })
  const service = new Pool({ connectionString: url, max: 40, options: "-c role=service_role" })
  const rows = async <Row extends QueryResultRow>(text: string, values: ReadonlyArray<unknown> = []) =>
    (await pool.query<Row>(text, [...values])).rows
  const answerOf = async <A>(name: string, args: Readonly<Record<string, unknown>>, values: ReadonlyArray<unknown>) => {
    const named = Object.keys(args).map((key, index) => `${key} => $${index + 1}`)
    const result = await service.query<{ answer: A }>(`select public.${name}(${named.join(", ")}) as answer`, [
      ...values
    ])
    const [first] = result.rows
    if (first === undefined) throw new Error(`public.${name} answered nothing`)
    return first.answer
  }
  return {
    name,
    url,
    rows,
    row: async <Row extends QueryResultRow>(text: string, values: ReadonlyArray<unknown> = []) => {
      const [first, ...others] = await rows<Row>(text, values)
      if (first === undefined || others.length > 0) throw new Error(`expected one row from: ${text}`)
      return first
    },
    rpc: (name, args) =>
      answerOf<ReadonlyArray<Answer>>(
        name,
        args,
        Object.values(args).map((value) => JSON.stringify(value))
      ),
    call: <A>(name: string, args: Readonly<Record<string, unknown>>) =>
      answerOf<A>(
        name,
        args,
        Object.values(args).map((value) =>
          typeof value === "object" && value !== null ? JSON.stringify(value) : value
        )
      ),
    migrate: (options = {}) => migrate(url, options),
    connect: (role = "owner") => opened(role === "owner" ? url : urlOf(adminUrl, name)),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([pool.end(), service.end()])
      // Without force: that would cut them off.
      await untilNobodyIsIn(adminUrl, name)
      await asAdmin(`drop database ${name}`)
    }
  }
}

/** The error a piece of work ends with, as "SQLSTATE: message". */
export const failureOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    (answer) => `no failure: ${JSON.stringify(answer)}`,
    (error: Error & { readonly code?: string }) => `${error.code}: ${error.message}`
  )

export const newSecret = (): string => `whsec_${randomBytes(32).toString("base64")}`

export const storeSecret = async (database: Database, name: string, value: string): Promise<void> => {
  await database.rows("delete from vault.secrets where name = $1", [name])
  await database.rows("select vault.create_secret($1, $2)", [value, name])
}

/** A database whose Vault holds what dispatch needs. */
export const openReadyDatabase = async (): Promise<Database> => {
  const database = await openDatabase()
  await storeSecret(database, "outbox_function_url", functionUrl)
  await storeSecret(database, "outbox_webhook_secret", newSecret())
  return database
}

export const createMentor = async (database: Database, status = "active"): Promise<string> => {
  const { id } = await database.row<{ id: string }>(
    "insert into public.peer_mentor_profiles (status) values ($1) returning id",
    [status]
  )
  return id
}

export const setStatus = async (database: Database, mentorId: string, ...statuses: Array<string>): Promise<void> => {
  for (const status of statuses) {
    await database.rows("update public.peer_mentor_profiles set status = $2 where id = $1", [mentorId, status])
  }
}

export interface QueuedEvent {
  readonly event_id: string
  readonly version: number | null
  readonly transition: string
  readonly status: string
  readonly attempts: number
  readonly failures: number
  readonly last_error: string | null
  readonly request_id: string | null
  readonly receipt: unknown
  readonly seconds_until_next_attempt: number | null
}

export const eventsOf = (database: Database, mentorId: string): Promise<Array<QueuedEvent>> =>
  database.rows<QueuedEvent>(
    `select event_id, version::int, case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end as transition,
       status, attempts, failures, last_error, receipt,
       (select d.request_id from outbox.deliveries d where d.id = q.delivery_id) as request_id,
       case when isfinite(next_attempt_at)
         then extract(epoch from next_attempt_at - clock_timestamp())::float8 end as seconds_until_next_attempt
     from outbox.events q where key = $1::text order by version, created_at`,
    [mentorId]
  )

export const eventOf = async (database: Database, mentorId: string, version = 1): Promise<QueuedEvent> => {
  const event = (await eventsOf(database, mentorId)).find((event) => event.version === version)
  if (event === undefined) throw new Error(`mentor ${mentorId} has no event of version ${version}`)
  return event
}

/** The first pauses of so many new mentors, as the handler makes them of their deliveries. */
export const pausedEvents = async (database: Database, count: number): Promise<Array<GivenEvent>> => {
  const mentors = await database.rows<{ id: string }>(
    "insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, $1) returning id",
    [count]
  )
  const ids = mentors.map(({ id }) => id)
  await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any($1)", [ids])
  const events = await database.rows<{ event_id: string }>(
    "select event_id from outbox.events where key = any($1) order by array_position($1, key)",
    [ids]
  )
  return Promise.all(events.map(({ event_id }) => givenEvent(database, event_id)))
}

export const historyOf = (database: Database, eventId: string) =>
  database.rows<{
    readonly attempt: number
    readonly why: string | null
    readonly outcome: string
    readonly http_status: number | null
    readonly error: string | null
    readonly duration_ms: number | null
    readonly claim_token: string | null
    readonly delivery_id: string | null
  }>("select * from outbox.event_history($1)", [eventId])

/** Lets the time pass that the sweep waits for, without waiting. */
export const makeDue = (database: Database, eventId: string): Promise<Array<QueryResultRow>> =>
  database
    .rows(
      `update outbox.events
     set next_attempt_at = now() - interval '1 second', last_dispatched_at = last_dispatched_at - interval '1 hour'
     where event_id = $1`,
      [eventId]
    )
    .then(() =>
      database.rows(
        `update outbox.deliveries d set dispatched_at = d.dispatched_at - interval '16 seconds'
       from outbox.events q where q.event_id = $1 and d.id = q.delivery_id`,
        [eventId]
      )
    )

/** What pg_net does with its requests: they leave the queue, answered or lost. */
export const emptyNet = (database: Database): Promise<Array<QueryResultRow>> =>
  database.rows("truncate net.http_request_queue")

/** Waits until so many sessions wait for locks of others. */
export const blockedSessions = (database: Pick<Database, "row">, count = 1): Promise<void> =>
  eventually(async () => {
    const { blocked } = await database.row<{ blocked: number }>(
      `select count(*)::int as blocked from pg_stat_activity
       where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`
    )
    return blocked
  }).toBeGreaterThanOrEqual(count)

export const expireLease = (database: Database, eventId: string): Promise<Array<QueryResultRow>> =>
  database.rows("update outbox.events set lease_expires_at = now() - interval '1 second' where event_id = $1", [
    eventId
  ])

export interface GivenEvent {
  readonly eventId: string
  readonly mentorId: string
  readonly transition: string
  readonly oldStatus: string
  readonly newStatus: string
  readonly occurredAt: string
  readonly version?: number
  readonly source: string
}

/** What the handler makes of a stock webhook that our outbox never saw. */
export const foreignEvent = (changes: Partial<GivenEvent> = {}): GivenEvent => ({
  eventId: randomUUID(),
  mentorId: randomUUID(),
  transition: "PAUSE",
  oldStatus: "active",
  newStatus: "paused",
  occurredAt: "2026-11-22T10:00:00.123456+00:00",
  source: "webhook",
  ...changes
})

/** What the handler makes of a delivery of this queued event. */
export const givenEvent = async (database: Pick<Database, "row">, eventId: string): Promise<GivenEvent> =>
  (
    await database.row<{ event: GivenEvent }>(
      `select jsonb_build_object(
         'eventId', event_id, 'mentorId', key,
         'transition', case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end,
         'oldStatus', old_record ->> 'status', 'newStatus', record ->> 'status',
         'occurredAt', outbox.body(q) ->> 'timestamp', 'version', version, 'source', source
       ) as event
       from outbox.events q where event_id = $1`,
      [eventId]
    )
  ).event

/** What the handler passes to outbox_claim for an event. */
export const asClaim = ({ eventId, mentorId, newStatus, occurredAt, oldStatus, source, version }: GivenEvent) => ({
  eventId,
  occurredAt,
  source,
  ...(version !== undefined && { version }),
  topic: "pause-status",
  key: mentorId,
  record: { id: mentorId, status: newStatus },
  oldRecord: { id: mentorId, status: oldStatus }
})

/** The only answer to an array of one. */
export const only = (answers: ReadonlyArray<Answer>): Answer => {
  const [first] = answers
  if (first === undefined || answers.length > 1) throw new Error(`not one answer: ${JSON.stringify(answers)}`)
  return first
}

export const claimMany = (database: Database, events: ReadonlyArray<GivenEvent>): Promise<ReadonlyArray<Answer>> =>
  database.rpc("outbox_claim", { events: events.map(asClaim) })

export const claimOf = async (database: Database, event: GivenEvent): Promise<Answer> =>
  only(await claimMany(database, [event]))

export const claim = async (database: Database, eventId: string): Promise<number> => {
  const answer = await claimOf(database, await givenEvent(database, eventId))
  if (typeof answer["token"] !== "number") throw new Error(`not claimed: ${JSON.stringify(answer)}`)
  return answer["token"]
}

/** What the outbox sends of an event. */
interface Delivered {
  readonly event_id: string
  readonly version: number
  readonly timestamp: string
  readonly record: { readonly id: string; readonly status: string }
  readonly old_record: { readonly id: string; readonly status: string }
}

export interface Settled {
  readonly settled: ReadonlyArray<Answer>
  readonly next: ReadonlyArray<{ readonly payload: Delivered; readonly token: number; readonly attempt: number }>
}

export const settleAll = (database: Database, settlements: ReadonlyArray<unknown>, take = 0): Promise<Settled> =>
  database.call<Settled>("outbox_settle", { settlements, topic: "pause-status", take })

export const settleWith = async (database: Database, settlement: unknown): Promise<Answer> =>
  only((await settleAll(database, [settlement])).settled)

export const complete = (database: Database, eventId: string, token: unknown, receipt: unknown = { eventId }) =>
  settleWith(database, { eventId, token, outcome: "completed", receipt })

export const release = (
  database: Database,
  eventId: string,
  token: unknown,
  reason: object = { kind: "transient", message: "refused" }
) => settleWith(database, { eventId, token, outcome: "released", ...reason })

/** What a delivery does when all goes well. */
export const settle = async (database: Database, eventId: string): Promise<Answer> =>
  complete(database, eventId, await claim(database, eventId))

/** Makes an event fail for good. */
export const bury = async (database: Database, eventId: string): Promise<Answer> =>
  release(database, eventId, await claim(database, eventId), { kind: "permanent", message: "refused" })

export const sweep = async (database: Database): Promise<number> =>
  (await database.row<{ sent: number }>("select outbox.sweep() as sent")).sent
