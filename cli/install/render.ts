import type { ReleaseFile } from "../Release.ts"
import { defaults, isSame, type Watched } from "./Watched.ts"

export const WATCH = "watch_mentors"
const COORDINATORS = "create_coordinators"

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
const identifier = (name: string): string =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`

const watch = (watched: Watched): string => {
  const { active, column, key, paused, table } = watched
  const words = JSON.stringify({ [column]: { active, paused } })
  const payload = `jsonb_build_object('id', new.${identifier(key)}, 'status', new.${identifier(column)})`
  return `-- Purpose: the topic pause-status watches your table.
-- Locks:   the table, share row exclusive: writers wait while its rows are read once.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

select outbox.watch(
  topic => 'pause-status',
  relation => ${literal(table)},
  key => ${literal(key)},
  columns => array[${literal(column)}],
  words => ${literal(words)},
  payload => ${literal(payload)},
  visible_to => 'outbox.mentors_of'
);

do $$
begin
  if (select t.key_type from outbox.topics t where t.topic = 'pause-status') <> pg_typeof(outbox.mentor_id(null))::text then
    raise exception 'public.mentor_coordinators.mentor_id must be of the type of the mentors'' key'
      using errcode = 'datatype_mismatch',
      hint = 'Change it, in public.notifications too, then apply the migrations again from create_coordinators on.';
  end if;
end
$$;
`
}

// create_coordinators takes the type of a mentor's id from here.
const idOf = ({ key, table }: Watched): string => `to_regclass(${literal(table)}) and a.attname = ${literal(key)}`

/** Checked first, because a later migration that fails would leave half an installation. */
const check = ({ active, column, key, paused, table }: Watched): string => {
  const cure =
    "Correct it: npx pause-status install with --table, --key, --column, --active, --paused, and --not-pushed"
  return `-- Purpose: whether the table that pause-status is to watch is there, with its columns and words. Changes nothing.

do $$
declare
  relation constant regclass := to_regclass(${literal(table)});
  wanted constant text[] := array[${[...active, ...paused].map(literal).join(", ")}];
  cure constant text := ${literal(cure)};
  columns text[];
  key_type text;
  column_type text;
  word text;
  spelling text;
  never text[] := '{}';
begin
  if relation is null then
    raise exception 'there is no table %', ${literal(table)} using errcode = 'undefined_table', hint = cure;
  elsif (select c.relkind from pg_class c where c.oid = relation) <> 'r'
    or exists (select from pg_inherits i where relation in (i.inhrelid, i.inhparent)) then
    raise exception '% must be an ordinary table, but it is a view, partitioned, a partition, inherited or foreign', relation
      using errcode = 'wrong_object_type', hint = cure;
  end if;
  columns := array(
    select a.attname::text
    from pg_attribute a
    where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    order by a.attnum
  );
  if not columns @> array[${literal(key)}, ${literal(column)}] then
    raise exception '% has no column % or no column %: its columns are %',
      relation, ${literal(key)}, ${literal(column)}, array_to_string(columns, ', ')
      using errcode = 'undefined_column', hint = cure;
  end if;
  key_type := (
    select t.typname from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = relation and a.attname = ${literal(key)}
  );
  if key_type not in ('uuid', 'int2', 'int4', 'int8', 'text', 'varchar') then
    raise exception '%.% must be uuid, a whole number or text, but it is %', relation, ${literal(key)}, key_type
      using errcode = 'datatype_mismatch', hint = cure;
  end if;
  column_type := (
    select format_type(a.atttypid, a.atttypmod) from pg_attribute a
    where a.attrelid = relation and a.attname = ${literal(column)}
  );
  -- A value in another spelling, such as t for a boolean, would never match.
  foreach word in array wanted loop
    begin
      execute format('select %L::%s::text', word, column_type) into spelling;
    exception when data_exception or check_violation then
      spelling := null;
    end;
    never := never || case when spelling is distinct from word then array[word] end;
  end loop;
  if never <> '{}' then
    raise exception '%.% is never %: %', relation, ${literal(column)}, array_to_string(never, ' or '), coalesce(
      'its words are ' || (
        select string_agg(e.enumlabel, ', ' order by e.enumsortorder)
        from pg_attribute a
        join pg_enum e on e.enumtypid = a.atttypid
        where a.attrelid = relation and a.attname = ${literal(column)}
      ),
      'its type is ' || column_type
    ) using errcode = 'invalid_parameter_value', hint = cure;
  end if;
end
$$;
`
}

const forOwnTable = ({ name, text }: ReleaseFile, watched: Watched): ReleaseFile => {
  if (name === COORDINATORS) return { name, text: text.replace(idOf(defaults), () => idOf(watched)) }
  return name === WATCH ? { name, text: watch(watched) } : { name, text }
}

/** The migrations of a release, rendered for what the project watches. */
export const render = (migrations: ReadonlyArray<ReleaseFile>, watched: Watched): ReadonlyArray<ReleaseFile> =>
  isSame(watched, defaults)
    ? migrations
    : [{ name: "check_mentors", text: check(watched) }, ...migrations.map((file) => forOwnTable(file, watched))]

/** Undoes all migrations of a release. Fails while events wait for delivery, because they would be lost. */
export const uninstallMigration = (migrations: ReadonlyArray<ReleaseFile>): string => {
  const created = migrations.flatMap(({ text }) => [...text.matchAll(/create or replace function public\.(\w+)\(/g)])
  const functions = [...new Set(created.map(([, name = ""]) => literal(name)))].toSorted()
  return `-- Purpose: removes the outbox, with its jobs and triggers. Your own tables stay, and so do public.coordinators,
--          public.mentor_coordinators and public.notifications.
-- Locks:   the watched tables, access exclusive, for a moment.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

do $$
declare
  waiting constant bigint := (select count(*) from outbox.events where status in ('pending', 'processing'));
  target record;
begin
  if waiting > 0 then
    raise exception 'not delivered yet: % event%', waiting, case waiting when 1 then '' else 's' end
      using errcode = 'object_in_use',
      hint = 'Wait until select * from outbox.health shows none, or close them with outbox.resolve().';
  end if;

  for target in select t.topic from outbox.topics t loop
    perform outbox.unwatch(target.topic);
  end loop;
  for target in select j.jobid from cron.job j where j.jobname like 'outbox-%' loop
    perform cron.unschedule(target.jobid);
  end loop;
  for target in
    select p.oid::regprocedure as signature
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace
      and p.proname in (${functions.join(", ")})
  loop
    execute format('drop function %s', target.signature);
  end loop;
  delete from vault.secrets s
  where s.name in (
    'outbox_webhook_secret', 'outbox_function_url', 'outbox_send_email_url',
    'outbox_alert_url', 'outbox_alert_secret', 'outbox_otlp_url', 'outbox_otlp_headers'
  );
end
$$;

drop schema outbox cascade;
notify pgrst, 'reload schema';
`
}
