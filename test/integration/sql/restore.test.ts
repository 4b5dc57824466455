import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  bury,
  claim,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  foreignEvent,
  historyOf,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  settle,
  sweep,
  claimMany
} from "../../support/sql.ts"

interface Table {
  readonly name: string
  readonly refers_to: ReadonlyArray<string>
  readonly columns: string
}

const tables = `
  select
    c.oid::regclass::text as name,
    array(
      select k.confrelid::regclass::text from pg_constraint k
      where k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> c.oid
    ) as refers_to,
    (
      select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    ) as columns
  from pg_class c
  where c.relnamespace in ('public'::regnamespace, 'outbox'::regnamespace) and c.relkind in ('r', 'p')
  order by c.relnamespace::regnamespace::text, c.relname`

/** pg_dump's order: by schema and name, but each table after those that it refers to. */
const inOrder = (all: ReadonlyArray<Table>): ReadonlyArray<Table> => {
  const placed: Array<Table> = []
  const place = (table: Table): void => {
    if (placed.includes(table)) return
    for (const other of all) if (table.refers_to.includes(other.name)) place(other)
    placed.push(table)
  }
  for (const table of all) place(table)
  return placed
}

/** Brings over what pg_dump --data-only does, in one transaction as psql --single-transaction does, triggers and all. */
const restore = async (from: Database, to: Database, role: "origin" | "replica" = "origin"): Promise<void> => {
  await using target = await to.connect(role === "replica" ? "admin" : "owner")
  await target.query("begin")
  if (role === "replica") await target.query("set local session_replication_role = replica")
  for (const { name, columns } of inOrder(await from.rows<Table & Record<string, unknown>>(tables))) {
    const { rows } = await from.row<{ rows: string | null }>(
      `select json_agg(row_to_json(t))::text as rows from ${name} t`
    )
    await target.query(
      `insert into ${name} (${columns}) overriding system value
       select ${columns} from json_populate_recordset(null::${name}, $1)`,
      [rows ?? "[]"]
    )
  }
  await target.query("commit")
}

