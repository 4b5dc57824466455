import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  claimOf,
  type Database,
  emptyNet,
  eventOf,
  foreignEvent,
  type GivenEvent,
  givenEvent,
  historyOf,
  only,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  settle,
  sweep
} from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

describe("what an erased event leaves behind", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const erase = async (eventId: string): Promise<void> =>
    assert.deepStrictEqual(await own.call("outbox_erase", { topic: "pause-status", event_id: eventId }), {
      outcome: "erased"
    })

  const coordinate = (mentorId: string) =>
    own.rows(
      `with c as (insert into public.coordinators (name) values ('Cleo') returning id)
       insert into public.mentor_coordinators select $1, id from c`,
      [mentorId]
    )

  const notify = async (event: GivenEvent) => only(await own.rpc("pause_status_notify", { events: [event] }))

  const completed = async (): Promise<GivenEvent> => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    await coordinate(event.mentorId)
    await notify(event)
    await settle(own, event.eventId)
    return event
  }

  const deleteProfile = (mentorId: string) =>
    own.rows("delete from public.peer_mentor_profiles where id = $1", [mentorId])

  /** What pg_net has of a request: the answer, as the handler gives it, or the request while it waits. */
  const answer = (content: unknown, id = 1, status = 200) =>
    own.rows("insert into net._http_response (id, status_code, headers, content) values ($1, $2, '{}', $3)", [
      id,
      status,
      JSON.stringify(content)
    ])

  /** The tables that name an id anywhere in a row: of our schema all that there are, and pg_net's. */
  const tablesWith = async (name: string): Promise<ReadonlyArray<string>> => {
    const tables = await own.rows<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and n.nspname in ('outbox', 'net') order by 1`
    )
    const found: Array<string> = []
    for (const table of tables) {
      const row =
        table.name === "net.http_request_queue" ? "t.headers::text || convert_from(t.body, 'UTF8')" : "t::text"
      const { yes } = await own.row<{ yes: boolean }>(
        `select exists (select from ${table.name} t where strpos(${row}, $1) > 0) as yes`,
        [name]
      )
      if (yes) found.push(table.name)
    }
    return found
  }

  const itsKeys = ["outbox.erased", "outbox.receipts"]

  it("names neither the mentor nor the time, once the profile and all other events are gone", async () => {
    const event = await completed()
    await answer({ eventId: event.eventId, receipt: { mentorId: event.mentorId } })
    await own.rows("select outbox.recheck('pause-status', array[$1], 'unreadable')", [event.mentorId])
    await deleteProfile(event.mentorId)
    assert.include(await tablesWith(event.mentorId), "net.http_request_queue")
    await erase(event.eventId)
    assert.deepStrictEqual(await tablesWith(event.mentorId), [])
    assert.deepStrictEqual(await tablesWith(event.occurredAt), [])
    assert.deepStrictEqual(await tablesWith(event.eventId), itsKeys)
    const { told } = await own.row<{ told: number }>("select count(*)::int as told from public.notifications")
    assert.strictEqual(told, 1)
  })

  it("keeps what a mentor's next event needs, and nothing that leads to the erased one", async () => {
    const event = await completed()
    await answer({ eventId: event.eventId, receipt: { mentorId: event.mentorId } })
    await erase(event.eventId)
    assert.deepStrictEqual(await tablesWith(event.mentorId), ["outbox.handled_keys", "outbox.keys"])
    assert.deepStrictEqual(await tablesWith(event.eventId), itsKeys)
    await setStatus(own, event.mentorId, "active")
    const next = await givenEvent(own, (await eventOf(own, event.mentorId, 2)).event_id)
    assert.include(await notify(next), { outcome: "notified" })
  })

  it("keeps the known state of a mentor with another event, even without a profile", async () => {
    const event = await completed()
    await setStatus(own, event.mentorId, "active")
    await deleteProfile(event.mentorId)
    await erase(event.eventId)
    const states = await own.rows("select version::int from outbox.keys")
    assert.deepStrictEqual(states, [{ version: 2 }])
    const { event_id } = await eventOf(own, event.mentorId, 2)
    await settle(own, event_id)
    await erase(event_id)
    assert.deepStrictEqual(await tablesWith(event.mentorId), [])
  })

  it("names no mentor whose events are all erased by one statement", async () => {
    const { mentorId } = await completed()
    await setStatus(own, mentorId, "active")
    await settle(own, (await eventOf(own, mentorId, 2)).event_id)
    await deleteProfile(mentorId)
    await own.rows("select outbox.erase(q.event_id) from outbox.events q where q.key = $1", [mentorId])
    assert.deepStrictEqual(await tablesWith(mentorId), [])
  })

  it("allows a mentor to come back under the same id", async () => {
    const event = await completed()
    await setStatus(own, event.mentorId, "active")
    const second = await givenEvent(own, (await eventOf(own, event.mentorId, 2)).event_id)
    await notify(second)
    await settle(own, second.eventId)
    await deleteProfile(event.mentorId)
    await erase(event.eventId)
    await erase(second.eventId)
    await own.rows("insert into public.peer_mentor_profiles (id, status) values ($1, 'active')", [event.mentorId])
    await setStatus(own, event.mentorId, "paused")
    const again = await givenEvent(own, (await eventOf(own, event.mentorId, 1)).event_id)
    assert.deepInclude(await claimOf(own, again), { outcome: "claimed" })
    const { outcome, receipt } = await notify(again)
    assert.strictEqual(outcome, "notified")
    assert.deepInclude(receipt, { notified: 1 })
    assert.include(await claimOf(own, event), { outcome: "completed" })
  })

  it("is hashed with a new salt each time", async () => {
    const { eventId } = await completed()
    await erase(eventId)
    const hashes = await own.rows<{ fingerprint: string }>(
      `select fingerprint from outbox.erased union all
       select fingerprint from outbox.receipts`
    )
    for (const { fingerprint } of hashes) assert.match(fingerprint, /^sha256:[0-9a-f]{32}:[0-9a-f]{64}$/)
    assert.strictEqual(new Set(hashes.map(({ fingerprint }) => fingerprint.split(":")[1])).size, 2)
  })

  it("is in no job's error and in no alert", async () => {
    const { eventId, mentorId } = await completed()
    const error = `mentor ${mentorId} cannot be reconciled after ${eventId}`
    await own.rows("select outbox.beat('reconcile', $1), outbox.raise_alert('job_failing', 1, $1)", [error])
    await deleteProfile(mentorId)
    await erase(eventId)
    assert.deepStrictEqual(
      await own.rows(
        `select last_error as error from outbox.heartbeats where job = 'reconcile' union all
         select detail from outbox.alerts`
      ),
      Array.from({ length: 2 }, () => ({ error: "mentor (erased) cannot be reconciled after (erased)" }))
    )
  })

  it("is gone from pg_net, too, and events of the same request are sent again without a failure", async () => {
    await own.rows("truncate net.http_request_queue")
    const [event = foreignEvent(), sibling = foreignEvent()] = await pausedEvents(own, 2)
    const [other = foreignEvent()] = await pausedEvents(own, 1)
    await answer({ eventId: other.eventId })
    await settle(own, event.eventId)
    await erase(event.eventId)
    const { bodies } = await own.row<{ bodies: ReadonlyArray<{ readonly event_id: string }> }>(
      "select jsonb_agg(convert_from(body, 'UTF8')::jsonb) as bodies from net.http_request_queue"
    )
    assert.deepStrictEqual(
      bodies.map(({ event_id }) => event_id),
      [other.eventId]
    )
    assert.deepStrictEqual(await own.rows("select id::int from net._http_response"), [{ id: 1 }])
    const { attempts, failures, seconds_until_next_attempt } = await eventOf(own, sibling.mentorId)
    assert.deepStrictEqual({ attempts, failures }, { attempts: 0, failures: 0 })
    assert.isAtMost(seconds_until_next_attempt ?? Infinity, 0)
  })

  it.for([200, 400])("is not in the history of an event that it shared a request with, answered %i", async (status) => {
    const [event = foreignEvent(), sibling = foreignEvent()] = await pausedEvents(own, 2)
    const { request_id } = await eventOf(own, event.mentorId)
    const problem = { code: "invalid_payload", detail: `cannot read ${event.eventId}` }
    const results = [event, sibling].map(({ eventId }) => ({ eventId, status: 409, problem: { code: "in_flight" } }))
    await answer({ ...problem, ...(status === 200 && { results }) }, Number(request_id), status)
    await emptyNet(own)
    await own.rows("update outbox.events set next_attempt_at = now()")
    await sweep(own)
    assert.lengthOf(await historyOf(own, sibling.eventId), 1)
    await settle(own, event.eventId)
    await erase(event.eventId)
    assert.deepStrictEqual(await tablesWith(event.eventId), itsKeys)
  })

  it("is erased even if pg_net is missing, refuses, or has its tables locked", { timeout: 60_000 }, async () => {
    const [first, second, third] = await pausedEvents(own, 3)
    for (const event of [first, second, third]) await settle(own, event?.eventId ?? "")
    await using admin = await own.connect("admin")
    await admin.query("begin")
    await admin.query("lock table net._http_response, net.http_request_queue in access exclusive mode")
    await erase(first?.eventId ?? "")
    await admin.query("rollback")
    await admin.query("revoke all on all tables in schema net from public, postgres")
    await erase(second?.eventId ?? "")
    await admin.query("drop extension pg_net cascade")
    await erase(third?.eventId ?? "")
    assert.deepStrictEqual(await own.rows("select from outbox.events"), [])
  })

  it("is erased even if the profiles have changed", async () => {
    const { eventId, mentorId } = await completed()
    await own.rows("drop table public.mentor_coordinators, public.peer_mentor_profiles")
    await erase(eventId)
    assert.deepStrictEqual(await tablesWith(eventId), itsKeys)
    assert.notDeepEqual(await tablesWith(mentorId), [])
  })

  it("can also be a cancelled event: nobody is notified of it", async () => {
    const cancelled = await inState["pending, and cancelled"](own)
    const event = await givenEvent(own, cancelled)
    await coordinate(event.mentorId)
    await erase(cancelled)
    assert.include(await claimOf(own, event), { outcome: "completed" })
    assert.include(await notify(event), { outcome: "notified", replayed: true })
    assert.deepStrictEqual(await own.rows("select from public.notifications"), [])
  })
})
