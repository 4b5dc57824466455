-- Purpose: the sweep: ends what nobody ended, and sends everything that is due.

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
comment on function outbox.pace(text, text, text) is 'Schedules a job, or changes how often it runs.';

create or replace function outbox.pace_jobs() returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  busy boolean := exists (select from outbox.events q where q.status in ('pending', 'processing'));
begin
  -- pg_cron keeps a row for each run.
  perform outbox.pace('outbox-sweep', 'select outbox.sweep()', case when busy then '5 seconds' else '10 seconds' end);
  perform outbox.pace(
    'outbox-direct', 'select outbox.send_directly()', case when busy then '5 seconds' else '* * * * *' end
  );
end
$$;
comment on function outbox.pace_jobs() is
  'Runs the sweep and the direct calls every five seconds while something is unsettled, and less often otherwise.';

create or replace function outbox.recheck_keys(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
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
      greatest(count(t.reason), 1) as failures
    from taken t
    group by t.topic
  loop
    begin
      perform outbox.reconcile_keys(part.topic, part.keys);
    exception when others then
      part.reason := coalesce(part.reason, sqlerrm);
    end;
    if part.reason is not null then
      perform outbox.raise_alert('capture_failed', part.failures, format(
        'changes of topic %s could not be read, and are found by reconcile() once this is right: %s',
        part.topic, part.reason
      ));
    end if;
  end loop;
end
$$;
comment on function outbox.recheck_keys(integer) is
  'Queues what capture left to the sweep, and raises an alert when it could not read the changes at all.';

create or replace function outbox.sweep() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  batch integer := coalesce((select s.sweep_batch_size from outbox.settings s), 1000);
  part text;
  problem text;
  sent integer := 0;
begin
  foreach part in array array[
    'undo_future', 'postpone_refused', 'end_leases', 'end_unacknowledged', 'recheck_keys'
  ] loop
    -- One that fails does not stop the others.
    problem := coalesce(outbox.attempt(format('select outbox.%I(%s)', part, batch)), problem);
  end loop;
  problem := coalesce(outbox.attempt('select outbox.pace_jobs()'), problem);

  begin
    -- One is always sent, so that other users of pg_net cannot silence the sweep.
    sent := outbox.dispatch_due('sweep', greatest(1, batch - (select count(*)::integer from outbox.net_queue(batch))));
  exception when others then
    problem := 'outbox.dispatch_due(): ' || sqlerrm;
  end;
  perform outbox.beat('sweep', problem);
  return sent;
end
$$;
comment on function outbox.sweep() is
  'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many.';

select outbox.pace('outbox-sweep', 'select outbox.sweep()', '5 seconds');
