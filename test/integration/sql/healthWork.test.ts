import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openReadyDatabase } from "../../support/sql.ts"

const most = 10_000

/** Four times as many as are counted, of each: pending, claimed too long ago, failed, told to nobody; and attempts. */
const fill = `
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, created_at, status, next_attempt_at, lease_expires_at, receipt, completed_at, dead_letter_id
  )
  select
    md5('event ' || i)::uuid, 'pause-status', md5('mentor ' || i)::uuid, 1, 'UPDATE', '{"status": "paused"}',
    '{"status": "active"}', t, 'outbox', t, status,
    case status when 'pending' then t end,
    case status when 'processing' then t end,
    case status when 'completed' then '{"notified": 0}'::jsonb end,
    case status when 'completed' then t end,
    case status when 'failed' then md5('event ' || i)::uuid end
  from generate_series(0, ${16 * most - 1}) as i
  cross join lateral (
    select
      now() - i * interval '1 millisecond' as t,
      (array['pending', 'processing', 'completed', 'failed'])[1 + i / ${4 * most}] as status
  ) as row;

  insert into outbox.dead_letters (
    id, event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error
  )
  select q.dead_letter_id, q.event_id, q.topic, q.key, q.version, 'refused', 1, q.created_at, q.created_at, 'refused'
  from outbox.events q
  where q.status = 'failed';

  insert into outbox.attempts (event_id, attempt, outcome, http_status, error)
  select md5('event ' || i)::uuid, 1, 'transient', 401, 'refused' from generate_series(1, ${4 * most}) as i;
  update outbox.events set created_at = now() - interval '1 hour' where event_id = md5('event 7')::uuid;
  analyze outbox.events, outbox.attempts, outbox.dead_letters`

describe("the report on health of a long outage", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
    await database.rows(fill)
  })
  afterAll(() => database[Symbol.asyncDispose]())

  /** What a function answers, and how many rows of the three large tables it read, in whatever way. */
  const readBy = async (call: string) => {
    await using client = await database.connect()
    await client.query("begin")
    const { rows } = await client.query<{ answer: unknown }>(`select ${call} as answer`)
    const counted = await client.query<{ read: string }>(
      `select sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)
         + (select sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) from pg_index i where i.indrelid = c.oid)) as read
       from pg_class c
       where c.relnamespace = 'outbox'::regnamespace
         and c.relname in ('events', 'attempts', 'dead_letters')`
    )
    await client.query("rollback")
    return { answer: rows[0]?.answer, read: Number(counted.rows[0]?.read) }
  }

  it("counts to ten thousand, and reads no more rows than that for each figure", async () => {
    const { answer, read } = await readBy("public.outbox_health()")
    assert.deepInclude(answer, {
      pending: most,
      processing: most,
      failed: most,
      deadLettersOpen: most,
      withoutRecipients: most,
      expiredLeases: most,
      failureRatePercent: 100
    })
    assert.isAtLeast(read, 6 * most)
    assert.isAtMost(read, 20 * most)
  })

  it("still knows the oldest", async () => {
    const { answer } = await readBy("(select h.oldest_unnotified_seconds from outbox.health h)")
    assert.isAtLeast(Number(answer), 3_600)
  })

  it("costs the watchdog no more", async () => {
    const { answer, read } = await readBy("outbox.watch()")
    assert.isAtLeast(Number(answer), 6)
    assert.isAtMost(read, 20 * most)
  })
})
