import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { apiRoles, attempt, relations, relationsOf, routinesOf, rpcs, waysTo } from "../../support/objects.ts"
import { type Database, openDatabase } from "../../support/sql.ts"

const DENIED = "42501"

const ours = "n.nspname in ('public', 'outbox')"

describe("privileges", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase({ migrate: false })
    // As in projects created before the platform stopped granting everything by default, and worse.
    await database.rows(`
      alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
      alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
      alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
      alter default privileges grant all on tables to public, anon, authenticated, service_role;
      alter default privileges grant all on functions to public, anon, authenticated, service_role;
      alter default privileges grant all on sequences to public, anon, authenticated, service_role`)
    await database.migrate()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it("are known for every object of ours: add new ones to the lists", async () => {
    assert.deepStrictEqual(
      (await relationsOf(database)).map(({ name }) => name),
      relations
    )
    const functions = (await routinesOf(database)).map(({ name }) => name)
    assert.deepStrictEqual(
      functions.filter((name) => name.startsWith("public.")),
      rpcs
    )
    assert.includeMembers(functions, rpcs)
  })

  // The private schema is closed; and if it were opened, each object in it would still be.
  it.for(["closed", "opened by mistake"])("are as expected with the private schema %s", async (schema) => {
    await using client = await database.connect("admin")
    const objects = { relations: await relationsOf(database), routines: await routinesOf(database) }
    await client.query("begin")
    if (schema !== "closed") {
      await client.query("grant usage on schema outbox to anon, authenticated, service_role")
    }
    const expected: Array<string> = []
    const seen: Array<string> = []
    for (const role of apiRoles) {
      for (const relation of objects.relations) {
        for (const [verb, statement] of waysTo(relation)) {
          // Before it looks at privileges, Postgres finds that this view cannot be written at all.
          const isUnwritable = schema !== "closed" && relation.kind === "v" && /^(insert|update|delete)$/.test(verb)
          const code = isUnwritable ? "55000" : relation.kind === "v" && verb === "truncate" ? "42809" : DENIED
          expected.push(`${role} ${verb} ${relation.name}: ${schema === "closed" ? DENIED : code}`)
          seen.push(`${role} ${verb} ${relation.name}: ${await attempt(client, role, statement)}`)
        }
      }
      for (const { name, call } of objects.routines) {
        const mayExecute = role === "service_role" && rpcs.includes(name)
        const outcome = await attempt(client, role, `select ${call}`)
        expected.push(`${role} execute ${name}: ${mayExecute ? "executed" : DENIED}`)
        seen.push(`${role} execute ${name}: ${outcome === DENIED ? DENIED : "executed"}`)
      }
    }
    await client.query("rollback")
    assert.deepStrictEqual(seen, expected)
    assert.isAbove(seen.length, 3 * (relations.length + rpcs.length))
  })

  it("are granted to PUBLIC for none of our objects, and by no default", async () => {
    const open = await database.rows(
      `select n.nspname, p.oid::regprocedure::text as name, acl.privilege_type
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace,
         aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
       where acl.grantee = 0 and ${ours}
       union all
       select n.nspname, c.relname, acl.privilege_type
       from pg_class c join pg_namespace n on n.oid = c.relnamespace,
         aclexplode(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) acl
       where acl.grantee = 0 and c.relkind in ('r', 'v', 'S') and ${ours}
       union all
       select n.nspname, null, acl.privilege_type
       from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
       where acl.grantee = 0 and n.nspname = 'outbox'`
    )
    assert.deepStrictEqual(open, [])
  })

  it("are granted for no single column", async () => {
    const granted = await database.rows(
      `select c.oid::regclass, a.attname from pg_attribute a
       join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
       where ${ours} and a.attacl is not null`
    )
    assert.deepStrictEqual(granted, [])
  })

  it("cannot be passed on, and nobody may create in the private schema", async () => {
    const found = await database.rows(
      `select r.rolname, p.oid::regprocedure::text as what
       from pg_roles r, pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where r.rolname = any($1) and ${ours} and has_function_privilege(r.oid, p.oid, 'execute with grant option')
       union all
       select r.rolname, privilege from pg_roles r, unnest(array['usage', 'create']) as privilege
       where r.rolname = any($1) and has_schema_privilege(r.oid, 'outbox', privilege)`,
      [apiRoles]
    )
    assert.deepStrictEqual(found, [])
  })

  it("keep row level security on for every table of ours, with no policy that would open it", async () => {
    const tables = await database.rows<{ name: string; secured: boolean; policies: number }>(
      `select n.nspname || '.' || c.relname as name, c.relrowsecurity as secured,
         (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and ${ours} order by 1`
    )
    const expected = (await relationsOf(database)).filter(({ kind }) => kind === "r")
    assert.deepStrictEqual(
      tables,
      expected.map(({ name }) => ({ name, secured: true, policies: 0 }))
    )
  })

  it("reach no temporary object of the caller: every function searches pg_temp last", async () => {
    // Also what our triggers call, and every other function that runs with its owner's rights.
    const loose = await database.rows(
      `select p.oid::regprocedure::text as name, p.proconfig
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where (
           ${ours}
           or p.oid in (select t.tgfoid from pg_trigger t where not t.tgisinternal)
           or p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')
         )
         and array(select setting from unnest(p.proconfig) as setting where setting ~* '^search_path=')
           is distinct from array['search_path=pg_catalog, pg_temp']`
    )
    assert.deepStrictEqual(loose, [])
  })

  it("come without compiled plans: every function that steers the planner switches the compiler off", async () => {
    // What is switched off counts as 10^10, which makes a plan for one row look worth compiling at each execution.
    const compiled = await database.rows(
      `select p.oid::regprocedure::text as name, p.proconfig
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and p.proconfig::text ~ '[{,"](enable_|plan_cache_mode)' and not p.proconfig @> array['jit=off']`
    )
    assert.deepStrictEqual(compiled, [])
  })

  it("do not depend on how strings are written: no function has a backslash", async () => {
    const found = await database.rows(
      `select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and strpos(p.prosrc, chr(92)) > 0`
    )
    assert.deepStrictEqual(found, [])
  })

  it("are the owner's only in these functions", async () => {
    const definers = await database.rows<{ name: string }>(
      `select n.nspname || '.' || p.proname as name
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and p.prosecdef order by n.nspname || '.' || p.proname collate "C"`
    )
    const triggers = ["outbox.dispatch_at_commit", "outbox.pause_status_changed"]
    assert.deepStrictEqual(
      definers.map(({ name }) => name),
      [...triggers, ...rpcs.map((name) => name.replace(/\(.*/, ""))]
    )
    const invokers = await database.rows(
      `select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where ${ours} and c.relkind = 'v' and not coalesce(c.reloptions, '{}') @> array['security_invoker=true']`
    )
    assert.deepStrictEqual(invokers, [])
  })

  it("are not those of a superuser: everything of ours belongs to postgres", async () => {
    const others = await database.rows(
      `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where ${ours} and c.relowner <> 'postgres'::regrole
       union all
       select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where ${ours} and p.proowner <> 'postgres'::regrole`
    )
    assert.deepStrictEqual(others, [])
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
})
