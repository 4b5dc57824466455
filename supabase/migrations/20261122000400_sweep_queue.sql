-- Purpose: sends again what was not acknowledged, and what a claim left behind when its lease ran out.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-sweep'); drop function pause_status.sweep();
--          drop function pause_status.requests_waiting(integer);

create extension if not exists pg_cron with schema pg_catalog;

create or replace function pause_status.requests_waiting(at_most integer)
returns integer
language plpgsql
set search_path = ''
as $$
begin
  return (select count(*) from (select from net.http_request_queue limit at_most) as waiting);
exception when others then
  -- Without pg_net nothing waits; dispatch() says what to do about it.
  return 0;
end
$$;
comment on function pause_status.requests_waiting(integer) is
  'How many requests pg_net has not finished yet, counted no further than at_most.';

create or replace function pause_status.sweep()
returns integer
language plpgsql
set search_path = ''
as $$
declare
  settings pause_status.settings;
  due record;
  sent integer := 0;
begin
  select s.* into strict settings from pause_status.settings s;

  update pause_status.webhook_queue q
  set
    status = 'pending',
    lease_expires_at = null,
    next_attempt_at = case when q.source = 'outbox' then now() end,
    last_error = 'the lease ran out before the handler settled the event'
  where q.event_id in (
    select expired.event_id
    from pause_status.webhook_queue expired
    where expired.status = 'processing' and expired.lease_expires_at <= now()
    order by expired.lease_expires_at
    limit settings.sweep_batch_size
    for update skip locked
  );

  -- What still waits in pg_net is slow, not lost: sending it again would make the queue longer. One is always sent,
  -- so that other users of pg_net cannot silence the sweep.
  for due in
    select q.event_id
    from pause_status.webhook_queue q
    where q.status = 'pending'
      and q.next_attempt_at <= now()
      and not exists (
        select
        from pause_status.webhook_queue earlier
        where earlier.mentor_id = q.mentor_id
          and earlier.version < q.version
          and earlier.status in ('pending', 'processing')
      )
    order by q.next_attempt_at
    limit greatest(1, settings.sweep_batch_size - pause_status.requests_waiting(settings.sweep_batch_size))
    for update of q skip locked
  loop
    -- What stops one (no secret, no pg_net) stops all: the rest would only repeat the warning.
    exit when not pause_status.dispatch(due.event_id);
    sent := sent + 1;
  end loop;
  return sent;
end
$$;
comment on function pause_status.sweep() is
  'Takes back what expired leases held, then dispatches every due head of line; returns how many it sent.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

do $$
begin
  perform cron.schedule('pause-status-sweep', '5 seconds', 'select pause_status.sweep()');
exception when others then
  -- pg_cron before 1.5 knows no seconds.
  perform cron.schedule('pause-status-sweep', '* * * * *', 'select pause_status.sweep()');
end
$$;