describe("a data-only restore into a migrated database", () => {
  let databases: ReadonlyArray<Database> = []
  let old: Database
  let own: Database
  const closed = () => Promise.all(databases.map((database) => database[Symbol.asyncDispose]()))
  beforeEach(async () => {
    await closed()
    databases = [(old = await openReadyDatabase()), (own = await openReadyDatabase())]
  })
  afterAll(closed)

  /** A mentor for each thing that can become of an event. */
  const fill = async () => {
    const mentors: Record<string, string> = {}
    const paused = async (word: string, ...further: Array<string>) => {
      const mentor = (mentors[word] = await createMentor(old))
      await setStatus(old, mentor, "paused", ...further)
      return (await eventOf(old, mentor)).event_id
    }
    await paused("pending")
    await paused("parked", "active", "paused")
    await claim(old, await paused("processing"))
    await settle(old, await paused("completed"))
    await bury(old, await paused("dead"))
    const resolved = await paused("resolved")
    await bury(old, resolved)
    await old.call("outbox_resolve", { topic: "pause-status", event_id: resolved })
    const erased = await paused("erased")
    await settle(old, erased)
    await old.call("outbox_erase", { topic: "pause-status", event_id: erased })
    mentors["new"] = await createMentor(old)
    await claimMany(old, [foreignEvent({ mentorId: mentors["new"] })])
    const told = await pausedEvents(old, 3)
    await old.rows(`
      with c as (insert into public.coordinators (name) values ('Ada') returning id)
      insert into public.mentor_coordinators select p.id, c.id from public.peer_mentor_profiles p, c`)
    await old.rpc("pause_status_notify", { events: told })
    await old.rows("select outbox.recheck('pause-status', array[$1], 'a column has another name')", [
      mentors["pending"]
    ])
    await old.rows("select outbox.raise_alert('clock_skew', 2, 'correct the clock')")
    await old.rows("select outbox.beat('sweep', 'it failed')")
    await old.rows("select outbox.beat('reconcile')")
    await old.rows("update outbox.settings set lease_seconds = 45, max_attempts = 3, retention_days = 7")
    return mentors
  }

  const dumpOf = async (database: Database) => {
    const all: Record<string, unknown> = {}
    for (const { name } of await database.rows<Table & Record<string, unknown>>(tables)) {
      all[name] = (
        await database.rows<{ row: string }>(`select row_to_json(t)::text as row from ${name} t order by 1`)
      ).map(({ row }) => row)
    }
    // It names requests of another pg_net.
    delete all["outbox.deliveries"]
    return all
  }

  // As replica: what "supabase db dump --data-only" writes begins with it, and no ordinary trigger fires then.
  it.for(["origin", "replica"] as const)("brings every row of every table as %s, and posts nothing", async (role) => {
    await fill()
    const dump = await dumpOf(old)
    for (const [name, rows] of Object.entries(dump)) assert.isNotEmpty(rows, `${name} is not put to the test`)
    await restore(old, own, role)
    assert.deepStrictEqual(await dumpOf(own), dump)
    assert.deepStrictEqual(await own.rows("select from net.http_request_queue"), [])
  })

  it.for(["origin", "replica"] as const)(
    "continues where the other database was, as %s: the next version",
    async (role) => {
      const mentors = await fill()
      await restore(old, own, role)
      const { reconciled } = await own.row<{ reconciled: number }>("select outbox.reconcile() as reconciled")
      assert.strictEqual(reconciled, 0)
      for (const [word, mentor] of Object.entries(mentors)) {
        const highest = Math.max(0, ...(await eventsOf(old, mentor)).map(({ version }) => version ?? 0))
        const before = word === "erased" ? 1 : highest
        await setStatus(own, mentor, word === "new" ? "paused" : "active")
        await setStatus(own, mentor, word === "new" ? "active" : "paused")
        const versions = (await eventsOf(own, mentor)).map(({ version }) => version ?? 0)
        assert.deepStrictEqual(versions.toSorted().slice(-2), [before + 1, before + 2], word)
      }
    }
  )

  it("sends what was pending, and takes back what was being processed", async () => {
    const mentors = await fill()
    await restore(old, own)
    await own.rows("update outbox.events set next_attempt_at = now() where isfinite(next_attempt_at)")
    await own.rows("update outbox.events set lease_expires_at = now() where status = 'processing'")
    await sweep(own)
    await own.rows("update outbox.events set next_attempt_at = now() where isfinite(next_attempt_at)")
    assert.isAbove(await sweep(own), 0)
    for (const word of ["pending", "parked", "processing"]) {
      await settle(own, (await eventOf(own, mentors[word] ?? "")).event_id)
    }
    assert.strictEqual((await eventOf(own, mentors["processing"] ?? "")).status, "completed")
  })

  it("does not take another pg_net's requests for its own", async () => {
    const mentor = await createMentor(old)
    await setStatus(old, mentor, "paused")
    const { request_id } = await eventOf(old, mentor)
    assert.isNotNull(request_id)
    await restore(old, own)
    // Somebody else's request, hours later, with the number that the delivery had there.
    await using admin = await own.connect("admin")
    await admin.query(
      `insert into net.http_request_queue (id, method, url, headers, body, timeout_milliseconds)
       values ($1, 'POST', 'http://127.0.0.1:9/other', '{}', '', 1000)`,
      [request_id]
    )
    await admin.query(
      "insert into net._http_response (id, status_code, content, created) values ($1, 400, '{}', clock_timestamp())",
      [request_id]
    )
    await own.rows(`update outbox.events set next_attempt_at = now(), last_dispatched_at = now() - interval '1 hour'`)
    await own.rows("update outbox.deliveries set dispatched_at = now() - interval '1 hour'")
    await sweep(own)
    const { event_id, failures } = await eventOf(own, mentor)
    assert.strictEqual(failures, 1)
    const [attempt] = await historyOf(own, event_id)
    assert.include(attempt, { http_status: null })
    const left = await own.rows("select from net.http_request_queue where url like '%/other'")
    assert.lengthOf(left, 1)
  })

  it("brings open alerts into a database where they are open, too", async () => {
    for (const database of [old, own]) {
      await database.rows("select outbox.raise_alert('clock_skew', $1, 'correct the clock')", [
        database === old ? 2 : 1
      ])
    }
    await restore(old, own)
    assert.deepStrictEqual(await own.rows("select kind, value::int from outbox.alerts"), [
      { kind: "clock_skew", value: 2 }
    ])
  })
})
