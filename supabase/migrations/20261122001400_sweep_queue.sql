-- Purpose: the sweep: ends what nobody ended, and sends everything that is due.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-sweep');
--          drop function pause_status.sweep(), pause_status.pace_jobs(), pause_status.recheck_mentors(integer),
--          pause_status.requests_waiting(integer), pause_status.pace(text, text, text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create extension if not exists pg_cron with schema pg_catalog;

create or replace function pause_status.pace(job text, command text, wanted text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- A schedule that is none of ours is somebody's choice.
  if exists (
    select
    from cron.job j
    where j.jobname = job and (j.schedule = wanted or j.schedule not in ('5 seconds', '10 seconds', '* * * * *'))
  ) then
    return;
  end if;
  perform cron.schedule(job, wanted, command);
exception when others then
  -- pg_cron before 1.5 knows no seconds.
  if not exists (select from cron.job j where j.jobname = job) then
    perform cron.schedule(job, '* * * * *', command);
  end if;
end
$$;
comment on function pause_status.pace(text, text, text) is
  'Schedules a job, or changes how often it runs: pg_cron keeps a row for each run, so an idle database is swept less.';

create or replace function pause_status.requests_waiting(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
begin
  return (select count(*) from (select from net.http_request_queue limit at_most) as waiting);
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  -- Without pg_net nothing waits; dispatch() says what to do about it.
  return 0;
end
$$;
comment on function pause_status.requests_waiting(integer) is
  'How many requests pg_net has not finished yet, counted no further than at_most.';

create or replace function pause_status.recheck_mentors(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  mentor_ids uuid[];
  reason text;
  failures integer;
  queued integer := 0;
begin
  with taken as (
    delete from pause_status.rechecks r
    where r.id = any(array(
      select old.id from pause_status.rechecks old order by old.created_at limit at_most for update skip locked
    ))
    returning r.mentor_id, r.reason
  )
  select array_agg(distinct t.mentor_id) filter (where t.mentor_id is not null), max(t.reason), count(t.reason)
  into mentor_ids, reason, failures
  from taken t;

  begin
    if mentor_ids is not null then
      queued := pause_status.reconcile_mentors(mentor_ids);
    end if;
  exception when others then
    reason := coalesce(reason, sqlerrm);
    failures := failures + 1;
  end;

  if failures > 0 then
    perform pause_status.raise_alert(
      'capture_failed', failures,
      'changes of public.peer_mentor_profiles could not be read, and are found by reconcile() once this is right: ' || reason
    );
  end if;
  return queued;
end
$$;
comment on function pause_status.recheck_mentors(integer) is
  'Queues what capture left to the sweep, and raises an alert when it could not read the changes at all.';

create or replace function pause_status.pace_jobs()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  busy boolean := exists (select from pause_status.webhook_queue q where q.status in ('pending', 'processing'));
begin
  perform pause_status.pace(
    'pause-status-sweep', 'select pause_status.sweep()', case when busy then '5 seconds' else '10 seconds' end
  );
  perform pause_status.pace(
    'pause-status-direct', 'select pause_status.send_directly()', case when busy then '5 seconds' else '* * * * *' end
  );
end
$$;
comment on function pause_status.pace_jobs() is
  'Runs the sweep and the direct calls every five seconds while something is unsettled, and less often otherwise.';

create or replace function pause_status.sweep()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- A session that is kept may have planned when the queue was empty.
set enable_seqscan = off
set jit = off
as $$
declare
  batch integer := coalesce((select s.sweep_batch_size from pause_status.settings s), 1000);
  part text;
  failure text;
  problem text;
  sent integer;
begin
  -- A part that fails does not stop the others.
  foreach part in array array[
    'undo_future()', format('postpone_refused(%s)', batch), format('end_leases(%s)', batch),
    format('end_unacknowledged(%s)', batch), format('recheck_mentors(%s)', batch), 'pace_jobs()'
  ] loop
    failure := pause_status.attempt('select pause_status.' || part);
    problem := coalesce(problem, failure);
  end loop;

  begin
    -- One is always sent, so that other users of pg_net cannot silence the sweep.
    sent := pause_status.dispatch_due('sweep', greatest(1, batch - pause_status.requests_waiting(batch)));
  exception when others then
    problem := coalesce(problem, 'pause_status.dispatch_due(): ' || sqlerrm);
  end;
  perform pause_status.beat('sweep', problem);
  return coalesce(sent, 0);
end
$$;
comment on function pause_status.sweep() is
  'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many it '
  'sent.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select pause_status.pace('pause-status-sweep', 'select pause_status.sweep()', '5 seconds');
