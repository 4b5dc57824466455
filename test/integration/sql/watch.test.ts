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
  sweep
} from "../../support/sql.ts"

describe("the watchdog", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const watch = () => own.rows("select pause_status.watch()")

  const openAlerts = async () =>
    (
      await own.rows<{ kind: string }>("select kind from pause_status.alerts where closed_at is null order by kind")
    ).map(({ kind }) => kind)

  const health = () => own.row<Record<string, unknown>>("select * from pause_status.health")

  const [minutes, hours] = [60, 3600]
  const grow = (column: string, seconds: number) =>
    own.rows(`update pause_status.webhook_queue set ${column} = ${column} - make_interval(secs => $1)`, [seconds])

  it("has nothing to say about a system in which all is well", async () => {
    for (const { eventId } of await pausedEvents(own, 3)) await settle(own, eventId)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
    assert.deepInclude(await health(), { pending: "0", processing: "0", failed: "0", oldest_unnotified_seconds: 0 })
  })

  it("opens one alert when an event waits too long, updates it while it lasts, and closes it when it is over", async () => {
    const [event] = await pausedEvents(own, 1)
    await grow("created_at", 10 * minutes)
    await watch()
    await grow("created_at", 10 * minutes)
    await watch()
    const [alert, ...more] = await own.rows<{ kind: string; value: string; threshold: string; closed_at: unknown }>(
      "select kind, value, threshold, closed_at from pause_status.alerts"
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
    const { alerts } = await own.row<{ alerts: number }>("select count(*)::int as alerts from pause_status.alerts")
    assert.strictEqual(alerts, 2)
  })

  it("does not wait for what somebody else sends", async () => {
    await own.rpc("pause_status_claim", { events: [foreignEvent()] })
    await grow("created_at", 10 * minutes)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

  it("alerts of new dead letters, and closes when they are resolved", async () => {
    const [event] = await pausedEvents(own, 1)
    await bury(own, event?.eventId ?? "")
    await watch()
    assert.deepStrictEqual(await openAlerts(), ["dead_letters"])
    assert.deepInclude(await health(), { failed: "1", dead_letters_open: "1", dead_letters_last_hour: "1" })
    await own.rows("select pause_status.resolve($1)", [event?.eventId])
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })

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

  it("alerts when the sweep is silent, and when it has never run", async () => {
    for (const silence of [
      "update pause_status.heartbeats set last_at = now() - interval '1 hour'",
      "delete from pause_status.heartbeats"
    ]) {
      await own.rows(silence)
      await watch()
      assert.deepStrictEqual(await openAlerts(), ["sweep_silent"])
    }
  })

  it("is at ease again after the next sweep", async () => {
    await own.rows("update pause_status.heartbeats set last_at = now() - interval '1 hour'")
    await watch()
    await sweep(own)
    await watch()
    assert.deepStrictEqual(await openAlerts(), [])
  })
})
