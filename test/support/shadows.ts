import type { Client } from "pg"
import type { Database } from "./sql.ts"

export const WARNING = "a shadow ran as"

/** Says who runs it, whatever becomes of the transaction: a message to the client is not rolled back. */
const ALARM = `
  set search_path = pg_catalog, pg_temp;
  create function pg_temp.alarm(value anyelement, name text) returns boolean language plpgsql as $$
  begin
    raise warning '${WARNING} %: %', current_user, name;
    return true;
  end $$`

/** Names that the bodies use without a schema, and what in the catalogs has such a name. */
const NAMES = `
  with words as (
    select distinct word[2] as name
    from pg_proc p
    cross join regexp_matches(p.prosrc, '(^|[^a-zA-Z0-9_.$])([a-z_][a-z0-9_]*)', 'g') as word
    where p.pronamespace = 'pause_status'::regnamespace
      or p.pronamespace = 'public'::regnamespace and p.proname like 'pause_status_%'
  ), types as (
    select t.typname as name
    from words w join pg_type t on t.typname = w.name and t.typnamespace = 'pg_catalog'::regnamespace
    where t.typtype in ('b', 'e', 'r') and t.typelem = 0
  ), relations as (
    select c.relname as name, c.relnamespace = 'pg_catalog'::regnamespace as is_public
    from words w join pg_class c on c.relname = w.name and c.relkind in ('r', 'v', 'p')
    union
    select unnest(array['new_profiles', 'old_profiles']), false
  ), functions as (
    select distinct on (p.proname, p.proargtypes) p.oid, p.proname as name
    from words w join pg_proc p on p.proname = w.name
    where p.prokind = 'f' and p.pronamespace in (
      'pg_catalog'::regnamespace, 'pause_status'::regnamespace, 'net'::regnamespace, 'extensions'::regnamespace
    )
  )
  select 'type' as kind, name, format(
    'create domain pg_temp.%1$I as pg_catalog.%1$I check (pg_temp.alarm(value, %2$L))', name, 'type ' || name
  ) as statement
  from types
  union all
  select 'relation', name, case when is_public
    then format('create view pg_temp.%1$I as select * from pg_catalog.%1$I where pg_temp.alarm(1, %2$L)', name,
      'relation ' || name)
    else format('create view pg_temp.%1$I as select null::uuid as id, ''paused''::text as status where pg_temp.alarm(1, %2$L)',
      name, 'relation ' || name)
  end
  from relations
  union all
  select 'function', name, format(
    'create function pg_temp.%I(%s) returns %s language plpgsql as $f$begin perform pg_temp.alarm(1, %L); return null; end$f$',
    name, pg_get_function_identity_arguments(oid), pg_get_function_result(oid), 'function ' || name
  )
  from functions`

export interface Shadow {
  readonly kind: "type" | "relation" | "function"
  readonly name: string
  readonly statement: string
}

export const shadowsOf = async (database: Database): Promise<ReadonlyArray<Shadow>> => {
  await using admin = await database.connect("admin")
  return (await admin.query<Shadow>(NAMES)).rows
}

/** Puts a temporary object of the session's role in front of each; what Postgres allows none for is left out. */
export const castShadows = async (client: Client, shadows: ReadonlyArray<Shadow>): Promise<ReadonlyArray<Shadow>> => {
  await client.query(ALARM)
  const cast: Array<Shadow> = []
  for (const kind of ["relation", "function", "type"] as const) {
    for (const shadow of shadows.filter((one) => one.kind === kind)) {
      await client.query(shadow.statement).then(
        () => cast.push(shadow),
        () => {}
      )
    }
  }
  await client.query("reset search_path")
  return cast
}

/** Everything that a shadow says in this session from now on. */
export const listen = (client: Client): ReadonlyArray<string> => {
  const heard: Array<string> = []
  client.on("notice", ({ message }) => {
    if (message?.includes(WARNING) === true) heard.push(message)
  })
  return heard
}
