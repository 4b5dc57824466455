import type { Client } from "pg"
import type { Database } from "./sql.ts"

/** What the shadow of a name says when it runs, so that a caller that catches errors hears it too. */
const SHOUT = "a shadow runs as"

const BETRAY = `create function pg_temp.betray(value anyelement) returns boolean language plpgsql as $$
begin raise notice '${SHOUT} %', current_user; return true; end$$`

/**
 * Statements that make, in pg_temp, a type, function or view of each name that a function's body or signature may mean
 * when it says it without a schema. Not each of them can be made, of which none matters.
 */
const shadowsOf = async (database: Database): Promise<ReadonlyArray<string>> =>
  (
    await database.rows<{ statement: string }>(`
      with words as (
        select distinct word.parts[1] as word
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace,
          regexp_matches(lower(p.prosrc || ' ' || pg_get_function_arguments(p.oid)), '[a-z_][a-z0-9_]*', 'g') as word (parts)
        where n.nspname in ('public', 'outbox', 'net', 'vault', 'extensions')
      )
      select format('create domain pg_temp.%1$I as pg_catalog.%1$I check (pg_temp.betray(1))', t.typname) as statement
      from pg_type t join words w on w.word = t.typname
      where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype <> 'p' and t.typrelid = 0
      union all
      select format(
        'create function pg_temp.%I(%s) returns %s language plpgsql as $$begin perform pg_temp.betray(1); return null; end$$',
        p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid)
      )
      from pg_proc p join words w on w.word = p.proname
      where p.pronamespace = 'pg_catalog'::regnamespace
      union all
      select format('create view pg_temp.%I as select %s where pg_temp.betray(1)', c.relname, (
        select string_agg(format('null::%s as %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ')
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      ))
      from pg_class c join words w on w.word = c.relname
      where c.relkind in ('r', 'v')
        and c.relnamespace = any (array['pg_catalog', 'public', 'outbox', 'net', 'vault']::regnamespace[])`)
  ).map(({ statement }) => statement)

/** Shadows every such name in the client's session, with the rights that it has. Returns how many it could. */
export const castShadows = async (database: Database, client: Client): Promise<number> => {
  await client.query(BETRAY)
  let made = 0
  for (const statement of await shadowsOf(database)) {
    // With a search path of its own, or each type that is made would be meant by the next statement.
    made += await client.query(`begin; set local search_path = pg_catalog, pg_temp; ${statement}; commit`).then(
      () => 1,
      () => client.query("rollback").then(() => 0)
    )
  }
  return made
}

/** The roles, other than the client's own, that have run a shadow of this client since. */
export const betrayedBy = async (client: Client, work: () => Promise<void>): Promise<ReadonlyArray<string>> => {
  const { rows } = await client.query<{ role: string }>("select current_user::pg_catalog.text as role")
  const roles = new Set<string>()
  const listen = ({ message = "" }: { readonly message?: string | undefined }) => {
    if (message.startsWith(SHOUT)) roles.add(message.slice(SHOUT.length + 1))
  }
  client.on("notice", listen)
  try {
    await work()
  } finally {
    client.off("notice", listen)
  }
  for (const { role } of rows) roles.delete(role)
  return [...roles]
}
