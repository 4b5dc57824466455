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
  setStatus,
  settle,
  claimMany
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
    (await own.row<{ enqueued: number }>("select outbox.reconcile() as enqueued")).enqueued

  const reconciled = async (mentor: string) =>
    own.rows<{ version: number; transition: string; dispatch_reason: string | null; attempts: number }>(
      `select version::int, case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end as transition,
         dispatch_reason, attempts
       from outbox.events
       where key = $1 order by version`,
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
    await own.rows("alter table public.peer_mentor_profiles disable trigger outbox_pause_status_update")
    await setStatus(own, mentor, "active")
    await own.rows("alter table public.peer_mentor_profiles enable trigger outbox_pause_status_update")
    assert.strictEqual(await reconcile(), 1)
    const [event] = await reconciled(mentor)
    assert.include(event, { version: 1, transition: "RESUME" })
  })

  it("queues nothing if stock webhooks report the changes, and neither do the triggers", async () => {
    const mentor = await createMentor(own)
    await own.rows("select outbox.feed_by('pause-status', 'webhook')")
    await setStatus(own, mentor, "paused")
    assert.strictEqual(await reconcile(), 0)
    assert.lengthOf(await eventsOf(own, mentor), 0)
    const event = foreignEvent({ mentorId: mentor })
    const token = only(await claimMany(own, [event]))["token"]
    assert.include(await complete(own, event.eventId, token), { outcome: "completed" })
    assert.strictEqual(await reconcile(), 0)
    await own.rows("select outbox.feed_by('pause-status', 'outbox')")
    assert.strictEqual(await reconcile(), 0)
    assert.lengthOf(await eventsOf(own, mentor), 1)
    await setStatus(own, mentor, "active")
    assert.deepInclude(await eventOf(own, mentor, 1), { transition: "RESUME" })
  })

  it("still finds what no trigger saw once the outbox captures again", async () => {
    const mentor = await createMentor(own)
    await setUnseen(mentor, "paused")
    await own.rows("select outbox.feed_by('pause-status', 'outbox')")
    assert.strictEqual(await reconcile(), 1)
  })

  it("is not misled by a stock webhook that comes late", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    for (const version of [1, 2]) await settle(own, (await eventOf(own, mentor, version)).event_id)
    const late = foreignEvent({ mentorId: mentor })
    const token = only(await claimMany(own, [late]))["token"]
    await complete(own, late.eventId, token)
    assert.strictEqual(await reconcile(), 0)
  })

  it("skips a mentor whose event cannot be written, and says which", async () => {
    const [bad, good] = [await createMentor(own), await createMentor(own)]
    await own.rows(`alter table outbox.events add constraint not_this_one check (key <> '${bad}')`)
    for (const mentor of [bad, good]) await setUnseen(mentor, "paused")
    assert.strictEqual(await reconcile(), 1)
    assert.lengthOf(await eventsOf(own, good), 1)
    const { last_error } = await own.row<{ last_error: string }>(
      "select last_error from outbox.heartbeats where job = 'reconcile'"
    )
    assert.include(last_error, bad)
  })

  it("fails no writer with an older snapshot", async () => {
    const mentor = await createMentor(own)
    await using writer = await own.connect()
    await writer.query("begin isolation level repeatable read")
    await writer.query("select from public.peer_mentor_profiles")
    await own.rows("update outbox.keys set known = jsonb_build_object('status', 'paused') where key = $1", [mentor])
    assert.strictEqual(await reconcile(), 1)
    await writer.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    await writer.query("commit")
    assert.lengthOf(await eventsOf(own, mentor), 1)
    await own.rows("select outbox.sweep()")
    assert.deepStrictEqual(
      (await eventsOf(own, mentor)).map(({ version, transition }) => [version, transition]),
      [
        [1, "RESUME"],
        [2, "PAUSE"]
      ]
    )
  })

  it("takes the current status of a mentor that no trigger saw as the known state", async () => {
    await unseen(async (query) => {
      await query("insert into public.peer_mentor_profiles (status) values ('paused')")
    })
    assert.strictEqual(await reconcile(), 0)
    const state = await own.row("select version::int, known from outbox.keys")
    assert.deepStrictEqual(state, { version: 0, known: { status: "paused" } })
  })

  it("takes the current state of a key whose known state is lost, even if an insert is an event", async () => {
    await own.rows(
      `select outbox.watch(
         topic => 'a-name', relation => 'public.coordinators', columns => '{name}', operations => '{INSERT, UPDATE}'
       )`
    )
    await own.rows("insert into public.coordinators (name) values ('Ada')")
    await own.rows("delete from outbox.keys where topic = 'a-name'")
    assert.strictEqual(await reconcile(), 0)
    await own.rows("update public.coordinators set name = 'Cleo'")
    const queued = await own.rows(
      "select type, version::int, record ->> 'name' as name from outbox.events order by version"
    )
    assert.deepStrictEqual(queued, [
      { type: "INSERT", version: 1, name: "Ada" },
      { type: "UPDATE", version: 2, name: "Cleo" }
    ])
  })

  it("skips a mentor whose newest event is a dead letter, open or resolved", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await bury(own, event_id)
    assert.strictEqual(await reconcile(), 0)
    await own.rows("select outbox.resolve($1, 'told by telephone')", [event_id])
    assert.strictEqual(await reconcile(), 0)
    await setUnseen(mentor, "active")
    assert.strictEqual(await reconcile(), 1)
  })

  it("ignores transitions from or to the project's own words", async () => {
    const [from, to] = [await createMentor(own, "archived"), await createMentor(own)]
    await setStatus(own, from, "paused")
    await setStatus(own, to, "archived")
    assert.strictEqual(await reconcile(), 0)
    await setUnseen(from, "active")
    assert.strictEqual(await reconcile(), 1)
    assert.lengthOf(await eventsOf(own, to), 0)
  })

  it("skips a profile that is being changed, and never waits for it", async () => {
    const mentor = await createMentor(own)
    await setUnseen(mentor, "paused")
    await using writer = await own.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor])
    assert.strictEqual(await reconcile(), 0)
    await writer.query("commit")
    assert.strictEqual(await reconcile(), 1)
  })

  it("enqueues each difference once if many run at the same time", async () => {
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 40)")
    await unseen(async (query) => {
      await query("update public.peer_mentor_profiles set status = 'paused'")
    })
    const counts = await Promise.all(Array.from({ length: 4 }, reconcile))
    assert.strictEqual(counts.reduce((sum, count) => sum + count) + (await reconcile()), 40)
    const { events } = await own.row<{ events: number }>("select count(*)::int as events from outbox.events")
    assert.strictEqual(events, 40)
  })

  it("enqueues no more at once than the settings allow", async () => {
    await own.rows("update outbox.settings set reconcile_batch_size = 2")
    await own.rows("insert into public.peer_mentor_profiles (status) select 'active' from generate_series(1, 3)")
    await unseen(async (query) => {
      await query("update public.peer_mentor_profiles set status = 'paused'")
    })
    assert.deepStrictEqual([await reconcile(), await reconcile(), await reconcile()], [2, 1, 0])
  })
})
