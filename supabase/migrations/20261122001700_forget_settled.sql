-- Purpose: deletes what is settled and older than the retention.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-retention'); drop function pause_status.forget_settled().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.forget_settled()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  batch integer;
  old timestamptz;
  deleted integer;
  total integer := 0;
begin
  select s.retention_batch_size, clock_timestamp() - make_interval(days => s.retention_days)
  into strict batch, old
  from pause_status.settings s;

  delete from pause_status.webhook_queue q
  where q.event_id in (
    select settled.event_id
    from pause_status.webhook_queue settled
    where settled.status = 'completed' and settled.completed_at < old
    order by settled.completed_at
    limit batch
    for update skip locked
  );
  get diagnostics deleted = row_count;
  total := total + deleted;

  -- A failed event goes with its dead letter, and only after that was resolved; one that was redriven stays with its
  -- event, whatever became of it.
  delete from pause_status.webhook_queue q
  where q.event_id in (
    select failed.event_id
    from pause_status.dead_letter_queue d
    join pause_status.webhook_queue failed on failed.dead_letter_id = d.id
    where d.resolution = 'resolved' and d.resolved_at < old
    limit batch
    for update of failed skip locked
  );
  get diagnostics deleted = row_count;
  total := total + deleted;

  delete from pause_status.webhook_attempts a
  where a.id in (
    select ended.id
    from pause_status.webhook_attempts ended
    where ended.ended_at < old
      -- The history of what is still open is what a person needs to close it.
      and not exists (
        select
        from pause_status.webhook_queue q
        where q.event_id = ended.event_id and q.status <> 'completed'
      )
    order by ended.ended_at
    limit batch
  );
  get diagnostics deleted = row_count;
  total := total + deleted;

  delete from pause_status.orchestrations o
  where o.event_id in (
    select answered.event_id
    from pause_status.orchestrations answered
    where answered.created_at < old
      -- Its key must be known as long as its event may come again.
      and not exists (select from pause_status.webhook_queue q where q.event_id = answered.event_id)
    order by answered.created_at
    limit batch
  );
  get diagnostics deleted = row_count;
  total := total + deleted;

  -- Had its event been kept, it would have been forgotten by now.
  delete from pause_status.erased_events e
  where e.event_id in (
    select tombstone.event_id
    from pause_status.erased_events tombstone
    where tombstone.erased_at < old
    order by tombstone.erased_at
    limit batch
  );
  get diagnostics deleted = row_count;
  total := total + deleted;

  delete from pause_status.alerts a where a.closed_at < old;
  get diagnostics deleted = row_count;
  total := total + deleted;

  begin
    delete from cron.job_run_details d
    where d.runid in (
      select run.runid
      from cron.job_run_details run
      where run.end_time < old
        and run.jobid in (select j.jobid from cron.job j where j.jobname like 'pause-status-%')
      limit batch
    );
    get diagnostics deleted = row_count;
    total := total + deleted;
  exception when insufficient_privilege then
    raise warning 'may not delete from cron.job_run_details: grant delete on it to the owner of this job';
  end;
  return total;
end
$$;
comment on function pause_status.forget_settled() is
  'Deletes a batch of what was settled longer than settings.retention_days ago; returns how many rows. '
  'Open dead letters and unsettled events are never deleted.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-retention', '*/10 * * * *', 'select pause_status.forget_settled()');
