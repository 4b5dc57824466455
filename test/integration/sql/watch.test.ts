import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  bury,
  claim,
  type Database,
  foreignEvent,
  openReadyDatabase,
  pausedEvents,
  release,
  settle,
  sweep,
  claimMany
} from "../../support/sql.ts"

describe("the watchdog", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const watch = () => own.rows("select outbox.watch()")

  const openAlerts = async () =>
    (await own.rows<{ kind: string }>("select kind from outbox.alerts where closed_at is null order by kind")).map(
      ({ kind }) => kind
    )

  const health = () => own.row<Record<string, unknown>>("select * from outbox.health")

  const [minutes, hours] = [60, 3600]
  const grow = (column: string, seconds: number) =>
    own.rows(`update outbox.events set ${column} = ${column} - make_interval(secs => $1)`, [seconds])

  it("reports nothing about a healthy system", async () => {
    for (const { eventId } of await pausedEvents(own, 3)) await settle(own, eventId)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
    assert.deepInclude(await health(), { pending: "0", processing: "0", failed: "0", oldest_unnotified_seconds: 0 })
  })

  it("opens one alert when an event waits too long, updates it, and closes it when it is over", async () => {
    const [event] = await pausedEvents(own, 1)
    await grow("created_at", 10 * minutes)
    await watch()
    await grow("created_at", 10 * minutes)
    await watch()
    const [alert, ...more] = await own.rows<{ kind: string; value: string; threshold: string; closed_at: unknown }>(
      "select kind, value, threshold, closed_at from outbox.alerts"
    )
    assert.lengthOf(more, 0)
    assert.include(alert, { kind: "oldest_unnotified", threshold: "300", closed_at: null })
    assert.isAtLeast(Number(alert?.value), 20 * minutes)
    await settle(own, event?.eventId ?? "")
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
    await pausedEvents(own, 1)
    await grow("created_at", 10 * minutes)
    await watch()
    const { alerts } = await own.row<{ alerts: number }>("select count(*)::int as alerts from outbox.alerts")
    assert.strictEqual(alerts, 2)
  })

  it("does not wait for another sender's events", async () => {
    await claimMany(own, [foreignEvent()])
    await grow("created_at", 10 * minutes)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("alerts of dead letters until the last one is closed, however old they are", async () => {
    const events = await pausedEvents(own, 3)
    await own.rows("update outbox.settings set alert_dead_letters = 3")
    for (const { eventId } of events) {
      await watch()
      assert.deepStrictEqual(await openAlerts(), [])
      await bury(own, eventId)
    }
    await watch()
    await own.rows("update outbox.dead_letters set created_at = created_at - interval '2 days'")
    for (const { eventId } of events) {
      await watch()
      assert.deepStrictEqual(await openAlerts(), ["dead_letters"])
      await own.rows("select outbox.resolve($1)", [eventId])
    }
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
    assert.deepInclude(await health(), { failed: "3", dead_letters_open: "0" })
  })

  it("alerts of dead letters that are older than its last run", async () => {
    const [event] = await pausedEvents(own, 1)
    await bury(own, event?.eventId ?? "")
    await own.rows("update outbox.dead_letters set created_at = created_at - interval '2 days'")
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["dead_letters"])
  })

  /** Ten failures, a moment ago. */
  const fail = async () => {
    const failing = await pausedEvents(own, 10)
    for (const { eventId } of failing) await release(own, eventId, await claim(own, eventId))
    return failing
  }

  const age = (interval: string) =>
    own.rows("update outbox.attempts set ended_at = ended_at - $1::interval", [interval])

  it("alerts of a failure rate, but not because of a few attempts", async () => {
    const failing = await pausedEvents(own, 10)
    for (const [index, { eventId }] of failing.entries()) {
      if (index === 9) {
        await watch()
        assert.deepStrictEqual(await openAlerts(), [])
      }
      await release(own, eventId, await claim(own, eventId))
    }
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["failure_rate"])
    assert.deepInclude(await health(), { failure_rate_last_15_min: "100.0" })
  })

  it("keeps the alert of a failure rate open until something succeeds", async () => {
    const [first] = await fail()
    await watch()
    await age("1 day")
    await watch()
    assert.deepInclude(await health(), { attempts_last_15_min: "0" })
    assert.deepStrictEqual(await openAlerts(), ["failure_rate"])
    await settle(own, first?.eventId ?? "")
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("is not deceived by attempts from before the clock was set back", async () => {
    const [first] = await fail()
    await age("-1 day")
    await settle(own, first?.eventId ?? "")
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
    assert.deepInclude(await health(), { attempts_last_15_min: "1", failure_rate_last_15_min: "0.0" })
  })

  const refuse = (code: string) =>
    own.rows(
      `insert into outbox.attempts (event_id, attempt, outcome, http_status, error)
       values (gen_random_uuid(), 1, 'transient', 401, 'the handler answered 401: {"code":"' || $1 || '"}')`,
      [code]
    )

  it("alerts of deliveries that are refused for their secret until one is claimed again", async () => {
    await refuse("unauthorized")
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["unauthorized"])
    await age("1 day")
    await own.rows(
      `insert into outbox.attempts (event_id, attempt, outcome, error)
       values (gen_random_uuid(), 1, 'unacknowledged', 'no answer')`
    )
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["unauthorized"])
    await own.rows(
      `insert into outbox.attempts (event_id, attempt, claim_token, outcome, error)
       values (gen_random_uuid(), 1, 1, 'transient', 'refused')`
    )
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("does not blame the secret for clocks that differ", async () => {
    await refuse("stale_signature")
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("alerts of expired leases that no sweep takes back", async () => {
    const [event] = await pausedEvents(own, 1)
    await claim(own, event?.eventId ?? "")
    await grow("lease_expires_at", hours)
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["stuck_leases"])
    await sweep(own)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("alerts when the sweep is silent, when it has never run, and when it ran long after now", async () => {
    for (const silence of [
      "update outbox.heartbeats set last_at = now() - interval '1 hour' where job = 'sweep'",
      "update outbox.heartbeats set last_at = now() + interval '1 hour' where job = 'sweep'",
      "delete from outbox.heartbeats where job = 'sweep'"
    ]) {
      await own.rows(silence)
      await watch()
      assert.include(await openAlerts(), "sweep_silent")
    }
  })

  it("closes its alert after the next sweep", async () => {
    await own.rows("update outbox.heartbeats set last_at = now() - interval '1 hour' where job = 'sweep'")
    await watch()
    await sweep(own)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("counts raised alerts, and closes them an hour after the last time", async () => {
    const raise = (kind: string, amount: number) =>
      own.rows("select outbox.raise_alert($1, $2, 'look at it')", [kind, amount])
    const kinds = ["capture_failed", "clock_skew", "unknown_event"]
    for (const kind of kinds) {
      await raise(kind, 2)
      await raise(kind, 3)
    }
    await own.rows(
      `update outbox.alerts
       set opened_at = opened_at - interval '2 days', last_seen_at = last_seen_at - interval '59 minutes'`
    )
    await watch()
    assert.deepStrictEqual(await openAlerts(), kinds)
    assert.deepStrictEqual(await own.rows("select distinct value, threshold, detail from outbox.alerts"), [
      { value: "5", threshold: "1", detail: "look at it" }
    ])
    await raise("unknown_event", 1)
    await own.rows("update outbox.alerts set last_seen_at = last_seen_at - interval '2 minutes'")
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["unknown_event"])
  })

  it("never fails or delays the caller that raises an alert", async () => {
    assert.deepStrictEqual(await own.rows("select outbox.raise_alert('of no kind', 1, 'nothing')"), [
      { raise_alert: "" }
    ])
    await own.rows("select outbox.raise_alert('unknown_event', 1, 'first')")
    await using other = await own.connect()
    await other.query("begin")
    await other.query("select outbox.raise_alert('unknown_event', 1, 'second')")
    await own.rows("select outbox.raise_alert('unknown_event', 1, 'third')")
    await other.query("rollback")
    assert.deepStrictEqual(await own.rows("select value, detail from outbox.alerts"), [{ value: "1", detail: "first" }])
  })

  it("opens and closes alerts although the clock is set back under them", async () => {
    await own.rows("select outbox.raise_alert(k, 1, 'now') from unnest(array['unknown_event', 'job_failing']) k")
    await own.rows(
      "update outbox.alerts set opened_at = now() + interval '1 day', last_seen_at = now() + interval '1 day'"
    )
    const [event] = await pausedEvents(own, 1)
    await grow("created_at", -hours)
    await watch()
    assert.deepInclude(await health(), { oldest_unnotified_seconds: 0 })
    await own.rows("update outbox.alerts set last_seen_at = last_seen_at - interval '2 hours'")
    await settle(own, event?.eventId ?? "")
    await watch()
    const left = await own.rows("select kind from outbox.alerts where closed_at < opened_at or closed_at is null")
    assert.deepStrictEqual(left, [])
  })

  it("continues if a measurement fails, and says so", async () => {
    const [event] = await pausedEvents(own, 1)
    await bury(own, event?.eventId ?? "")
    await own.rows(
      `create or replace function outbox.capture_state(t outbox.topics, out topic text, out attached boolean, out enabled boolean, out problem text)
       language plpgsql set search_path = pg_catalog, pg_temp as $$begin raise exception 'no such luck'; end$$;
       select cron.unschedule('outbox-retention')`
    )
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["dead_letters", "job_failing", "job_missing"])
    const { detail } = await own.row<{ detail: string }>("select detail from outbox.alerts where kind = 'job_failing'")
    assert.match(detail, /^outbox-watch: .*measure_capture.*no such luck$/)
  })
})
