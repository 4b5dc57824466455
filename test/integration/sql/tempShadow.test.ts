import { randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import type { Client } from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { betrayedBy, castShadows } from "../../support/shadows.ts"
import {
  asClaim,
  claim,
  createMentor,
  type Database,
  eventOf,
  failureOf,
  functionUrl,
  givenEvent,
  newSecret,
  openAs,
  openDatabase,
  setStatus,
  storeSecret
} from "../../support/sql.ts"

const topic = "pause-status"

/** A login role that may only read and write profiles, and the two that the Data API knows. */
const roles = ["a writer", "authenticated", "service_role"] as const
type Role = (typeof roles)[number]

const PATH = "search_path=pg_catalog, pg_temp"

/** The ways that migrations could say it: ours, and one that looks safe. */
const ways = {
  ours: {},
  empty: { replace: [/set search_path = pg_catalog, pg_temp/g, "set search_path = ''"] }
} as const

describe("names that a session shadows in pg_temp", () => {
  const password = newSecret()
  const login = `writer_${randomUUID().replaceAll("-", "_")}`
  const databases: Partial<Record<keyof typeof ways, Database>> = {}
  const databaseOf = (way: keyof typeof ways): Database => databases[way] ?? assert.fail("not opened")

  beforeAll(async () => {
    for (const way of ["ours", "empty"] as const) {
      const database = (databases[way] = await openDatabase({ migrate: false }))
      await database.migrate(ways[way])
      await storeSecret(database, "outbox_function_url", functionUrl)
      await storeSecret(database, "outbox_webhook_secret", newSecret())
      await using admin = await database.connect("admin")
      if (way === "ours") await admin.query(`create role ${login} login password '${password}'`)
      await admin.query(`
        grant select, insert, update on public.peer_mentor_profiles to ${login}, authenticated;
        create policy everybody on public.peer_mentor_profiles to public using (true) with check (true)`)
    }
  })
  afterAll(async () => {
    for (const database of Object.values(databases)) {
      {
        await using admin = await database.connect("admin")
        await admin.query(`drop owned by ${login}`)
        if (database === databases.empty) await admin.query(`drop role ${login}`)
      }
      await database[Symbol.asyncDispose]()
    }
  })

  const connectAs = async (database: Database, role: Role): Promise<Client & AsyncDisposable> => {
    if (role !== "a writer") {
      const client = await database.connect()
      await client.query(`set role ${role}`)
      return client
    }
    return openAs(database, login, password)
  }

  /** Each statement may fail, as attacks do. */
  const attack = async (client: Client, statements: ReadonlyArray<readonly [string, ReadonlyArray<unknown>]>) => {
    const failures: Array<string> = []
    for (const [statement, values] of statements) {
      const failure = await failureOf(client.query(statement, [...values]))
      if (!failure.startsWith("no failure")) failures.push(`${statement}: ${failure}`)
    }
    return failures
  }

  const changesOf = (mentor: string, fresh: string) =>
    [
      ["insert into public.peer_mentor_profiles (id, status) values ($1, 'active')", [fresh]],
      ["update public.peer_mentor_profiles set status = 'paused' where false", []],
      ["update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor]],
      ["update public.peer_mentor_profiles set full_name = 'Ada' where id = $1", [mentor]],
      ["update public.peer_mentor_profiles set id = gen_random_uuid(), status = 'paused' where id = $1", [fresh]]
    ] as const

  const callsOf = async (database: Database) => {
    const [one, other] = [await createMentor(database), await createMentor(database)]
    for (const mentor of [one, other]) await setStatus(database, mentor, "paused", "active")
    const event = await givenEvent(database, (await eventOf(database, one)).event_id)
    const claimed = (await eventOf(database, other)).event_id
    const token = await claim(database, claimed)
    const settlement = { eventId: claimed, token, outcome: "completed", receipt: {} }
    return [
      ["select public.outbox_claim($1)", [JSON.stringify([asClaim(event)])]],
      ["select public.pause_status_notify($1)", [JSON.stringify([event])]],
      ["select public.outbox_settle($1, $2, 10)", [JSON.stringify([settlement]), topic]],
      ["select public.outbox_list_events($1)", [JSON.stringify({ topic, limit: 5, key: one, userId: other })]],
      ["select public.outbox_get_event($1, $2, $2)", [topic, event.eventId]],
      ["select public.outbox_redrive($1, $2, true, true)", [topic, claimed]],
      ["select public.outbox_resolve($1, $2, 'told', true)", [topic, claimed]],
      ["select public.outbox_erase($1, $2)", [topic, claimed]],
      ["select public.outbox_health()", []]
    ] as const
  }

  const attackAs = async (way: keyof typeof ways, role: Role) => {
    const database = databaseOf(way)
    const mentor = await createMentor(database)
    const statements = role === "service_role" ? await callsOf(database) : changesOf(mentor, randomUUID())
    await using client = await connectAs(database, role)
    const made = await castShadows(database, client)
    let failures: ReadonlyArray<string> = []
    const betrayed = await betrayedBy(client, async () => {
      failures = await attack(client, statements)
    })
    return { made, betrayed, failures }
  }

  it.for(roles)("run as the caller for %s", async (role) => {
    const { made, betrayed, failures } = await attackAs("ours", role)
    assert.isAbove(made, 100)
    assert.deepStrictEqual(betrayed, [])
    assert.deepStrictEqual(failures, [])
  })

  it.for(roles)("would run as postgres for %s if the search path omitted pg_temp", async (role) => {
    const { betrayed } = await attackAs("empty", role)
    assert.deepStrictEqual(betrayed, ["postgres"])
  })

  it("come last for each of our functions and trigger functions, exactly", async () => {
    const loose = await databaseOf("ours").rows(
      `select p.oid::regprocedure::text, p.proconfig
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where (n.nspname = 'outbox' or n.nspname = 'public'
           or p.oid in (select t.tgfoid from pg_trigger t where not t.tgisinternal))
         and (select array_agg(s) from unnest(p.proconfig) s where s like 'search_path=%') is distinct from array[$1]`,
      [PATH]
    )
    assert.deepStrictEqual(loose, [])
  })

  it("come last for everything that runs with its owner's rights, including stand-ins, demo and chaos", async () => {
    const database = databaseOf("ours")
    await using client = await database.connect()
    await client.query("begin")
    for (const path of ["local/demo/observer.sql", "chaos/audit.sql"]) {
      await client.query(await readFile(new URL(`../../../${path}`, import.meta.url), "utf8"))
    }
    const { rows } = await client.query<{ name: string; path: string | null }>(
      `select p.oid::regprocedure::text as name,
         (select s from unnest(p.proconfig) s where s like 'search_path=%') as path
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname not in ('pg_catalog', 'information_schema')
         and (p.prosecdef or n.nspname in ('demo', 'chaos') or p.prorettype = 'trigger'::regtype)`
    )
    await client.query("rollback")
    assert.isAbove(rows.filter(({ name }) => /^(demo|chaos)/.test(name)).length, 5)
    assert.deepStrictEqual(
      rows.filter(({ path }) => path !== PATH),
      []
    )
  })
})
