import { readdir, readFile } from "node:fs/promises"
import { randomUUID } from "node:crypto"
import type { Client } from "pg"
import { assert, describe, it } from "vitest"
import {
  carrierOf,
  POSTGRES_VERSIONS,
  type PostgresVersion,
  postgresBinaries
} from "../../../local/postgres/binaries.ts"
import { connect } from "../../../local/postgres/connect.ts"
import { startPostgres } from "../../../local/postgres/server.ts"
import { startReaper } from "../../../local/Reaper.ts"
import { functionUrl, newSecret } from "../../support/sql.ts"

const migrations = new URL("../../../supabase/migrations/", import.meta.url)

const migrate = async (client: Client): Promise<void> => {
  for (const name of (await readdir(migrations)).toSorted()) {
    await client.query("begin")
    await client.query(await readFile(new URL(name, migrations), "utf8"))
    await client.query("commit")
  }
}

const valueOf = async (client: Client, text: string, values: ReadonlyArray<unknown> = []): Promise<unknown> =>
  (await client.query<{ value: unknown }>(text, [...values])).rows[0]?.value

/** What was sent, as the handler makes an event of it. */
const EVENT = `
  select jsonb_build_object(
    'eventId', body -> 'event_id', 'topic', body -> 'topic', 'key', body -> 'record' -> 'id', 'record', body -> 'record',
    'oldRecord', body -> 'old_record', 'mentorId', body -> 'record' -> 'id', 'transition', 'PAUSE',
    'oldStatus', body -> 'old_record' -> 'status', 'newStatus', body -> 'record' -> 'status',
    'occurredAt', body -> 'timestamp', 'version', body -> 'version', 'source', 'outbox'
  ) as value
  from (select convert_from(body, 'utf8')::jsonb as body from net.http_request_queue) as request`

/** One pause, from the change to its end, and everything that runs beside it. */
const walk = async (client: Client): Promise<void> => {
  await client.query("select vault.create_secret($1, 'outbox_webhook_secret')", [newSecret()])
  await client.query("select vault.create_secret($1, 'outbox_function_url')", [functionUrl])
  const mentor = randomUUID()
  await client.query("insert into public.peer_mentor_profiles (id) values ($1)", [mentor])
  const coordinator = await valueOf(client, "insert into public.coordinators default values returning id as value")
  await client.query("insert into public.mentor_coordinators values ($1, $2)", [mentor, coordinator])
  await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
  const event = await valueOf(client, EVENT)
  const claims: unknown = await valueOf(client, "select public.outbox_claim(jsonb_build_array($1::jsonb)) as value", [
    event
  ])
  assert.deepPropertyVal((claims as ReadonlyArray<object>)[0] ?? {}, "outcome", "claimed")
  const answers = await valueOf(client, "select public.pause_status_notify(jsonb_build_array($1::jsonb)) as value", [
    event
  ])
  const answer = (answers as ReadonlyArray<object>)[0] ?? {}
  assert.deepNestedPropertyVal(answer, "outcome", "notified")
  assert.deepNestedPropertyVal(answer, "receipt.notified", 1)
  const told = await client.query("select mentor_id, coordinator_id, transition, version from public.notifications")
  assert.deepStrictEqual(told.rows, [
    { mentor_id: mentor, coordinator_id: coordinator, transition: "PAUSE", version: "1" }
  ])
  const settled = await valueOf(
    client,
    `select public.outbox_settle(jsonb_build_array(jsonb_build_object(
       'eventId', $1::jsonb -> 'eventId', 'token', $2::jsonb -> 0 -> 'token', 'outcome', 'completed',
       'receipt', $3::jsonb -> 0 -> 'receipt'
     )), 'pause-status') -> 'settled' -> 0 ->> 'outcome' as value`,
    [event, JSON.stringify(claims), JSON.stringify(answers)]
  )
  assert.strictEqual(settled, "completed")
  await client.query("select outbox.sweep(), outbox.reconcile(), outbox.watch()")
  await client.query(
    'select public.outbox_health(), public.outbox_list_events(\'{"topic": "pause-status", "limit": 10}\')'
  )
  const rows = await client.query("select status, failures, last_error from outbox.events")
  assert.deepStrictEqual(rows.rows, [{ status: "completed", failures: 0, last_error: null }])
  const failed = await client.query("select job, last_error from outbox.heartbeats where last_error is not null")
  assert.deepStrictEqual(failed.rows, [])
}

const isLinuxX64 = process.platform === "linux" && process.arch === "x64"
const isHere = (version: PostgresVersion): boolean => carrierOf(version) !== undefined

describe("on PostgreSQL", () => {
  // Beside 17, npm ci brings them along for linux-x64 only.
  it.for(POSTGRES_VERSIONS.filter((version) => isLinuxX64 || isHere(version)))(
    "%s the migrations can be applied three times, and a pause is notified",
    async (version) => {
      await using started = new AsyncDisposableStack()
      const reaper = started.use(startReaper())
      const binaries = await postgresBinaries(version)
      const postgres = started.use(
        await startPostgres({ binaries, port: undefined, password: randomUUID(), log: () => {}, reaper })
      )
      const client = await connect(postgres.urlOf("postgres"))
      started.defer(() => client.end())
      assert.strictEqual(await valueOf(client, "select left(current_setting('server_version'), 2) as value"), version)
      for (let time = 1; time <= 3; time++) await migrate(client)
      await walk(client)
    }
  )
})
