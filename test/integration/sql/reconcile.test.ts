import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  bury,
  complete,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  foreignEvent,
  only,
  openReadyDatabase,
  release,
  setStatus,
  settle
} from "../../support/sql.ts"

describe("the reconciliation", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const reconcile = async (): Promise<number> =>
    (await own.row<{ enqueued: number }>("select pause_status.reconcile() as enqueued")).enqueued

  const reconciled = async (mentor: string) =>
    own.rows<{ version: number; transition: string; dispatch_reason: string | null; attempts: number }>(
      `select version::int, transition, dispatch_reason, attempts from pause_status.webhook_queue
       where mentor_id = $1 order by version`,
      [mentor]
    )

  const unseen = async (
    work: (query: (text: string, values?: Array<unknown>) => Promise<unknown>) => Promise<void>
  ) => {
    await using admin = await own.connect("admin")
    await admin.query("set session_replication_role = replica")
    await work((text, values) => admin.query(text, values))
  }

  const setUnseen = (mentor: string, status: string): Promise<void> =>
    unseen(async (query) => {
      await query("update public.peer_mentor_profiles set status = $2 where id = $1", [mentor, status])
    })

  it("finds nothing while everything was captured", async () => {
    const [told, waiting] = [await createMentor(own), await createMentor(own)]
    await setStatus(own, told, "paused")
    await settle(own, (await eventOf(own, told)).event_id)
    await setStatus(own, waiting, "paused")
    assert.strictEqual(await reconcile(), 0)
  })

  it("enqueues once, with the next version, what a replica session changed, and sends it at once", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    for (const version of [1, 2]) await settle(own, (await eventOf(own, mentor, version)).event_id)
    await setUnseen(mentor, "paused")
    assert.strictEqual(await reconcile(), 1)
    assert.strictEqual(await reconcile(), 0)
    const [, , event] = await reconciled(mentor)
    assert.deepStrictEqual(event, { version: 3, transition: "PAUSE", dispatch_reason: "reconcile", attempts: 1 })
    assert.include(await settle(own, (await eventOf(own, mentor, 3)).event_id), { outcome: "completed" })
  })

  it("enqueues what happened while the trigger was disabled", async () => {
    const mentor = await createMentor(own, "paused")
    await own.rows("alter table public.peer_mentor_profiles disable trigger pause_status_capture_update")
    await setStatus(own, mentor, "active")
    await own.rows("alter table public.peer_mentor_profiles enable trigger pause_status_capture_update")
    assert.strictEqual(await reconcile(), 1)
    const [event] = await reconciled(mentor)
    assert.include(event, { version: 1, transition: "RESUME" })
  })

  it("tells nothing again that a dashboard webhook told or is telling, and tells what one lost", async () => {
    const mentor = await createMentor(own)
    const event = foreignEvent({ mentorId: mentor })
    await setUnseen(mentor, "paused")
    const token = only(await own.rpc("pause_status_claim", { events: [event] }))["token"]
    assert.strictEqual(await reconcile(), 0)
    assert.include(await complete(own, event.eventId, token), { outcome: "completed" })
    assert.strictEqual(await reconcile(), 0)

    await setUnseen(mentor, "active")
    assert.strictEqual(await reconcile(), 1)
    const [lost] = await reconciled(mentor)
    assert.include(lost, { version: 1, transition: "RESUME" })
  })

  it("does not wait for a sender that never sends again", async () => {
    const mentor = await createMentor(own)
    const event = foreignEvent({ mentorId: mentor })
    await setUnseen(mentor, "paused")
    const token = only(await own.rpc("pause_status_claim", { events: [event] }))["token"]
    await release(own, event.eventId, token)
    assert.strictEqual(await reconcile(), 1)
  })

  it("takes the present status of a mentor that no trigger saw as the one that is known", async () => {
    await unseen(async (query) => {
      await query("insert into public.peer_mentor_profiles (status) values ('paused')")
    })
    assert.strictEqual(await reconcile(), 0)
    const state = await own.row("select notified_version, notified_status from pause_status.mentor_states")
    assert.deepStrictEqual(state, { notified_version: null, notified_status: "paused" })
  })

  it("leaves a mentor alone whose newest event is an open dead letter, and after it was resolved too", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await bury(own, event_id)
    assert.strictEqual(await reconcile(), 0)
    await own.rows("select pause_status.resolve($1, 'told by telephone')", [event_id])
    assert.strictEqual(await reconcile(), 0)
    await setUnseen(mentor, "active")
    assert.strictEqual(await reconcile(), 1)
  })

  it("knows no transition from or to a status of the project's own", async () => {
    const [from, to] = [await createMentor(own, "archived"), await createMentor(own)]
    await setStatus(own, from, "paused")
    await setStatus(own, to, "archived")
    assert.strictEqual(await reconcile(), 0)
    await setUnseen(from, "active")
    assert.strictEqual(await reconcile(), 1)
    assert.lengthOf(await eventsOf(own, to), 0)
  })

  it("passes over a profile that somebody is changing, and never waits for it", async () => {
    const mentor = await createMentor(own)
    await setUnseen(mentor, "paused")
    await using writer = await own.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor])
    assert.strictEqual(await reconcile(), 0)
    await writer.query("commit")
    assert.strictEqual(await reconcile(), 1)
  })

  it("enqueues each difference once when many run at the same time", async () => {
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 40)")
    await unseen(async (query) => {
      await query("update public.peer_mentor_profiles set status = 'paused'")
    })
    const counts = await Promise.all(Array.from({ length: 4 }, reconcile))
    assert.strictEqual(counts.reduce((sum, count) => sum + count) + (await reconcile()), 40)
    const { events } = await own.row<{ events: number }>(
      "select count(*)::int as events from pause_status.webhook_queue"
    )
    assert.strictEqual(events, 40)
  })

  it("enqueues no more at once than the settings allow", async () => {
    await own.rows("update pause_status.settings set reconcile_batch_size = 2")
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 3)")
    await unseen(async (query) => {
      await query("update public.peer_mentor_profiles set status = 'paused'")
    })
    assert.deepStrictEqual([await reconcile(), await reconcile(), await reconcile()], [2, 1, 0])
  })
})
