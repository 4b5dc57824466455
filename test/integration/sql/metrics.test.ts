import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { type Database, openReadyDatabase, pausedEvents, settle } from "../../support/sql.ts"

describe("outbox_metrics", () => {
  let own: Database
  beforeEach(async () => {
    own = await openReadyDatabase()
  })
  afterEach(() => own[Symbol.asyncDispose]())

  const figures = async () => (await own.call<{ topics: ReadonlyArray<object> }>("outbox_metrics", {})).topics

  it("is a count of zero and no latency if nothing was completed", async () => {
    await pausedEvents(own, 1)
    assert.deepStrictEqual(await figures(), [{ topic: "pause-status", completed: 0, p50: null, p95: null, p99: null }])
  })

  it("is how long the events of the last 15 minutes took, in seconds", async () => {
    const events = await pausedEvents(own, 3)
    for (const { eventId } of events) await settle(own, eventId)
    const took = async (eventId: string | undefined, seconds: number, ago: string) =>
      own.rows(
        `update outbox.events
         set completed_at = now() - $3::interval, created_at = now() - $3::interval - make_interval(secs => $2)
         where event_id = $1`,
        [eventId, seconds, ago]
      )
    await took(events[0]?.eventId, 1, "1 minute")
    await took(events[1]?.eventId, 3, "14 minutes")
    await took(events[2]?.eventId, 500, "16 minutes")
    assert.deepStrictEqual(await figures(), [{ topic: "pause-status", completed: 2, p50: 2, p95: 2.9, p99: 2.98 }])
  })

  it("reads an index, however many events there are", async () => {
    await own.rows(
      `insert into outbox.events (topic, key, version, type, record, occurred_at, source, status, completed_at, receipt)
       select 'pause-status', gen_random_uuid(), 1, 'UPDATE', '{}', now(), 'outbox', 'completed',
         now() - interval '1 day' - make_interval(secs => n), '{}' from generate_series(1, 20000) n`
    )
    await own.rows("analyze outbox.events")
    const [{ ms = 0 } = {}] = await own.rows<{ ms: number }>(
      `with started as materialized (select clock_timestamp() as at), done as materialized (
         select public.outbox_metrics() from started)
       select extract(epoch from clock_timestamp() - started.at) * 1000 as ms from started, done`
    )
    assert.isBelow(Number(ms), 100)
  })
})
