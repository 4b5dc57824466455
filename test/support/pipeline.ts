import { assert } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { setTimeout as pause } from "node:timers/promises"
import { Pool, type QueryResultRow } from "pg"
import { type Stack, type StackLog, type StackOptions, startStack } from "../../local/stack.ts"
import { patienceMillis, patientEnv, patientSettings, unhurried } from "./patience.ts"
import { gate, type Proxy, startProxy } from "./proxy.ts"

const pollMillis = 20

/** Waits until the probe finds what it looks for; when it never does, the error says what was missing. */
export const eventually = async <A>(what: string, probe: () => A | undefined | Promise<A | undefined>): Promise<A> => {
  const deadline = performance.now() + patienceMillis
  let last: unknown
  while (performance.now() < deadline) {
    try {
      const found = await probe()
      if (found !== undefined) return found
    } catch (error) {
      last = error
    }
    await pause(pollMillis)
  }
  const detail = last instanceof Error ? `; last seen: ${last.message}` : ""
  throw new Error(`not within ${patienceMillis} ms: ${what}${detail}`, { cause: last })
}

/** Sessions on a database that may be killed under them. */
export interface Database extends AsyncDisposable {
  readonly rows: <Row extends QueryResultRow>(text: string, values?: ReadonlyArray<unknown>) => Promise<Array<Row>>
  /** Runs statements in one transaction, which `end` commits or rolls back. */
  readonly transaction: (end: "commit" | "rollback", ...statements: ReadonlyArray<string>) => Promise<void>
}

export const openDatabase = (url: string): Database => {
  const pool = new Pool({ connectionString: url, max: 4 })
  pool.on("error", () => {})
  return {
    rows: async (text, values = []) => (await pool.query(text, [...values])).rows,
    transaction: async (end, ...statements) => {
      const client = await pool.connect()
      try {
        for (const statement of ["begin", ...statements, end]) await client.query(statement)
      } finally {
        client.release()
      }
    },
    [Symbol.asyncDispose]: () => pool.end()
  }
}

export const orchestratorPath = "/functions/v1/pause-notification-orchestrator"
export const claimPath = "/rpc/outbox_claim"
export const settlePath = "/rpc/outbox_settle"

/** A stack of one test file's own, whose handler reaches the database and the orchestrator through a proxy. */
export interface Pipeline extends AsyncDisposable {
  readonly stack: Stack
  readonly database: Database
  readonly proxy: Proxy
  readonly log: ReadonlyArray<StackLog>
}

