import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, failureOf, openDatabase } from "../../support/sql.ts"

const rpcs = [
  "public.pause_status_claim(jsonb)",
  "public.pause_status_notify(jsonb)",
  "public.pause_status_settle(jsonb)"
]

const ourTables = [
  "pause_status.alerts",
  "pause_status.dead_letter_queue",
  "pause_status.heartbeats",
  "pause_status.mentor_states",
  "pause_status.mentor_versions",
  "pause_status.orchestrated_mentors",
  "pause_status.orchestrations",
  "pause_status.settings",
  "pause_status.webhook_attempts",
  "pause_status.webhook_queue",
  "public.coordinators",
  "public.mentor_coordinators",
  "public.notifications",
  "public.peer_mentor_profiles"
]

const ours = "n.nspname in ('public', 'pause_status')"

describe("privileges", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase({ migrate: false })
    // As projects created before the platform stopped granting everything by default.
    await database.rows(`
      alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
      alter default privileges in schema public grant all on functions to anon, authenticated, service_role`)
    await database.migrate()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it("let the roles of the Data API call nothing of ours but, for service_role, the three functions", async () => {
    const callable = await database.rows<{ role: string; functions: Array<string> }>(
      `select r.rolname as role, array_agg(p.oid::regprocedure::text order by 1) filter (
         where has_function_privilege(r.oid, p.oid, 'execute') and has_schema_privilege(r.oid, n.oid, 'usage')
       ) as functions
       from pg_roles r, pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where r.rolname in ('anon', 'authenticated', 'service_role') and ${ours}
       group by 1 order by 1`
    )
    assert.deepStrictEqual(
      callable.map(({ role, functions }) => ({
        role,
        functions: (functions ?? []).map((name) => (name.startsWith("public.") ? name : `public.${name}`)).toSorted()
      })),
      [
        { role: "anon", functions: [] },
        { role: "authenticated", functions: [] },
        { role: "service_role", functions: rpcs }
      ]
    )
  })

  it("give nobody but the owner the right to execute a private function, even inside the schema", async () => {
    const granted = await database.rows(
      `select r.rolname, p.oid::regprocedure from pg_roles r, pg_proc p
       where r.rolname in ('anon', 'authenticated', 'service_role')
         and p.pronamespace = 'pause_status'::regnamespace and has_function_privilege(r.oid, p.oid, 'execute')`
    )
    assert.deepStrictEqual(granted, [])
  })

  it("let no role of the Data API read or write a table of ours", async () => {
    const granted = await database.rows(
      `select r.rolname, c.oid::regclass, privilege
       from pg_roles r, unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as privilege,
         pg_class c join pg_namespace n on n.oid = c.relnamespace
       where r.rolname in ('anon', 'authenticated', 'service_role') and c.relkind in ('r', 'v') and ${ours}
         and has_table_privilege(r.oid, c.oid, privilege)`
    )
    assert.deepStrictEqual(granted, [])
  })

  it("keep row level security on for every table of ours", async () => {
    const tables = await database.rows<{ name: string; secured: boolean }>(
      `select n.nspname || '.' || c.relname as name, c.relrowsecurity as secured
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'r' and ${ours} order by 1`
    )
    assert.deepStrictEqual(
      tables,
      ourTables.map((name) => ({ name, secured: true }))
    )
  })

  it("pin the search path of every function to nothing", async () => {
    const loose = await database.rows(
      `select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and not coalesce(p.proconfig, '{}') @> array['search_path=""']`
    )
    assert.deepStrictEqual(loose, [])
  })

  it("are backed by a comment on every table and function", async () => {
    const silent = await database.rows(
      `select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and obj_description(p.oid, 'pg_proc') is null
       union all
       select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where ${ours} and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is null`
    )
    assert.deepStrictEqual(silent, [])
  })

  it("let the three functions be called by service_role and refuse anon and authenticated", async () => {
    for (const role of ["anon", "authenticated"]) {
      await using client = await database.connect()
      await client.query(`set role ${role}`)
      const failure = await failureOf(client.query("select public.pause_status_claim('{}')"))
      assert.include(failure, "permission denied for function pause_status_claim")
    }
    const failure = await failureOf(database.rpc("pause_status_claim", { events: {} }))
    assert.include(failure, "events must be a JSON array")
  })
})
