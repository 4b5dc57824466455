import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openDatabase } from "../../support/sql.ts"

const day = (number: number): string => new Date(Date.UTC(2026, 0, 1 + number)).toISOString()

// The newest of them are of the last day: 2,000 mentors, ten events each, a hundred days. Those of the first ten days failed.
const fill = `
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, status, receipt, created_at, completed_at
  )
  select
    md5('event ' || i)::uuid, 'pause-status', md5('mentor ' || i % 2000)::uuid, i / 2000 + 1, 'UPDATE',
    '{"status": "paused"}', '{"status": "active"}', t, 'outbox', 'completed', '{}', t, t
  from generate_series(0, 19999) as i
  cross join lateral (select '2026-01-01T00:00:00Z'::timestamptz + i * interval '432 seconds' as t) as clock;

  insert into public.coordinators (id) values (md5('coordinator')::uuid);
  insert into public.mentor_coordinators select md5('mentor ' || i)::uuid, md5('coordinator')::uuid
  from generate_series(1, 10) as i;

  with letters as (
    insert into outbox.dead_letters (
      event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error
    )
    select q.event_id, q.topic, q.key, q.version, 'refused', 1, q.created_at, q.created_at, 'refused'
    from outbox.events q
    where q.created_at < '2026-01-11T00:00:00Z'
    returning id, event_id
  )
  update outbox.events q
  set status = 'failed', dead_letter_id = l.id, receipt = null, completed_at = null
  from letters l
  where q.event_id = l.event_id;
  analyze outbox.events`

describe("the list of twenty thousand events", () => {
  let database: Database
  let userId: string
  let mentorId: string
  beforeAll(async () => {
    database = await openDatabase()
    await database.rows(fill)
    const ids = await database.row<{ coordinator: string; mentor: string }>(
      "select md5('coordinator')::uuid as coordinator, md5('mentor 7')::uuid as mentor"
    )
    userId = ids.coordinator
    mentorId = ids.mentor
  })
  afterAll(() => database[Symbol.asyncDispose]())

  /** How many rows of the queue were read for a page, in whatever way. */
  const readFor = async (query: object) => {
    await using client = await database.connect()
    await client.query("begin")
    const { rows } = await client.query<{ page: { events: ReadonlyArray<unknown> } }>(
      "select public.outbox_list_events($1) as page",
      [JSON.stringify(query)]
    )
    // A scan of the table or of a bitmap counts at the table, a scan of an index at that index.
    const counted = await client.query<{ read: string }>(
      `select pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid)
         + (select sum(pg_stat_get_xact_tuples_fetched(i.indexrelid)) from pg_index i where i.indrelid = c.oid) as read
       from pg_class c where c.oid = 'outbox.events'::regclass`
    )
    await client.query("rollback")
    return { found: rows[0]?.page.events.length, read: Number(counted.rows[0]?.read) }
  }

  it.for([
    { what: "the newest page", query: () => ({}), found: 20, most: 50 },
    {
      what: "a page in the middle",
      query: () => ({ after: { createdAt: day(50), eventId: userId } }),
      found: 20,
      most: 50
    },
    { what: "one mentor's", query: () => ({ key: mentorId }), found: 10, most: 50 },
    { what: "a coordinator's", query: () => ({ userId }), found: 20, most: 300 },
    { what: "nobody's", query: () => ({ userId: mentorId }), found: 0, most: 0 },
    { what: "the failed ones, which are the oldest", query: () => ({ status: "failed" }), found: 20, most: 2_000 },
    { what: "the pending ones, of which there are none", query: () => ({ status: "pending" }), found: 0, most: 50 },
    {
      what: "those of a day long ago",
      query: () => ({ occurredFrom: day(10), occurredTo: day(11) }),
      found: 20,
      most: 300
    },
    { what: "those before a day long ago", query: () => ({ occurredTo: day(30) }), found: 20, most: 300 },
    { what: "those since the first day", query: () => ({ occurredFrom: day(0) }), found: 20, most: 300 },
    { what: "those of the future", query: () => ({ occurredFrom: day(400) }), found: 0, most: 50 }
  ])("reads few rows for a page of $what", async ({ query, found, most }) => {
    const work = await readFor({ topic: "pause-status", limit: 20, ...query() })
    assert.strictEqual(work.found, found)
    assert.isAtMost(work.read, most)
  })
})