export const startPipeline = async (options: StackOptions = {}): Promise<Pipeline> => {
  await using started = new AsyncDisposableStack()
  const log: Array<StackLog> = []
  const proxy = started.use(await startProxy())
  const stack = started.use(
    await startStack({
      pacing: "fast",
      log: (line) => void log.push(line),
      orchestratorUrl: `${proxy.url}${orchestratorPath}`,
      ...options,
      functionEnv: { ...patientEnv, SUPABASE_URL: proxy.url, ...options.functionEnv },
      orchestratorEnv: patientEnv,
      sendEmailEnv: { ...patientEnv, SUPABASE_URL: proxy.url, ...options.sendEmailEnv }
    })
  )
  await unhurried(stack.databaseUrl)
  proxy.target = stack.apiUrl
  const database = started.use(openDatabase(stack.databaseUrl))
  const kept = started.move()
  return { stack, database, proxy, log, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/**
 * The shortest times that the settings allow, and a sweep each second: what is lost is sent again soon. An outage that
 * would cost a few attempts costs many at this pace, so that there are more of them.
 */
export const makeQuick = async (database: Database): Promise<void> => {
  await database.rows(
    `update outbox.settings
     set lease_seconds = 1, acknowledge_timeout_seconds = 1, request_timeout_ms = 5000, retry_base_seconds = 1,
       retry_cap_seconds = 1, max_attempts = 100`
  )
  await database.rows("select cron.schedule('outbox-sweep', '1 seconds', 'select outbox.sweep()')")
}

/** Nothing is taken for lost because the machine is slow: for tests that count how often something was sent. */
export const makePatient = async (database: Database): Promise<void> => {
  await database.rows(`update outbox.settings set lease_seconds = 60, ${patientSettings}`)
}

/** A new mentor with coordinators of its own. */
export const createMentor = async (database: Database, status = "active", coordinators = 2): Promise<string> => {
  const mentorId = randomUUID()
  await database.rows("insert into public.peer_mentor_profiles (id, status) values ($1, $2)", [mentorId, status])
  await database.rows(
    `with told as (
       insert into public.coordinators (name) select 'coordinator ' || n from generate_series(1, $2) as n returning id
     )
     insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, told.id from told`,
    [mentorId, coordinators]
  )
  return mentorId
}

/** So many new mentors, who share two coordinators. */
export const createMentors = async (database: Database, count: number): Promise<ReadonlyArray<string>> => {
  const mentorIds = Array.from({ length: count }, () => randomUUID())
  await database.rows("insert into public.peer_mentor_profiles (id, status) select unnest($1::uuid[]), 'active'", [
    mentorIds
  ])
  await database.rows(
    `with told as (insert into public.coordinators (name) values ('one'), ('two') returning id)
     insert into public.mentor_coordinators (mentor_id, coordinator_id)
     select mentor_id, told.id from unnest($1::uuid[]) as mentor_id cross join told`,
    [mentorIds]
  )
  return mentorIds
}

/** Changes a mentor's status, each time in a transaction of its own. */
export const setStatus = async (database: Database, mentorId: string, ...statuses: ReadonlyArray<string>) => {
  for (const status of statuses) {
    await database.rows("update public.peer_mentor_profiles set status = $2 where id = $1", [mentorId, status])
  }
}

export interface QueuedEvent {
  readonly event_id: string
  readonly transition: string
  readonly version: number | null
  readonly status: string
  readonly attempts: number
  readonly claims: number
  readonly request_id: string | null
  readonly last_error: string | null
  readonly receipt: { readonly notificationIds: ReadonlyArray<string> } | null
}

export const eventsOf = (database: Database, mentorId: string): Promise<Array<QueuedEvent>> =>
  database.rows<QueuedEvent>(
    `select event_id, case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end as transition,
       version::int, status, attempts, claim_token::int as claims, last_error, receipt,
       (select d.request_id from outbox.deliveries d where d.id = q.delivery_id) as request_id
     from outbox.events q where key = $1 order by version, created_at`,
    [mentorId]
  )

interface Notification {
  readonly id: string
  readonly event_id: string
  readonly transition: string
}

/** Puts a dead letter back. */
export const redrive = async (database: Database, eventId: string, force = false): Promise<string> => {
  const [row] = await database.rows<{ answer: { readonly outcome: string } }>(
    "select outbox.redrive($1, force => $2) as answer",
    [eventId, force]
  )
  return row?.answer.outcome ?? "nothing"
}

const notificationsOf = (database: Database, mentorId: string) =>
  database.rows<Notification>(
    "select id, event_id, transition from public.notifications where mentor_id = $1 order by created_at, id",
    [mentorId]
  )

/**
 * Waits until every event of a mentor is settled, then proves what coordinators heard: these transitions, in this
 * order, each of them once by each coordinator, and the receipt of each event names just these notifications.
 */
export const expectTold = async (
  database: Database,
  mentorId: string,
  ...transitions: ReadonlyArray<string>
): Promise<ReadonlyArray<QueuedEvent>> => {
  const events = await eventually(`${transitions.join(", ")} of mentor ${mentorId} completed`, async () => {
    const events = await eventsOf(database, mentorId)
    if (events.length >= transitions.length && events.every((event) => event.status === "completed")) return events
    throw new Error(JSON.stringify(events))
  })
  assert.deepStrictEqual(
    events.map((event) => event.transition),
    transitions
  )
  const [{ coordinators = 0 } = {}] = await database.rows<{ coordinators: number }>(
    "select count(*)::int as coordinators from public.mentor_coordinators where mentor_id = $1",
    [mentorId]
  )
  const notifications = await notificationsOf(database, mentorId)
  assert.deepStrictEqual(
    notifications.map((notification) => notification.event_id),
    events.flatMap((event) => Array.from({ length: coordinators }, () => event.event_id)),
    "each coordinator heard each event once, in the order of the versions"
  )
  for (const event of events) {
    const told = notifications.filter((notification) => notification.event_id === event.event_id)
    assert.sameMembers(
      told.map((notification) => notification.id),
      [...(event.receipt?.notificationIds ?? [])]
    )
    assert.isTrue(told.every((notification) => notification.transition === event.transition))
  }
  return events
}

/** Pauses a new mentor, and comes back while the handler waits for the orchestrator, with the event claimed. */
export const pauseAndHold = async ({ database, proxy }: Pipeline, held = gate()) => {
  const mentorId = await createMentor(database)
  proxy.next(orchestratorPath, mentorId, held.step)
  await setStatus(database, mentorId, "paused")
  await held.reached
  return { mentorId, open: held.open }
}

/** How many requests pg_net has not finished. */
export const queuedRequests = async (database: Database): Promise<number> => {
  const [row] = await database.rows<{ waiting: number }>("select count(*)::int as waiting from net.http_request_queue")
  return row?.waiting ?? 0
}
