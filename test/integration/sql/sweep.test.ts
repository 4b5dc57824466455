import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import {
  bury,
  claim,
  claimOf,
  complete,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  expireLease,
  foreignEvent,
  functionUrl,
  makeDue,
  newSecret,
  openDatabase,
  openReadyDatabase,
  release,
  setStatus,
  storeSecret,
  sweep
} from "../../support/sql.ts"

describe("the sweep", () => {
  let own: Database
  beforeAll(async () => {
    own = await openReadyDatabase()
  })
  beforeEach(async () => {
    await own.rows("delete from outbox.events")
    await own.rows("delete from net.http_request_queue")
  })
  afterAll(() => own[Symbol.asyncDispose]())

  const pausedMentor = async (): Promise<string> => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    return mentor
  }

  it("sends nothing while nothing is due", async () => {
    await pausedMentor()
    assert.strictEqual(await sweep(own), 0)
  })

  it("sends an unclaimed event again, with a fresh signature over the same payload", async () => {
    const mentor = await pausedMentor()
    const { event_id } = await eventOf(own, mentor)
    const bodies = "select convert_from(body, 'UTF8') as body from net.http_request_queue"
    const before = await own.rows(bodies)
    await emptyNet(own)
    await makeDue(own, event_id)
    assert.strictEqual(await sweep(own), 1)
    assert.include(await eventOf(own, mentor), { attempts: 2, status: "pending" })
    assert.deepStrictEqual(await own.rows(bodies), before)
    assert.strictEqual(await sweep(own), 0)
  })

  it("sends what pg_net lost in a crash", async () => {
    const mentor = await pausedMentor()
    await own.rows("truncate net.http_request_queue")
    await makeDue(own, (await eventOf(own, mentor)).event_id)
    assert.strictEqual(await sweep(own), 1)
    const { waiting } = await own.row<{ waiting: number }>(
      "select count(*)::int as waiting from net.http_request_queue"
    )
    assert.strictEqual(waiting, 1)
  })

  it("takes an event back from a claimant whose lease ran out, and sends it again", async () => {
    const mentor = await pausedMentor()
    const { event_id } = await eventOf(own, mentor)
    const token = await claim(own, event_id)
    assert.strictEqual(await sweep(own), 0)
    await expireLease(own, event_id)
    assert.strictEqual(await sweep(own), 1)
    assert.include(await eventOf(own, mentor), { status: "pending", attempts: 2 })
    assert.include(await complete(own, event_id, token), { outcome: "stale" })
  })

  it("never sends another sender's events", async () => {
    const event = foreignEvent()
    await release(own, event.eventId, (await claimOf(own, event))["token"])
    assert.strictEqual(await sweep(own), 0)
    await claimOf(own, event)
    await expireLease(own, event.eventId)
    assert.strictEqual(await sweep(own), 0)
    assert.strictEqual((await claimOf(own, event)).outcome, "claimed")
  })

  it("sends each event once if many sweeps run at the same time", async () => {
    const events = await Promise.all(
      Array.from({ length: 30 }, async () => (await eventOf(own, await pausedMentor())).event_id)
    )
    await emptyNet(own)
    await Promise.all(events.map((event) => makeDue(own, event)))
    const sent = await Promise.all(Array.from({ length: 4 }, () => sweep(own)))
    assert.strictEqual(
      sent.reduce((sum, count) => sum + count, 0),
      30
    )
    const attempts = await own.rows("select distinct attempts from outbox.events")
    assert.deepStrictEqual(attempts, [{ attempts: 2 }])
  })

  it("sends no more at once than the settings allow, and less while pg_net is behind", async () => {
    for (let count = 0; count < 5; count += 1) await makeDue(own, (await eventOf(own, await pausedMentor())).event_id)
    await emptyNet(own)
    await own.rows("update outbox.settings set sweep_batch_size = 3, events_per_request = 2")
    assert.strictEqual(await sweep(own), 3)
    assert.strictEqual(await sweep(own), 1)
    assert.strictEqual(await sweep(own), 1)
    assert.strictEqual(await sweep(own), 0)
  })

  it("leaves events alone that still wait in pg_net, and does not count a failure", async () => {
    const mentor = await pausedMentor()
    const { event_id } = await eventOf(own, mentor)
    for (let times = 0; times < 12; times += 1) {
      await makeDue(own, event_id)
      assert.strictEqual(await sweep(own), 0)
    }
    assert.include(await eventOf(own, mentor), { status: "pending", attempts: 1, failures: 0 })
  })

  it("skips events that wait behind others, however long they have been due", async () => {
    const [waiting, other] = [await pausedMentor(), await pausedMentor()]
    await setStatus(own, waiting, "active")
    await makeDue(own, (await eventOf(own, waiting, 2)).event_id)
    await makeDue(own, (await eventOf(own, other)).event_id)
    await emptyNet(own)
    assert.strictEqual(await sweep(own), 1)
    assert.include(await eventOf(own, waiting, 2), { attempts: 0, last_error: null })
  })

  it("recovers by itself once the missing secrets are stored", async () => {
    await own.rows("delete from vault.secrets")
    const mentors = [await pausedMentor(), await pausedMentor()]
    for (const mentor of mentors) await makeDue(own, (await eventOf(own, mentor)).event_id)
    assert.strictEqual(await sweep(own), 0)
    await storeSecret(own, "outbox_function_url", functionUrl)
    await storeSecret(own, "outbox_webhook_secret", newSecret())
    for (const mentor of mentors) await makeDue(own, (await eventOf(own, mentor)).event_id)
    assert.strictEqual(await sweep(own), 2)
  })

  it("is scheduled once, like the other work", async () => {
    const jobs = await own.rows("select jobname, schedule, command from cron.job order by jobname")
    assert.deepStrictEqual(jobs, [
      { jobname: "outbox-alert", schedule: "* * * * *", command: "select outbox.send_alerts()" },
      { jobname: "outbox-direct", schedule: "5 seconds", command: "select outbox.send_directly()" },
      { jobname: "outbox-reconcile", schedule: "*/5 * * * *", command: "select outbox.reconcile()" },
      { jobname: "outbox-retention", schedule: "*/10 * * * *", command: "select outbox.forget_settled()" },
      { jobname: "outbox-sweep", schedule: "5 seconds", command: "select outbox.sweep()" },
      { jobname: "outbox-traces", schedule: "* * * * *", command: "select outbox.export_traces()" },
      { jobname: "outbox-watch", schedule: "* * * * *", command: "select outbox.watch()" }
    ])
  })

  it("waits longer after each attempt, within the cap, and never the same twice", async () => {
    const delays = await own.rows<{ attempt: number; low: number; high: number; different: number }>(
      `select attempt, min(delay) as low, max(delay) as high, count(distinct delay)::int as different
       from (
         select attempt, extract(epoch from outbox.backoff(attempt))::float8 as delay
         from unnest(array[0, 1, 2, 4, 20, 2000000000]) as attempt, generate_series(1, 50)
       ) as sample
       group by attempt order by attempt`
    )
    const bounds = new Map([
      [0, 2],
      [1, 2],
      [2, 4],
      [4, 16],
      [20, 300],
      [2000000000, 300]
    ])
    for (const { attempt, low, high, different } of delays) {
      const bound = bounds.get(attempt) ?? 0
      assert.isAtLeast(low, bound / 2)
      assert.isAtMost(high, bound)
      assert.isAbove(different, 1)
    }
    assert.lengthOf(delays, bounds.size)
  })

  it("runs without pg_net", async () => {
    await using bare = await openDatabase()
    await bare.rows("drop extension pg_net")
    const mentor = await createMentor(bare)
    await setStatus(bare, mentor, "paused")
    await makeDue(bare, (await eventOf(bare, mentor)).event_id)
    assert.strictEqual(await sweep(bare), 0)
    assert.include((await eventOf(bare, mentor)).last_error, "pg_net")
  })

  it("leaves settled and failed events alone", async () => {
    const mentor = await pausedMentor()
    const { event_id } = await eventOf(own, mentor)
    const token = await claim(own, event_id)
    await complete(own, event_id, token)
    assert.strictEqual(await sweep(own), 0)
    assert.include(await eventOf(own, mentor), { status: "completed", attempts: 1 })
  })

  it("continues without a part that fails, and says so until it succeeds again", async () => {
    const mentor = await pausedMentor()
    const { event_id } = await eventOf(own, mentor)
    await claim(own, event_id)
    await expireLease(own, event_id)
    const { definition } = await own.row<{ definition: string }>(
      "select pg_get_functiondef('outbox.undo_future'::regproc) as definition"
    )
    await own.rows(`create or replace function outbox.undo_future(at_most integer) returns void language plpgsql
      set search_path = pg_catalog, pg_temp as $$ begin raise 'broken'; end $$`)
    await sweep(own)
    assert.include(await eventOf(own, mentor), { status: "pending", failures: 1 })
    const problem = () =>
      own.row(
        `select last_error like '%undo_future%broken%' as said, last_at - failed_at < interval '1 millisecond' as now
         from outbox.heartbeats where job = 'sweep'`
      )
    assert.deepStrictEqual(await problem(), { said: true, now: true })
    await own.rows(definition)
    await sweep(own)
    assert.deepStrictEqual(await problem(), { said: true, now: false })
  })

  it("ends waits and leases from a time before the clock was set back", async () => {
    const [waiting, claimed] = [await pausedMentor(), await pausedMentor()]
    const events = [await eventOf(own, waiting), await eventOf(own, claimed)]
    await claim(own, events[1]?.event_id ?? "")
    await own.rows(
      `update outbox.events
       set next_attempt_at = next_attempt_at + interval '5 hours', lease_expires_at = lease_expires_at + interval '5 hours',
         first_failed_at = now() + interval '5 hours', last_failed_at = now() + interval '5 hours'`
    )
    await own.rows("update outbox.events set delivery_id = null where status = 'pending'")
    await emptyNet(own)
    await sweep(own)
    await sweep(own)
    assert.include(await eventOf(own, waiting), { status: "pending", attempts: 2 })
    assert.include(await eventOf(own, claimed), { status: "pending", failures: 1 })
    await bury(own, events[0]?.event_id ?? "")
    assert.include(await eventOf(own, waiting), { status: "failed" })
  })
})
