-- Purpose: the fast path: what a transaction queued is sent when it commits.
-- Locks:   pause_status.webhook_queue, access exclusive, for an instant.
-- Undo:    drop trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue; then drop function
--          pause_status.dispatch_at_commit(), pause_status.dispatch_transaction(), pause_status.take_back().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.take_back()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  with mine as materialized (
    select q.event_id, q.request_id
    from pause_status.webhook_queue q
    cross join (
      select make_interval(secs => s.acknowledge_timeout_seconds) as acknowledge_timeout from pause_status.settings s
    ) as s
    where q.status = 'pending'
      and q.delivery_id is not null
      and q.next_attempt_at between now() + s.acknowledge_timeout and clock_timestamp() + s.acknowledge_timeout
      and q.queued_by = pg_current_xact_id()
  ), withdrawn as (
    delete from net.http_request_queue r
    where r.id in (select m.request_id from mine m)
  )
  update pause_status.webhook_queue q
  set
    attempts = q.attempts - 1,
    last_dispatched_at = null,
    dispatch_reason = nullif(q.dispatch_reason, 'commit'),
    delivery_id = null,
    request_id = null,
    next_attempt_at = clock_timestamp()
  from mine m
  where q.event_id = m.event_id;
exception when others then
  raise warning 'requests of a long transaction may come with an old signature, and be sent again: %', sqlerrm;
end
$$;
comment on function pause_status.take_back() is
  'Makes the events due again that the current transaction has handed to pg_net, which has not seen them yet. '
  'Never raises.';

create or replace function pause_status.dispatch_transaction()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
-- The commit of a change of a profile may wait for a settle, but not for one that hangs.
set lock_timeout = '2s'
as $$
declare
  event_ids uuid[];
  mentor_ids uuid[];
begin
  -- At most 10,000, because the writer waits for it; the sweep sends the rest.
  select array_agg(mine.event_id), array_agg(mine.mentor_id) into event_ids, mentor_ids
  from (
    select q.event_id, q.mentor_id
    from pause_status.webhook_queue q
    where q.status = 'pending'
      and q.next_attempt_at between now() and clock_timestamp()
      and q.queued_by = pg_current_xact_id()
      and q.delivery_id is null
    order by q.next_attempt_at
    limit 10000
  ) as mine;

  begin
    -- The share locks wait for settles that are under way. Without them, an event that commits while its predecessor
    -- is being settled would be seen by neither side, and wait for the sweep.
    perform
    from pause_status.webhook_queue earlier
    where earlier.mentor_id = any(mentor_ids)
      and earlier.status in ('pending', 'processing')
      and earlier.queued_by is distinct from pg_current_xact_id()
    order by earlier.event_id
    for share;
  exception when others then
    -- Somebody else is at a predecessor: it may still be unsettled, then its successor stays due for the sweep.
    null;
  end;
  perform pause_status.dispatch(event_ids, 'commit');
end
$$;
comment on function pause_status.dispatch_transaction() is
  'Dispatches what the current transaction queued, once its mentors'' earlier events have been settled or have not.';

create or replace function pause_status.dispatch_at_commit()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The first of a transaction's events takes all the others along; for those it leaves a mark. A text of fixed form,
  -- because the session's formats are not ours and a cast of what somebody else wrote there could fail.
  if to_char(new.created_at at time zone 'UTC', 'YYYYMMDDHH24MISSUS') collate "C"
    <= coalesce(current_setting('pause_status.dispatched_until', true), '')
  then
    return null;
  end if;

  if clock_timestamp() - now() > interval '1 minute' then
    -- What a large update handed over when it was made was signed then, and a signature is good for five minutes.
    perform pause_status.take_back();
  elsif new.delivery_id is not null then
    -- Of a large update that has left the commit nothing.
    return null;
  end if;
  perform set_config(
    'pause_status.dispatched_until', to_char(clock_timestamp() at time zone 'UTC', 'YYYYMMDDHH24MISSUS'), true
  );
  perform pause_status.dispatch_transaction();
  return null;
end
$$;
comment on function pause_status.dispatch_at_commit() is
  'Dispatches what a transaction queued when it commits, with the rights of the outbox, not of the writer.';

-- Deferred to the commit, so that the signature's timestamp is fresh however long the transaction was, so that what its
-- statements queued travels together, and so that the question who is first in the mentor's line is asked after
-- everything that was settled meanwhile.
drop trigger if exists webhook_queue_dispatch_at_commit on pause_status.webhook_queue;
create constraint trigger webhook_queue_dispatch_at_commit
  after insert on pause_status.webhook_queue
  deferrable initially deferred
  for each row
  when (new.leads and new.source = 'outbox' and new.status = 'pending')
  execute function pause_status.dispatch_at_commit();
comment on trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue is
  'The fast path. What it misses, the sweep sends.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
