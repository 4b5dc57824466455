-- Purpose: deletes what is settled and older than the retention.
-- Locks:   pause_status.dead_letter_queue, share: writers wait while an index is built.
-- Undo:    select cron.unschedule('pause-status-retention'); drop function pause_status.forget_settled(),
--          pause_status.gone_mentors(integer), pause_status.forget_mentors(uuid[]),
--          pause_status.forget(text, text, text, timestamptz, integer), pause_status.old_rows();
--          drop index pause_status.dead_letter_queue_resolved_at_idx.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create index if not exists dead_letter_queue_resolved_at_idx on pause_status.dead_letter_queue (resolved_at)
  where resolution = 'resolved';

create or replace function pause_status.old_rows(
  out relation text, out key text, out keep interval, out rounds integer, out query text
)
returns setof record
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  values
    -- What reached nobody waits for a person, as an open dead letter does.
    ('pause_status.webhook_queue', 'event_id', null::interval, 1, $query$
      select q.event_id from pause_status.webhook_queue q
      where q.status = 'completed' and q.completed_at < $1
        and not coalesce(q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged', false)
      order by q.completed_at for update skip locked $query$),
    -- A failed event goes with its dead letter, once that is resolved.
    ('pause_status.webhook_queue', 'event_id', null, 1, $query$
      select q.event_id from pause_status.dead_letter_queue d join pause_status.webhook_queue q on q.dead_letter_id = d.id
      where d.resolution = 'resolved' and d.resolved_at < $1
      order by d.resolved_at for update of q skip locked $query$),
    -- The history of what is still open is what a person needs to close it.
    ('pause_status.webhook_attempts', 'id', null, 1, $query$
      select a.id from pause_status.webhook_attempts a
      where a.ended_at < $1 and not exists (
        select from pause_status.webhook_queue q where q.event_id = a.event_id and q.status <> 'completed'
      )
      order by a.ended_at $query$),
    -- An idempotency key must be known as long as its event may come again.
    ('pause_status.orchestrations', 'event_id', null, 1, $query$
      select o.event_id from pause_status.orchestrations o
      where o.created_at < $1 and not exists (select from pause_status.webhook_queue q where q.event_id = o.event_id)
      order by o.created_at $query$),
    ('pause_status.erased_events', 'event_id', null, 1, $query$
      select e.event_id from pause_status.erased_events e where e.erased_at < $1 order by e.erased_at $query$),
    ('pause_status.alerts', 'id', null, 1, $query$
      select a.id from pause_status.alerts a where a.closed_at < $1 order by a.closed_at $query$),
    -- pg_net keeps an answer for six hours. What the sweep still asks for stays.
    ('pause_status.deliveries', 'id', '1 day', 1, $query$
      select d.id from pause_status.deliveries d
      where d.dispatched_at < $1 and d.error is null and d.id <> all(array(
        select q.delivery_id from pause_status.webhook_queue q where q.status = 'pending' and q.delivery_id is not null
      ))
      order by d.dispatched_at $query$),
    -- Its only index is the one of runid, so each round reads the table: about 0.1 s for a million rows. A run that a
    -- crash cut off has no end, and perhaps not even a start: then it is as old as the runs around it.
    ('cron.job_run_details', 'runid', '7 days', 20, $query$
      select r.runid from cron.job_run_details r
      where (
        coalesce(r.end_time, r.start_time) < $1 or r.end_time is null and r.start_time is null
          and r.runid < (select max(o.runid) from cron.job_run_details o where o.start_time < $1)
      ) and (
        r.jobid = any(array(select j.jobid from cron.job j where j.jobname like 'pause-status-%'))
        or r.command = any(array(select j.command from cron.job j where j.jobname like 'pause-status-%'))
      ) $query$)
$$;
comment on function pause_status.old_rows() is
  'What retention deletes: the rows of a relation whose key the query finds, older than its $1. Keep is how long they '
  'are kept, null for settings.retention_days; rounds is how many batches one run deletes at most.';

create or replace function pause_status.forget(
  relation text, key text, query text, older_than timestamptz, batch integer, out deleted integer, out problem text
)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
-- Looks a batch up instead of joining whole tables: 55 ms instead of 580 beside a million events.
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  failed integer := 0;
  found_key text;
begin
  execute format(
    'delete from %s t where t.%I = any(array(select c.key from (%s) c (key) limit $2))', relation, key, query
  ) using older_than, batch;
  get diagnostics deleted = row_count;
exception
  when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
    deleted := 0;
    problem := relation || ': ' || sqlerrm;
  when others then
    -- One row that cannot go must not keep the others.
    deleted := 0;
    for found_key in execute format('select c.key::text from (%s) c (key)', query) using older_than loop
      begin
        execute format('delete from %s t where t.%I = %L', relation, key, found_key);
        deleted := deleted + 1;
      exception when others then
        failed := failed + 1;
        problem := coalesce(problem, format('%s %s: %s', relation, found_key, sqlerrm));
      end;
      exit when deleted >= batch or failed >= 1000;
    end loop;
end
$$;
comment on function pause_status.forget(text, text, text, timestamptz, integer) is
  'Deletes a batch of what the query finds, row by row if it fails as a whole; returns how many rows, and the first error.';

create or replace function pause_status.forget_mentors(mentor_ids uuid[])
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set jit = off
as $$
declare
  held uuid[];
  gone uuid[];
begin
  -- As long as its state is locked, nobody queues an event for a mentor.
  held := array(
    select s.mentor_id
    from pause_status.mentor_states s
    where s.mentor_id = any(mentor_ids)
      -- Or a change of the profile would wait for us.
      and not exists (select from public.peer_mentor_profiles p where p.id = s.mentor_id)
    order by s.mentor_id
    for update skip locked
  );
  gone := array(
    select m.id
    from unnest(mentor_ids) as m (id)
    where not exists (select from public.peer_mentor_profiles p where p.id = m.id)
      and not exists (select from pause_status.webhook_queue q where q.mentor_id = m.id)
      and (m.id = any(held) or not exists (select from pause_status.mentor_states s where s.mentor_id = m.id))
  );
  delete from pause_status.mentor_states s where s.mentor_id = any(gone);
  -- With the versions: whoever gets the id again starts at 1, and must not count as superseded.
  delete from pause_status.orchestrated_mentors m where m.mentor_id = any(gone);
  delete from pause_status.rechecks r where r.mentor_id = any(gone);
  return cardinality(gone);
end
$$;
comment on function pause_status.forget_mentors(uuid[]) is
  'Forgets those of the mentors who have neither a profile nor an event; returns how many.';

create or replace function pause_status.gone_mentors(at_most integer)
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
  return array(
    with orphans as materialized (
      select m.mentor_id
      from (
        select s.mentor_id from pause_status.mentor_states s
        union
        -- A late call of the orchestrator for an erased event leaves a zero.
        select o.mentor_id from pause_status.orchestrated_mentors o where o.version = 0
      ) as m
      where not exists (select from public.peer_mentor_profiles p where p.id = m.mentor_id)
        -- An empty table is perhaps about to be loaded again.
        and exists (select from public.peer_mentor_profiles)
    )
    select o.mentor_id
    from orphans o
    where not exists (select from pause_status.webhook_queue q where q.mentor_id = o.mentor_id)
    limit at_most
  );
end
$$;
comment on function pause_status.gone_mentors(integer) is 'Mentors who have neither a profile nor an event any more.';

create or replace function pause_status.forget_settled()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  batch integer := coalesce((select s.retention_batch_size from pause_status.settings s), 5000);
  days integer := coalesce((select s.retention_days from pause_status.settings s), 30);
  part record;
  done record;
  total integer := 0;
  problem text;
begin
  for part in select * from pause_status.old_rows() loop
    for round in 1 .. part.rounds loop
      begin
        select f.deleted, f.problem
        into strict done
        from pause_status.forget(
          part.relation, part.key, part.query,
          clock_timestamp() - coalesce(part.keep, make_interval(days => days)), batch
        ) f;
        total := total + done.deleted;
        problem := coalesce(problem, done.problem);
        exit when done.deleted < batch or done.problem is not null;
      exception when others then
        problem := coalesce(problem, part.relation || ': ' || sqlerrm);
        exit;
      end;
    end loop;
  end loop;

  begin
    total := total + pause_status.forget_mentors(pause_status.gone_mentors(batch));
  exception when others then
    problem := coalesce(problem, 'mentors who are gone: ' || sqlerrm);
  end;
  perform pause_status.beat('retention', problem);
  return total;
end
$$;
comment on function pause_status.forget_settled() is
  'Deletes a batch of what was settled longer than settings.retention_days ago; returns how many rows. Open dead '
  'letters, unsettled events and events that reached nobody are never deleted. A part that fails does not stop the others.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-retention', '*/10 * * * *', 'select pause_status.forget_settled()');
