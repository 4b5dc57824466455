import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { type Client, Pool } from "pg"
import { connect } from "../../local/postgres/connect.ts"
import { type PostgresBinaries, postgresBinaries } from "../../local/postgres/binaries.ts"
import { migrate } from "../../local/postgres/migrate.ts"
import { seedVault } from "../../local/postgres/seedVault.ts"
import { startPostgres } from "../../local/postgres/server.ts"
import { startReaper } from "../../local/Reaper.ts"
import { BenchError } from "../harness/question.ts"

/** PostgreSQL with the outbox, where nothing is sent: what it dispatches stays in pg_net's queue. */
export interface Database extends AsyncDisposable {
  readonly open: (options?: { readonly superuser?: boolean; readonly database?: string }) => Promise<Client>
  readonly urlOf: (database: string) => string
  /** Connections with the handler's role. */
  readonly serviceRole: (database: string, connections: number) => Pool
}

const migrations = join(import.meta.dirname, "..", "..", "supabase", "migrations")
const SECRET_BYTES = 32

const inDatabase = (url: string, name: string): string => Object.assign(new URL(url), { pathname: `/${name}` }).href

interface Server {
  readonly binaries?: PostgresBinaries
  readonly settings?: Readonly<Record<string, string>>
}

/** Each database runs its own migrations. */
export const startDatabase = (...names: ReadonlyArray<string>): Promise<Database> => startDatabaseOn({}, ...names)

export const startDatabaseOn = async (
  { binaries, settings = {} }: Server,
  ...names: ReadonlyArray<string>
): Promise<Database> => {
  await using started = new AsyncDisposableStack()
  const reaper = started.use(startReaper())
  const postgres = started.use(
    await startPostgres({
      binaries: binaries ?? (await postgresBinaries()),
      settings,
      port: undefined,
      password: "postgres",
      log: () => {},
      reaper
    })
  )
  const [admin, owner] = [postgres.urlOf("supabase_admin"), postgres.urlOf("postgres")]
  const clients = started.use(new AsyncDisposableStack())
  const open: Database["open"] = async ({ database = "postgres", superuser = false } = {}) => {
    const client = await connect(inDatabase(superuser ? admin : owner, database), "bench")
    clients.defer(() => client.end())
    return client
  }
  const creator = await open({ superuser: true })
  for (const name of names) {
    if (name !== "postgres") await creator.query(`create database ${name} owner postgres template template1`)
    await migrate(inDatabase(owner, name), migrations)
    await seedVault(inDatabase(owner, name), {
      outbox_webhook_secret: `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`,
      outbox_function_url: "http://127.0.0.1:9/functions/v1/pause-status-webhook-handler"
    })
  }
  const kept = started.move()
  return {
    open,
    urlOf: (database) => inDatabase(owner, database),
    serviceRole: (database, connections) => {
      const pool = new Pool({
        connectionString: inDatabase(owner, database),
        max: connections,
        options: "-c role=service_role"
      })
      pool.on("error", () => {})
      clients.defer(() => pool.end())
      return pool
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}

export const createMentors = async (client: Client, count: number): Promise<ReadonlyArray<string>> => {
  const { rows } = await client.query<{ id: string }>(
    `insert into public.peer_mentor_profiles (status, full_name)
     select 'active', 'mentor ' || n from generate_series(1, $1) n returning id`,
    [count]
  )
  return rows.map(({ id }) => id)
}

const FLIP = "status = case status when 'active' then 'paused' else 'active' end"

export interface Flipped {
  readonly updateMs: number
  readonly commitMs: number
}

/** Of one statement's events, how many the commit hands to pg_net. The handler that settles them gets the others. */
export const MOST_SENT_BY_THE_WRITER = 50

/** Pauses active mentors and resumes the others, in one UPDATE and a commit. */
export const flip = async (client: Client, table: string, mentorIds: ReadonlyArray<string>): Promise<Flipped> => {
  await client.query("begin")
  const began = performance.now()
  const { rowCount } = await client.query(`update ${table} set ${FLIP} where id = any($1)`, [mentorIds])
  const updated = performance.now()
  await client.query("commit")
  const committed = performance.now()
  if (rowCount !== mentorIds.length) throw new BenchError(`${table}: ${rowCount} of ${mentorIds.length} rows changed`)
  return { updateMs: updated - began, commitMs: committed - updated }
}

/** A dispatched event, as the handler claims it. */
export interface Sent {
  readonly eventId: string
  readonly key: string
}

const toEvent = (payload: {
  readonly event_id: string
  readonly version: number
  readonly timestamp: string
  readonly record: { readonly id: string; readonly status: string }
  readonly old_record: { readonly status: string }
}) => ({
  eventId: payload.event_id,
  topic: "pause-status",
  key: payload.record.id,
  record: payload.record,
  oldRecord: payload.old_record,
  occurredAt: payload.timestamp,
  version: payload.version,
  source: "outbox"
})

/** Takes dispatched requests out of pg_net's queue, and reads them as the handler does. */
export const takeSent = async (client: Client): Promise<ReadonlyArray<Sent>> => {
  const { rows } = await client.query<{ body: string }>(
    "delete from net.http_request_queue returning convert_from(body, 'utf8') as body"
  )
  return rows.flatMap(({ body }) => [JSON.parse(body)].flat().map(toEvent))
}
