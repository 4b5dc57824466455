-- Purpose: whether what the outbox lives on is in place: the triggers, the scheduled jobs and their signs of life.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.job_states(), pause_status.capture_state(); drop type pause_status.job_state.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.capture_state(out attached boolean, out enabled boolean, out problem text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  watched constant regclass := to_regclass('public.peer_mentor_profiles');
  missing text;
  disabled text;
  misfits text;
begin
  select
    bool_and(t.oid is not null),
    bool_and(coalesce(t.tgenabled in ('O', 'A'), false)),
    string_agg(wanted.name, ', ' order by wanted.name) filter (where t.oid is null),
    string_agg(wanted.name, ', ' order by wanted.name) filter (where t.tgenabled not in ('O', 'A'))
  into attached, enabled, missing, disabled
  from (
    values
      ('pause_status_capture_insert', 'pause_status.capture_mentors()'),
      ('pause_status_capture_update', 'pause_status.capture_transitions()'),
      ('pause_status_capture_key', 'pause_status.capture_key()')
  ) as wanted (name, routine)
  left join pg_trigger t
    on t.tgrelid = watched and t.tgname = wanted.name and t.tgfoid = to_regprocedure(wanted.routine);

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
  problem := case
    when watched is null then 'there is no table public.peer_mentor_profiles'
    when missing is not null then format(
      'public.peer_mentor_profiles lacks %s: apply the migration capture_transitions again', missing
    )
    when disabled is not null then format(
      'alter table public.peer_mentor_profiles enable trigger, for each of: %s', disabled
    )
    when misfits is not null then format(
      'public.peer_mentor_profiles has no column of the right name and type for: %s', misfits
    )
  end;
exception when others then
  problem := 'the triggers of public.peer_mentor_profiles cannot be looked up: ' || sqlerrm;
end
$$;
comment on function pause_status.capture_state() is
  'Whether our triggers are on what is public.peer_mentor_profiles now, and enabled; the problem is null when changes are '
  'captured, or need not be because stock webhooks report them.';

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
