-- Purpose: whether what the outbox lives on is in place: the triggers, the scheduled jobs and their signs of life.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.job_states(), pause_status.capture_state(), pause_status.other_ways_in(regclass),
--          pause_status.trigger_states(); drop type pause_status.job_state.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.trigger_states()
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
        'public.peer_mentor_profiles', 'pause_status_capture_insert',
        'CREATE TRIGGER %2$s AFTER INSERT ON %1$s REFERENCING NEW TABLE AS new_profiles '
        'FOR EACH STATEMENT EXECUTE FUNCTION pause_status.capture_mentors()'
      ),
      (
        'public.peer_mentor_profiles', 'pause_status_capture_update',
        'CREATE TRIGGER %2$s AFTER UPDATE ON %1$s REFERENCING OLD TABLE AS old_profiles NEW TABLE AS new_profiles '
        'FOR EACH STATEMENT EXECUTE FUNCTION pause_status.capture_transitions()'
      ),
      (
        'public.peer_mentor_profiles', 'pause_status_capture_key',
        'CREATE TRIGGER %2$s AFTER UPDATE ON %1$s '
        'FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION pause_status.capture_key()'
      ),
      (
        'pause_status.webhook_queue', 'webhook_queue_dispatch_at_commit',
        'CREATE CONSTRAINT TRIGGER %2$s AFTER INSERT ON %1$s DEFERRABLE INITIALLY DEFERRED '
        'FOR EACH ROW WHEN (((new.leads IS NOT NULL) AND (new.status = ''pending''::text))) '
        'EXECUTE FUNCTION pause_status.dispatch_at_commit()'
      )
  ) as wanted (relation, name, definition)
  left join pg_trigger t on t.tgrelid = to_regclass(wanted.relation) and t.tgname = wanted.name
  cross join lateral (
    select coalesce(pg_get_triggerdef(t.oid) = format(wanted.definition, wanted.relation, wanted.name), false)
  ) as found (is_original)
$$;
comment on function pause_status.trigger_states() is
  'Whether the triggers that capture and dispatch are as the migrations create them, to the word, and enabled.';

create or replace function pause_status.other_ways_in(watched regclass)
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
comment on function pause_status.other_ways_in(regclass) is
  'How to close the ways to write mentors by the name of another table, which fires no statement triggers of this one.';

create or replace function pause_status.capture_state(out attached boolean, out enabled boolean, out problem text)
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
  from pause_status.trigger_states() t
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

  if exists (select from pause_status.settings s where s.fed_by = 'webhook') then
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
      from pause_status.trigger_states() t
      where not t.is_enabled
      group by t.relation, t.is_original
      union all
      select 'changes by the name of another table are not captured: ' || string_agg(w.way, '; ' order by w.way)
      from pause_status.other_ways_in(watched) as w (way)
    ) as wrong;
  end if;
exception when others then
  problem := 'the triggers of public.peer_mentor_profiles cannot be looked up: ' || sqlerrm;
end
$$;
comment on function pause_status.capture_state() is
  'Whether our triggers are on what is public.peer_mentor_profiles now, unaltered and enabled; the problem is null when '
  'all changes are captured and dispatched, or need not be because stock webhooks report them.';

do $$
begin
  if to_regtype('pause_status.job_state') is null then
    create type pause_status.job_state as (
      job text,
      is_scheduled boolean,
      last_run_at timestamptz,
      missing text,
      failing text,
      silent text
    );
    comment on type pause_status.job_state is
      'A scheduled job, and what is wrong with it: missing from pg_cron, failing, or silent for too long. Nulls: nothing.';
  end if;
end
$$;

create or replace function pause_status.job_states()
returns setof pause_status.job_state
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
  from pause_status.settings s;
  begin
    select
      coalesce(array_agg(j.jobname::text) filter (where j.active), '{}'),
      coalesce(array_agg(j.jobname::text) filter (where not j.active), '{}')
    into scheduled, inactive
    from cron.job j
    where j.jobname like 'pause-status-%';
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
        '%s ran to its end at %s and not since', wanted.name, pause_status.iso(beat.last_at)
      )
    end
  from (
    select w.job, 'pause-status-' || w.job as name, w.share * coalesce(silent_after, interval '3 minutes') as silent_after
    from (
      values ('sweep', 1), ('direct', 1), ('watch', 1), ('reconcile', 5), ('retention', 10)
    ) as w (job, share)
    where w.job <> 'reconcile' or is_captured is not false
  ) as wanted
  cross join (select clock_timestamp() as moment) as now
  left join pause_status.heartbeats beat on beat.job = wanted.job
  -- While the server was down nobody was silent.
  cross join lateral (select greatest(beat.last_at, pg_postmaster_start_time()) as since) as alive;
end
$$;
comment on function pause_status.job_states() is
  'How the scheduled jobs are. A job of every minute or more often is silent after settings.alert_sweep_silent_seconds, '
  'the rarer ones after five and ten times as long. A beat that far in the future is no sign of life either.';

-- A job that never runs is silent from now on.
insert into pause_status.heartbeats (job)
select wanted.job
from unnest(array['sweep', 'direct', 'watch', 'reconcile', 'retention']) as wanted (job)
where not exists (select from pause_status.heartbeats h where h.job = wanted.job);

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
