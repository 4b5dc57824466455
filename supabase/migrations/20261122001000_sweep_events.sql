-- Purpose: the sweep: ends what nobody ended, and sends everything that is due.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('outbox-sweep');
--          drop function outbox.sweep(), outbox.pace_jobs(), outbox.recheck_keys(integer),
--          outbox.requests_waiting(integer), outbox.pace(text, text, text).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.pace(job text, command text, wanted text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
comment on function outbox.pace(text, text, text) is
  'Schedules a job, or changes how often it runs: pg_cron keeps a row for each run, so an idle database is swept less.';

create or replace function outbox.requests_waiting(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  return (select count(*) from (select from net.http_request_queue limit at_most) as waiting);
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  -- Without pg_net nothing waits; dispatch() says what to do about it.
  return 0;
end
$$;
comment on function outbox.requests_waiting(integer) is
  'How many requests pg_net has not finished yet, counted no further than at_most.';

create or replace function outbox.recheck_keys(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
  reason text;
  queued integer := 0;
begin
  for part in
    with taken as (
      delete from outbox.rechecks r
      where r.id = any(array(
        select old.id from outbox.rechecks old order by old.created_at limit at_most for update skip locked
      ))
      returning r.topic, r.key, r.reason
    )
    select
      t.topic, array_agg(distinct t.key) filter (where t.key is not null) as keys, max(t.reason) as reason,
      count(t.reason) as failures
    from taken t
    group by t.topic
  loop
    reason := part.reason;
    begin
      queued := queued + outbox.reconcile_keys(part.topic, part.keys);
    exception when others then
      reason := coalesce(reason, sqlerrm);
    end;
    if reason is not null then
      perform outbox.raise_alert(
        'capture_failed', greatest(part.failures, 1),
        format('changes of topic %s could not be read, and are found by reconcile() once this is right: %s', part.topic, reason)
      );
    end if;
  end loop;
  return queued;
end
$$;
comment on function outbox.recheck_keys(integer) is
  'Queues what capture left to the sweep, and raises an alert when it could not read the changes at all.';

create or replace function outbox.pace_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  busy boolean := exists (select from outbox.events q where q.status in ('pending', 'processing'));
begin
  perform outbox.pace(
    'outbox-sweep', 'select outbox.sweep()', case when busy then '5 seconds' else '10 seconds' end
  );
  perform outbox.pace(
    'outbox-direct', 'select outbox.send_directly()', case when busy then '5 seconds' else '* * * * *' end
  );
end
$$;
comment on function outbox.pace_jobs() is
  'Runs the sweep and the direct calls every five seconds while something is unsettled, and less often otherwise.';

create or replace function outbox.sweep()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- A session that is kept may have planned when the queue was empty.
set enable_seqscan = off
set jit = off
as $$
declare
  batch integer := coalesce((select s.sweep_batch_size from outbox.settings s), 1000);
  part text;
  failure text;
  problem text;
  sent integer;
begin
  -- A part that fails does not stop the others.
  foreach part in array array[
    'undo_future()', format('postpone_refused(%s)', batch), format('end_leases(%s)', batch),
    format('end_unacknowledged(%s)', batch), format('recheck_keys(%s)', batch), 'pace_jobs()'
  ] loop
    failure := outbox.attempt('select outbox.' || part);
    problem := coalesce(problem, failure);
  end loop;

  begin
    -- One is always sent, so that other users of pg_net cannot silence the sweep.
    sent := outbox.dispatch_due('sweep', greatest(1, batch - outbox.requests_waiting(batch)));
  exception when others then
    problem := coalesce(problem, 'outbox.dispatch_due(): ' || sqlerrm);
  end;
  perform outbox.beat('sweep', problem);
  return coalesce(sent, 0);
end
$$;
comment on function outbox.sweep() is
  'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many it '
  'sent.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;

select outbox.pace('outbox-sweep', 'select outbox.sweep()', '5 seconds');
