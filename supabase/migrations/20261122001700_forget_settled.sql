-- Purpose: deletes what is settled and older than the retention, and whatever else would grow without end.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-retention'); drop function pause_status.forget_settled(),
--          pause_status.forget(text, text, text, timestamptz, timestamptz),
--          pause_status.delete_each(text, text[], timestamptz).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.delete_each(
  statement text, keys text[], until timestamptz, out deleted integer, out stuck text[], out problem text
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  half constant integer := cardinality(keys) / 2;
  one record;
  other record;
begin
  execute statement using keys;
  get diagnostics deleted = row_count;
exception when others then
  if half = 0 or clock_timestamp() > until then
    deleted := 0;
    stuck := keys;
    problem := keys[1] || ': ' || sqlerrm;
    return;
  end if;
  -- Of thousands of rows one that cannot be deleted is found in a dozen steps.
  one := pause_status.delete_each(statement, keys[:half], until);
  other := pause_status.delete_each(statement, keys[half + 1:], until);
  deleted := one.deleted + other.deleted;
  stuck := one.stuck || other.stuck;
  problem := coalesce(one.problem, other.problem);
end
$$;
comment on function pause_status.delete_each(text, text[], timestamptz) is
  'Runs a delete for these keys. Rows that cannot be deleted do not keep the others: their keys come back as stuck, with '
  'the first error. After until, it no longer looks for them one by one.';

create or replace function pause_status.forget(
  relation text, key text, condition text, old timestamptz, until timestamptz, out deleted integer, out problem text
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  batch constant integer := (select s.retention_batch_size from pause_status.settings s);
  choice text;
  deletion text;
  stuck text[] := '{}';
  keys text[];
  round record;
begin
  deleted := 0;
  -- Locked, because a person may redrive a dead letter meanwhile. pg_cron's rows are nobody's to lock.
  select
    format(
      'select array(select t.%1$I::text from %2$s t where %3$s and t.%1$I <> all($1::%4$s[]) limit $2 %5$s)',
      key, relation, condition, a.atttypid::regtype,
      case when relation like 'pause_status.%' then 'for update of t skip locked' end
    ),
    format('delete from %2$s t where t.%1$I = any($1::%3$s[])', key, relation, a.atttypid::regtype)
  into choice, deletion
  from pg_attribute a
  where a.attrelid = to_regclass(relation) and a.attname = key;
  if choice is null then
    return;
  end if;

  for rounds in 1 .. 20 loop
    execute choice into keys using stuck, batch, old;
    exit when cardinality(keys) = 0;
    round := pause_status.delete_each(deletion, keys, until);
    deleted := deleted + round.deleted;
    stuck := stuck || round.stuck;
    problem := coalesce(problem, relation || ' ' || round.problem);
    exit when cardinality(keys) < batch or clock_timestamp() > until;
  end loop;
exception when others then
  deleted := 0;
  problem := relation || ': ' || sqlerrm;
end
$$;
comment on function pause_status.forget(text, text, text, timestamptz, timestamptz) is
  'Deletes the rows t of a table that a condition is true of ($3 is old), batch by batch, 20 at most and none after '
  'until but the first. Returns how many, and the first error. Never raises.';

create or replace function pause_status.forget_settled()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
set jit = off
as $$
declare
  old constant timestamptz := (select now() - make_interval(days => s.retention_days) from pause_status.settings s);
  until constant timestamptz := clock_timestamp() + interval '20 seconds';
  part record;
  result record;
  total integer := 0;
  problem text;
begin
  if old is null then
    perform pause_status.beat('retention', 'the settings are gone: nothing is deleted');
    return 0;
  end if;

  for part in
    select *
    from (
      values
        ('pause_status.webhook_queue', 'event_id', 't.status = ''completed'' and t.completed_at < $3'),
        -- A failed event goes with its dead letter, and only after that was resolved; one that was redriven stays with
        -- its event, whatever became of it.
        ('pause_status.webhook_queue', 'event_id', 't.status = ''failed'' and exists (select
          from pause_status.dead_letter_queue d
          where d.id = t.dead_letter_id and d.resolution = ''resolved'' and d.resolved_at < $3)'),
        -- The history of what is still open is what a person needs to close it.
        ('pause_status.webhook_attempts', 'id', 't.ended_at < $3 and not exists (select
          from pause_status.webhook_queue q where q.event_id = t.event_id and q.status <> ''completed'')'),
        -- An event's key must be known as long as the event may come again.
        ('pause_status.orchestrations', 'event_id', 't.created_at < $3 and not exists (select
          from pause_status.webhook_queue q where q.event_id = t.event_id)'),
        -- Had its event been kept, it would have been forgotten by now.
        ('pause_status.erased_events', 'event_id', 't.erased_at < $3'),
        ('pause_status.alerts', 'id', 't.closed_at < $3'),
        -- The sweep deletes those that could not be sent, and asks for the others while an event waits for an answer.
        ('pause_status.deliveries', 'id', 't.dispatched_at < now() - interval ''1 day'' and t.error is null
          and not exists (select from pause_status.webhook_queue q where q.status = ''pending'' and q.delivery_id = t.id)'),
        -- Runs that a crash cut off have no end, or not even a start: then their place in the order tells how old.
        ('cron.job_run_details', 'runid', 'coalesce(t.end_time, t.start_time, ''-infinity'') < now() - interval ''7 days''
          and t.runid <= (select r.runid from cron.job_run_details r
            where r.start_time < now() - interval ''7 days'' order by r.runid desc limit 1)
          and (t.command like ''select pause_status.%''
            or t.jobid in (select j.jobid from cron.job j where j.jobname like ''pause-status-%''))')
    ) as parts (relation, key, condition)
  loop
    result := pause_status.forget(part.relation, part.key, part.condition, old, until);
    total := total + result.deleted;
    problem := coalesce(problem, result.problem);
  end loop;
  perform pause_status.beat('retention', problem);
  return total;
end
$$;
comment on function pause_status.forget_settled() is
  'Deletes what was settled longer than settings.retention_days ago, the requests of more than a day ago and the runs of '
  'our jobs of more than a week ago; returns how many rows. Open dead letters and unsettled events are never deleted.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-retention', '*/10 * * * *', 'select pause_status.forget_settled()');
