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

// Where create_coordinators learns the type of a mentor's id.
const idOf = ({ key, table }: Watched): string => `to_regclass(${literal(table)}) and a.attname = ${literal(key)}`

/** A migration as it is installed in a project that watches this. */
export const render = ({ name, text }: ReleaseFile, watched: Watched): string => {
  if (isSame(watched, defaults)) return text
  if (name === COORDINATORS) return text.replace(idOf(defaults), () => idOf(watched))
  return name === WATCH ? watch(watched) : text
}

/** Undoes all migrations of a release. What waits for delivery would be lost, so it refuses while there is any. */
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
    raise exception '% events are not delivered yet', waiting
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
  where s.name in ('outbox_webhook_secret', 'outbox_function_url', 'outbox_alert_url');
end
$$;

drop schema outbox cascade;
notify pgrst, 'reload schema';
`
}
