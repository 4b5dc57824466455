-- Purpose: whether what the outbox lives on is in place: the triggers, the scheduled jobs and their signs of life.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.job_states(), outbox.capture_state(), outbox.other_ways_in(regclass),
--          outbox.trigger_states(); drop type outbox.job_state.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.trigger_states()
returns table (relation text, name text, is_original boolean, is_enabled boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
  select wanted.relation, wanted.name, found.is_original, found.is_original and t.tgenabled in ('O', 'A')
  from (
    values
      (
        'public.peer_mentor_profiles', 'outbox_capture_insert',
        'CREATE TRIGGER %2$s AFTER INSERT ON %1$s REFERENCING NEW TABLE AS new_profiles '
        'FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_mentors()'
      ),
      (
        'public.peer_mentor_profiles', 'outbox_capture_update',
        'CREATE TRIGGER %2$s AFTER UPDATE ON %1$s REFERENCING OLD TABLE AS old_profiles NEW TABLE AS new_profiles '
        'FOR EACH STATEMENT EXECUTE FUNCTION outbox.capture_transitions()'
      ),
      (
        'public.peer_mentor_profiles', 'outbox_capture_key',
        'CREATE TRIGGER %2$s AFTER UPDATE ON %1$s '
        'FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION outbox.capture_key()'
      ),
      (
        'outbox.events', 'events_dispatch_at_commit',
        'CREATE CONSTRAINT TRIGGER %2$s AFTER INSERT ON %1$s DEFERRABLE INITIALLY DEFERRED '
        'FOR EACH ROW WHEN (((new.leads IS NOT NULL) AND (new.status = ''pending''::text))) '
        'EXECUTE FUNCTION outbox.dispatch_at_commit()'
      )
  ) as wanted (relation, name, definition)
  left join pg_trigger t on t.tgrelid = to_regclass(wanted.relation) and t.tgname = wanted.name
  cross join lateral (
    select coalesce(pg_get_triggerdef(t.oid) = format(wanted.definition, wanted.relation, wanted.name), false)
  ) as found (is_original)
$$;
comment on function outbox.trigger_states() is
  'Whether the triggers that capture and dispatch are as the migrations create them, to the word, and enabled.';

create or replace function outbox.other_ways_in(watched regclass)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $$
  select format(
    case when c.relispartition then 'alter table %2$s detach partition %1$s' else 'alter table %1$s no inherit %2$s' end,
    i.inhrelid::regclass, i.inhparent::regclass
  )
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  where i.inhrelid = watched or i.inhparent = watched and not c.relispartition
$$;
comment on function outbox.other_ways_in(regclass) is
  'How to close the ways to write mentors by the name of another table, which fires no statement triggers of this one.';

create or replace function outbox.capture_state(out attached boolean, out enabled boolean, out problem text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  watched constant regclass := to_regclass('public.peer_mentor_profiles');
  misfits text;
begin
  select bool_and(t.is_original), bool_and(t.is_enabled)
  into attached, enabled
  from outbox.trigger_states() t
  where t.relation = 'public.peer_mentor_profiles';

  select string_agg(wanted.name, ', ')
  into misfits
  from (values ('id'), ('status')) as wanted (name)
  where not exists (
    select
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    where a.attrelid = watched
      and a.attname = wanted.name
      and not a.attisdropped
      and case wanted.name when 'id' then t.typname = 'uuid' else t.typcategory in ('S', 'E') end
  );

  if exists (select from outbox.settings s where s.fed_by = 'webhook') then
    return;
  end if;
  if watched is null then
    problem := 'there is no table public.peer_mentor_profiles';
  elsif misfits is not null then
    problem := 'public.peer_mentor_profiles has no column of the right name and type for: ' || misfits;
  else
    select string_agg(wrong.sentence, '; ' order by wrong.sentence)
    into problem
    from (
      select
        case
          when t.is_original then format('alter table %s enable trigger, for each of: ', t.relation)
          else format('%s lacks the original ', t.relation)
        end
          || string_agg(t.name, ', ' order by t.name)
          || case when t.is_original then '' else ': apply the migrations again' end as sentence
      from outbox.trigger_states() t
      where not t.is_enabled
      group by t.relation, t.is_original
      union all
      select 'changes by the name of another table are not captured: ' || string_agg(w.way, '; ' order by w.way)
      from outbox.other_ways_in(watched) as w (way)
    ) as wrong;
  end if;
exception when others then
  problem := 'the triggers of public.peer_mentor_profiles cannot be looked up: ' || sqlerrm;
end
$$;
comment on function outbox.capture_state() is
  'Whether our triggers are on what is public.peer_mentor_profiles now, unaltered and enabled; the problem is null when '
  'all changes are captured and dispatched, or need not be because stock webhooks report them.';

do $$
begin
  if to_regtype('outbox.job_state') is null then
    create type outbox.job_state as (
      job text,
      is_scheduled boolean,
      last_run_at timestamptz,
      missing text,
      failing text,
      silent text
    );
    comment on type outbox.job_state is
      'A scheduled job, and what is wrong with it: missing from pg_cron, failing, or silent for too long. Nulls: nothing.';
  end if;
end
$$;

create or replace function outbox.job_states()
returns setof outbox.job_state
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  silent_after interval;
  is_captured boolean;
  scheduled text[] := '{}';
  inactive text[] := '{}';
  no_cron text;
begin
  select make_interval(secs => s.alert_sweep_silent_seconds), s.fed_by = 'outbox'
  into silent_after, is_captured
  from outbox.settings s;
  begin
    select
      coalesce(array_agg(j.jobname::text) filter (where j.active), '{}'),
      coalesce(array_agg(j.jobname::text) filter (where not j.active), '{}')
    into scheduled, inactive
    from cron.job j
    where j.jobname like 'outbox-%';
  exception when others then
    no_cron := 'pg_cron cannot be asked: ' || sqlerrm;
  end;

  return query
  select
    wanted.job,
    wanted.name = any(scheduled),
    beat.last_at,
    case
      when wanted.name = any(scheduled) then null
      when no_cron is not null then no_cron
      when wanted.name = any(inactive) then format(
        '%1$s is inactive: select cron.alter_job(jobid, active := true) from cron.job where jobname = %1$L', wanted.name
      )
      else wanted.name || ' is not scheduled: apply its migration again'
    end,
    -- What is later was written before the clock was set back.
    case when beat.failed_at between beat.last_at and clock_timestamp() then wanted.name || ': ' || beat.last_error end,
    case
      when beat.last_at is null then wanted.name || ' has never run to its end'
      when greatest(now.moment - alive.since, alive.since - now.moment) >= wanted.silent_after then format(
        '%s ran to its end at %s and not since', wanted.name, outbox.iso(beat.last_at)
      )
    end
  from (
    select w.job, 'outbox-' || w.job as name, w.share * coalesce(silent_after, interval '3 minutes') as silent_after
    from (
      values ('sweep', 1), ('direct', 1), ('watch', 1), ('reconcile', 5), ('retention', 10)
    ) as w (job, share)
    where w.job <> 'reconcile' or is_captured is not false
  ) as wanted
  cross join (select clock_timestamp() as moment) as now
  left join outbox.heartbeats beat on beat.job = wanted.job
  -- While the server was down nobody was silent.
  cross join lateral (select greatest(beat.last_at, pg_postmaster_start_time()) as since) as alive;
end
$$;
comment on function outbox.job_states() is
  'How the scheduled jobs are. A job of every minute or more often is silent after settings.alert_sweep_silent_seconds, '
  'the rarer ones after five and ten times as long. A beat that far in the future is no sign of life either.';

-- A job that never runs is silent from now on.
insert into outbox.heartbeats (job)
select wanted.job
from unnest(array['sweep', 'direct', 'watch', 'reconcile', 'retention']) as wanted (job)
where not exists (select from outbox.heartbeats h where h.job = wanted.job);

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
