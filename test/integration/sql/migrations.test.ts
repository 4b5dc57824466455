import { assert, describe, it } from "vitest"
import { createMentor, type Database, eventsOf, failureOf, openDatabase, setStatus } from "../../support/sql.ts"

/** Everything that could differ in the catalog, by name: object ids and row versions differ between equal databases. */
const catalogOf = (database: Database) =>
  database.rows(`
    select 'relation' as kind, c.oid::regclass::text as name,
      concat_ws(' ', c.relkind, c.relrowsecurity, c.relacl, c.reloptions, pg_get_indexdef(i.indexrelid),
        obj_description(c.oid, 'pg_class')) as definition
    from pg_class c left join pg_index i on i.indexrelid = c.oid
    where c.relnamespace in ('public'::regnamespace, 'outbox'::regnamespace)
    union all
    select 'column', a.attrelid::regclass || '.' || a.attname,
      concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
        col_description(a.attrelid, a.attnum))
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'outbox'::regnamespace)
    union all
    select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace in ('public'::regnamespace, 'outbox'::regnamespace)
    union all
    select 'function', oid::regprocedure::text,
      concat_ws(' ', pg_get_functiondef(oid), proacl, obj_description(oid, 'pg_proc'))
    from pg_proc where pronamespace in ('public'::regnamespace, 'outbox'::regnamespace)
    union all
    select 'trigger', tgrelid::regclass || '.' || tgname,
      concat_ws(' ', pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger'))
    from pg_trigger where not tgisinternal
    union all
    select 'job', jobid || ' ' || jobname, schedule || ' ' || command from cron.job
    union all
    select 'schema', nspname, concat_ws(' ', nspacl, obj_description(oid, 'pg_namespace')) from pg_namespace
    where nspname !~ '^pg_toast_temp|^pg_temp'
    union all
    select 'extension', extname, extnamespace::regnamespace || ' ' || extversion from pg_extension
    union all
    select 'settings', '', to_jsonb(s)::text from outbox.settings s
    order by 1, 2`)

describe("the migrations", () => {
  it("leave the same catalog and data if they are applied three times", async () => {
    await using database = await openDatabase()
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await database.rows("update outbox.settings set lease_seconds = 45")
    const [catalog, events] = [await catalogOf(database), await eventsOf(database, mentor)]
    await database.migrate()
    await database.migrate()
    assert.deepStrictEqual(await catalogOf(database), catalog)
    const comparable = ({ event_id, version, attempts, status }: (typeof events)[number]) => ({
      event_id,
      version,
      attempts,
      status
    })
    assert.deepStrictEqual((await eventsOf(database, mentor)).map(comparable), events.map(comparable))
  })

  it("adopt a project's own tables: an enum status and other columns are captured, nothing else is touched", async () => {
    await using database = await openDatabase({ migrate: false })
    await database.rows(`
      create type public.mentor_status as enum ('active', 'paused', 'retired');
      create table public.peer_mentor_profiles (
        serial bigint generated always as identity primary key,
        id uuid not null unique default gen_random_uuid(),
        status public.mentor_status not null default 'active',
        biography text default 'private'
      );
      grant select on public.peer_mentor_profiles to anon;
      insert into public.peer_mentor_profiles (status) values ('paused')`)
    const security = `
      select relrowsecurity, relacl::text, obj_description(oid, 'pg_class') as comment
      from pg_class where oid = 'public.peer_mentor_profiles'::regclass`
    const before = await database.row(security)
    await database.migrate()
    assert.deepStrictEqual(await database.row(security), before)
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "retired", "active", "retired", "active")
    const events = await database.rows<{ status: string; body: unknown }>(
      "select record ->> 'status' as status, outbox.body(q) as body from outbox.events q order by version"
    )
    assert.deepStrictEqual(
      events.map((event) => event.status),
      ["paused", "active"]
    )
    assert.notInclude(JSON.stringify(events), "private")
  })

  it("take the current status of mentors as the known state", async () => {
    await using database = await openDatabase({ migrate: false })
    await database.rows(`
      create table public.peer_mentor_profiles (id uuid primary key, status varchar(20));
      insert into public.peer_mentor_profiles values (gen_random_uuid(), 'paused'), (gen_random_uuid(), null)`)
    await database.migrate()
    const states = await database.rows("select version::int, known from outbox.keys order by known")
    assert.deepStrictEqual(states, [
      { version: 0, known: { status: "paused" } },
      { version: 0, known: null }
    ])
  })

  it("say where pgcrypto must be if it is elsewhere", async () => {
    await using database = await openDatabase({ migrate: false })
    await database.rows("create extension pgcrypto with schema public")
    assert.include(await failureOf(database.migrate()), "pgcrypto must be in the schema extensions")
  })

  it("install nothing if pg_cron is not available, because nothing would be swept", async () => {
    await using database = await openDatabase({ migrate: false })
    const failure = await failureOf(
      database.migrate({
        replace: [/create extension if not exists pg_cron[^;]*;/, "select 'no pg_cron'::integer;"]
      })
    )
    assert.include(failure, "no pg_cron")
    const { schema } = await database.row<{ schema: unknown }>("select to_regnamespace('outbox') as schema")
    assert.isNull(schema)
  })

  it("schedule frequent jobs once a minute if pg_cron has no seconds", async () => {
    await using database = await openDatabase({ migrate: false })
    await using admin = await database.connect("admin")
    await admin.query(`
      create schema cron;
      create table cron.job (jobname text, schedule text);
      create function cron.schedule(job_name text, schedule text, command text) returns bigint language plpgsql as $$
      begin
        if schedule ~ 'seconds' then
          raise exception 'invalid schedule: %', schedule;
        end if;
        insert into cron.job values (job_name, schedule);
        return 1;
      end $$;
      grant usage on schema cron to postgres;
      grant select, insert on cron.job to postgres`)
    await database.migrate({ replace: [/create extension if not exists pg_cron[^;]*;/, ""] })
    const often = "select * from cron.job where jobname in ('outbox-sweep', 'outbox-direct') order by 1"
    assert.deepStrictEqual(await database.rows(often), [
      { jobname: "outbox-direct", schedule: "* * * * *" },
      { jobname: "outbox-sweep", schedule: "* * * * *" }
    ])
  })

  // A switched-off kind of scan costs 10^10, for which a PostgreSQL with LLVM would compile every plan.
  it("switch just-in-time compilation off in each function that steers the planner", async () => {
    await using database = await openDatabase()
    const compiled = await database.rows(`
      select oid::regprocedure::text as name
      from pg_proc
      where pronamespace in ('public'::regnamespace, 'outbox'::regnamespace)
        and array_to_string(proconfig, ' ') ~ 'enable_|plan_cache_mode'
        and not proconfig @> '{jit=off}'`)
    assert.deepStrictEqual(compiled, [])
  })

  it("refuse a PostgreSQL that is too old before they change anything", async () => {
    await using database = await openDatabase({ migrate: false })
    const work = database.migrate({ replace: [/current_setting\('server_version_num'\)/, "'140018'"] })
    assert.include(await failureOf(work), "0A000: PostgreSQL 15 or later is needed")
    const left = "select from pg_class where relnamespace = 'public'::regnamespace or relname = 'settings'"
    assert.deepStrictEqual(await database.rows(left), [])
  })
})
