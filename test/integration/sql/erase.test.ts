import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  asClaim,
  bury,
  claimOf,
  complete,
  createMentor,
  type Database,
  eventOf,
  foreignEvent,
  type GivenEvent,
  givenEvent,
  only,
  openReadyDatabase,
  pausedEvents,
  release,
  setStatus,
  settle,
  sweep,
  claimMany
} from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

const erasedReceipt = { erased: true }

describe("an erased event", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const erase = (eventId: string) => own.call("outbox_erase", { topic: "pause-status", event_id: eventId })

  /** A told and completed event, as a delivery of it says it. */
  const completed = async (coordinators = 1): Promise<GivenEvent> => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    for (let index = 0; index < coordinators; index++) await addCoordinator(event.mentorId)
    await notify(event)
    await settle(own, event.eventId)
    return event
  }

  const erased = async (): Promise<GivenEvent> => {
    const event = await completed()
    assert.deepStrictEqual(await erase(event.eventId), { outcome: "erased" })
    return event
  }

  const addCoordinator = (mentorId: string) =>
    own.rows(
      `with c as (insert into public.coordinators (name) values ('Cleo') returning id)
       insert into public.mentor_coordinators select $1, id from c`,
      [mentorId]
    )

  const notify = async (event: GivenEvent) => only(await own.rpc("pause_status_notify", { events: [event] }))

  const told = async (eventId: string): Promise<number> =>
    (
      await own.row<{ told: number }>("select count(*)::int as told from public.notifications where event_id = $1", [
        eventId
      ])
    ).told

  it("is answered as completed if it is claimed again, alone or among others", async () => {
    const event = await erased()
    const completed = { eventId: event.eventId, outcome: "completed", receipt: erasedReceipt }
    assert.deepStrictEqual(await claimOf(own, event), completed)
    const [first = foreignEvent(), last = foreignEvent()] = await pausedEvents(own, 2)
    const answers = await claimMany(own, [first, event, foreignEvent(), event, last])
    assert.deepStrictEqual(
      answers.map(({ outcome }) => outcome),
      ["claimed", "completed", "claimed", "completed", "claimed"]
    )
    assert.deepStrictEqual(answers[1], completed)
  })

  it("is distinguished from another event under its id", async () => {
    const event = await erased()
    for (const change of [{ mentorId: foreignEvent().mentorId }, { occurredAt: "2026-11-22T10:00:00Z" }]) {
      const other = { ...event, ...change }
      assert.deepStrictEqual(await claimOf(own, other), { eventId: event.eventId, outcome: "payload_mismatch" })
      assert.include(await notify(other), { outcome: "payload_mismatch" })
    }
  })

  it("stays erased if another sender sends it", async () => {
    const event = foreignEvent()
    const { token } = await claimOf(own, event)
    await complete(own, event.eventId, token)
    await erase(event.eventId)
    assert.include(await claimOf(own, event), { outcome: "completed" })
    assert.deepStrictEqual(await own.rows("select from outbox.events"), [])
  })

  it("does not hold up the mentor's next events", async () => {
    const event = await erased()
    await setStatus(own, event.mentorId, "active")
    const next = await givenEvent(own, (await eventOf(own, event.mentorId, 2)).event_id)
    const answers = await claimMany(own, [event, next])
    assert.deepStrictEqual(
      answers.map(({ outcome }) => outcome),
      ["completed", "claimed"]
    )
  })

  it("notifies nobody if a slow handler calls the orchestrator now, not even a new coordinator", async () => {
    const event = await erased()
    await addCoordinator(event.mentorId)
    const answer = { eventId: event.eventId, outcome: "notified", receipt: erasedReceipt, replayed: true }
    assert.deepStrictEqual(await notify(event), answer)
    assert.strictEqual(await told(event.eventId), 1)
  })

  it("notifies nobody if it failed and had notified nobody", async () => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    await addCoordinator(event.mentorId)
    await bury(own, event.eventId)
    await own.call("outbox_resolve", { topic: "pause-status", event_id: event.eventId })
    await erase(event.eventId)
    assert.deepInclude(await notify(event), { outcome: "notified", receipt: erasedReceipt, replayed: true })
    assert.strictEqual(await told(event.eventId), 0)
  })

  it("refuses a late settlement", async () => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    const { token } = await claimOf(own, event)
    await complete(own, event.eventId, token)
    await erase(event.eventId)
    assert.include(await complete(own, event.eventId, token), { outcome: "stale" })
    assert.include(await release(own, event.eventId, token), { outcome: "stale" })
  })

  it("is not brought back by the reconciliation, the sweep, a redrive or a resolve", async () => {
    const completedEvent = await erased()
    const resolved = await inState.resolved(own)
    await erase(resolved)
    assert.deepStrictEqual(await own.row("select outbox.reconcile() as enqueued"), { enqueued: 0 })
    assert.strictEqual(await sweep(own), 0)
    for (const event_id of [completedEvent.eventId, resolved]) {
      for (const name of ["outbox_redrive", "outbox_resolve"]) {
        assert.deepStrictEqual(await own.call(name, { topic: "pause-status", event_id }), {
          outcome: "unknown",
          event: null
        })
      }
      const forced = await own.call("outbox_redrive", { topic: "pause-status", event_id, force: true })
      assert.deepStrictEqual(forced, { outcome: "unknown", event: null })
    }
    assert.deepStrictEqual(await own.rows("select from outbox.events"), [])
  })

  it("does not hide a change that no trigger saw behind an older dead letter", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    await bury(own, (await eventOf(own, mentor)).event_id)
    await setStatus(own, mentor, "active")
    const { event_id } = await eventOf(own, mentor, 2)
    await settle(own, event_id)
    await erase(event_id)
    await using admin = await own.connect("admin")
    await admin.query("set session_replication_role = replica")
    await admin.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    assert.deepStrictEqual(await own.row("select outbox.reconcile() as enqueued"), { enqueued: 1 })
  })

  it("can be erased only once it is settled: not while it is pending, claimed, or an open dead letter", async () => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    assert.deepStrictEqual(await erase(event.eventId), { outcome: "not_settled" })
    const { token } = await claimOf(own, event)
    assert.deepStrictEqual(await erase(event.eventId), { outcome: "not_settled" })
    assert.include(await release(own, event.eventId, token, { kind: "permanent", message: "refused" }), {
      outcome: "dead"
    })
    assert.deepStrictEqual(await erase(event.eventId), { outcome: "not_settled" })
  })

  it("stays erased when claims and the erasure are concurrent, and none is granted", async () => {
    for (let round = 0; round < 10; round++) {
      const event = await completed(0)
      const [outcomes] = await Promise.all([
        Promise.all(Array.from({ length: 12 }, () => claimOf(own, event))),
        erase(event.eventId)
      ])
      assert.deepStrictEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ["completed"])
      assert.deepStrictEqual(await own.rows("select from outbox.events"), [])
    }
  })

  it("is not claimed by a claim that began before the erasure committed and reached the row after it", async () => {
    const event = await completed(0)
    await using erasing = await own.connect()
    await using watching = await own.connect("admin")
    await erasing.query("begin")
    await erasing.query("select outbox.erase($1)", [event.eventId])
    const claimed = claimOf(own, event)
    // It waits for the row that is being deleted; only then the erasure is committed.
    for (let waiting = 0; waiting === 0;) {
      const { rows } = await watching.query<{ waiting: number }>(
        `select count(*)::int as waiting from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%outbox_claim%'`
      )
      waiting = rows[0]?.waiting ?? 0
    }
    await erasing.query("commit")
    assert.deepInclude(await claimed, { outcome: "completed", receipt: erasedReceipt })
    assert.deepStrictEqual(await own.rows("select from outbox.events"), [])
  })

  it("costs the claim of a queued event nothing: it does not read tombstones", async () => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    await using client = await own.connect()
    const looked = async (events: ReadonlyArray<GivenEvent>): Promise<number> => {
      await client.query("begin")
      await client.query("select public.outbox_claim($1)", [JSON.stringify(events.map(asClaim))])
      const { rows } = await client.query<{ scans: string }>(
        `select pg_stat_get_xact_numscans('outbox.erased'::regclass)
           + pg_stat_get_xact_numscans('outbox.erased_pkey'::regclass) as scans`
      )
      await client.query("rollback")
      return Number(rows[0]?.scans)
    }
    assert.strictEqual(await looked([event]), 0)
    assert.isAbove(await looked([foreignEvent()]), 0)
  })

  it("is deleted with the events of its time, and not earlier", async () => {
    const event = await erased()
    const forget = () => own.rows("select outbox.forget_settled()")
    const age = (days: number) =>
      own.rows("update outbox.erased set erased_at = erased_at - make_interval(days => $1)", [days])
    await age(29)
    await forget()
    assert.include(await claimOf(own, event), { outcome: "completed" })
    await age(2)
    await forget()
    assert.deepStrictEqual(await own.rows("select from outbox.erased"), [])
  })
})
