import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { asClaim, createMentor, type Database, givenEvent, openReadyDatabase } from "../../support/sql.ts"

const SETTLED = 3_000

describe("the size of the queue", () => {
  let own: Database
  beforeAll(async () => {
    own = await openReadyDatabase()
    // An autovacuum would make the session plan again.
    await own.rows("alter table outbox.events set (autovacuum_enabled = off)")
  })
  afterAll(() => own[Symbol.asyncDispose]())

  /** Rows of each table that one event has read, from the change of its mentor to its settlement and what comes then. */
  const deliver = async (
    client: Awaited<ReturnType<Database["connect"]>>,
    then = "outbox.sweep()"
  ): Promise<Record<string, number>> => {
    const mentor = await createMentor(own)
    const row: Database["row"] = async (text, values = []) => (await client.query(text, [...values])).rows[0]
    // The counters below hold what was not reported yet, also of earlier transactions.
    await client.query("select pg_stat_force_next_flush()")
    await client.query("begin; set constraints all immediate")
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    const queued = await client.query("select event_id from outbox.events where topic = 'pause-status' and key = $1", [
      mentor
    ])
    const event = await givenEvent({ row }, queued.rows[0].event_id)
    const claims = await client.query("select public.outbox_claim($1) as answer", [JSON.stringify([asClaim(event)])])
    await client.query("select public.pause_status_notify($1)", [JSON.stringify([event])])
    const { token } = claims.rows[0].answer[0]
    const settlement = { eventId: event.eventId, token, outcome: "completed", receipt: {} }
    const settled = await client.query("select public.outbox_settle($1) as answer", [JSON.stringify([settlement])])
    assert.include(settled.rows[0].answer.settled[0], { outcome: "completed" })
    await client.query(`select ${then}`)
    const read = await client.query<{ relname: string; rows: number }>(
      `select relname, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::integer as rows
       from pg_stat_xact_user_tables
       where schemaname = 'outbox' and relname in ('events', 'attempts', 'receipts', 'handled_keys', 'keys')`
    )
    await client.query("commit")
    return Object.fromEntries(read.rows.map(({ relname, rows }) => [relname, rows]))
  }

  const few = (read: Record<string, number>): void => {
    for (const [table, rows] of Object.entries(read)) assert.isBelow(rows, 50, table)
  }

  it("does not change how many rows an event reads, even with plans from when the queue was empty", async () => {
    await using client = await own.connect()
    few(await deliver(client))
    const mentor = "md5((number / 3)::text)::uuid::text"
    const record = `jsonb_build_object('id', ${mentor}, 'status', 'paused')`
    await client.query(
      `with settled as (
         insert into outbox.events (
           topic, key, version, type, record, occurred_at, source, status, receipt, completed_at
         )
         select 'pause-status', ${mentor}, 1 + number % 3, 'UPDATE', ${record}, now(), 'outbox', 'completed', '{}', now()
         from generate_series(0, $1::integer - 1) as number
         returning event_id, key, version
       ), attempts as (
         insert into outbox.attempts (event_id, attempt, outcome) select event_id, 1, 'completed' from settled
       ), mentors as (
         insert into outbox.handled_keys select distinct 'pause-status', key, 3 from settled
       )
       insert into outbox.receipts (event_id, fingerprint, receipt) select event_id, 'f', '{}' from settled`,
      [SETTLED]
    )
    few(await deliver(client))
    await client.query("analyze outbox.events")
    few(await deliver(client))
    // What the statistics have not seen: to the plans, nothing waits.
    await client.query(
      `insert into outbox.events (topic, key, version, type, record, occurred_at, source, next_attempt_at)
       select 'pause-status', ${mentor}, 4 + number % 3, 'UPDATE', ${record}, now(), 'outbox', now() - interval '1 day'
       from generate_series(0, $1::integer - 1) as number`,
      [SETTLED]
    )
    // With the events that it hands over, a settlement reads as many as travel in one request.
    await client.query("update outbox.settings set events_per_request = 1")
    few(await deliver(client, "outbox.end_unacknowledged(1000), outbox.end_leases(1000)"))
  })
})
