-- Purpose: the fast path: what a transaction queued is sent when it commits.
-- Locks:   pause_status.webhook_queue, access exclusive, for an instant.
-- Undo:    drop trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue;
--          drop function pause_status.dispatch_at_commit().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.dispatch_at_commit()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  reason text;
begin
  -- A restored row: whoever restores decides what is sent.
  if new.created_at < now() then
    return null;
  end if;

  -- Nothing is read from the outbox here: a serializable transaction would conflict with those of other mentors.
  -- One wait for a lock is enough for a transaction.
  if current_setting('pause_status.refused', true) = 'yes' then
    reason := 'another request of the same transaction was refused';
  else
    begin
      perform pause_status.post(new.delivery_id, new.leads);
      return null;
    exception when others then
      reason := sqlerrm;
      perform set_config('pause_status.refused', 'yes', true);
      raise warning 'changes of mentors wait for the sweep: %', reason;
    end;
  end if;

  begin
    insert into pause_status.deliveries (id, error, event_ids)
    select new.delivery_id, pause_status.shorten(reason), array_agg((e.id #>> '{}')::uuid)
    from jsonb_path_query(new.leads, '$[*].event_id') as e (id);
  exception when others then
    raise warning 'changes of mentors wait for the sweep: %', sqlerrm;
  end;
  return null;
end
$$;
comment on function pause_status.dispatch_at_commit() is
  'Posts the request that an event leads, with the rights of the outbox, not of the writer. Never raises.';

-- At the commit, so that the signature is fresh however long the transaction was.
drop trigger if exists webhook_queue_dispatch_at_commit on pause_status.webhook_queue;
create constraint trigger webhook_queue_dispatch_at_commit
  after insert on pause_status.webhook_queue
  deferrable initially deferred
  for each row
  when (new.leads is not null and new.status = 'pending')
  execute function pause_status.dispatch_at_commit();
comment on trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue is
  'The fast path. What it misses, the sweep sends.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
