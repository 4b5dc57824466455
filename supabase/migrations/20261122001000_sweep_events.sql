-- Purpose: the sweep: ends attempts that nobody ended, and sends everything that is due.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.pace(job text, command text, idle text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  busy boolean := exists (select from outbox.events q where q.status in ('pending', 'processing'));
  wanted text := case when busy then '5 seconds' else idle end;
begin
  -- Leaves a schedule that a person has set.
  if exists (
    select
    from cron.job j
    where j.jobname = job and (j.schedule = wanted or j.schedule not in ('5 seconds', '10 seconds', '* * * * *'))
  ) then
    return;
  end if;
  perform cron.schedule(job, wanted, command);
exception when others then
  -- pg_cron before 1.5 cannot schedule by seconds.
  if not exists (select from cron.job j where j.jobname = job) then
    perform cron.schedule(job, '* * * * *', command);
  end if;
end
$$;
comment on function outbox.pace(text, text, text) is
  'Schedules a job, less often while everything is settled, because pg_cron keeps a row for each run.';

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
comment on function outbox.recheck_keys(integer) is 'Compares again the keys that capture left to the sweep.';

create or replace function outbox.sweep() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  batch integer := coalesce((select s.sweep_batch_size from outbox.settings s), 1000);
  part text;
  problem text;
  sent integer := 0;
begin
  foreach part in array array[
    'undo_future(%s)', 'postpone_refused(%s)', 'end_leases(%s)', 'end_unacknowledged(%s)', 'recheck_keys(%s)',
    $part$pace('outbox-sweep', 'select outbox.sweep()', '10 seconds')$part$,
    $part$pace('outbox-direct', 'select outbox.send_directly()', '* * * * *')$part$
  ] loop
    -- A key that fails does not stop the others.
    problem := coalesce(outbox.attempt('select outbox.' || format(part, batch)), problem);
  end loop;

  begin
    -- Always sends at least one event, so that other users of pg_net cannot silence the sweep.
    sent := outbox.dispatch_due('sweep', greatest(1, batch - (select count(*)::integer from outbox.net_queue(batch))));
  exception when others then
    problem := 'outbox.dispatch_due(): ' || sqlerrm;
  end;
  perform outbox.beat('sweep', problem);
  return sent;
end
$$;
comment on function outbox.sweep() is 'Ends attempts that nobody ended, then dispatches due events; returns how many.';

select outbox.pace('outbox-sweep', 'select outbox.sweep()', '5 seconds');
