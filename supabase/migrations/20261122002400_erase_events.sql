-- Purpose: erases a settled event with all that was kept about it, but for the identity that keeps it from coming again.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_erase(uuid), pause_status.erase(uuid).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.erase(event_id uuid)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  settled pause_status.webhook_queue;
begin
  select q.* into settled from pause_status.webhook_queue q where q.event_id = erase.event_id for update;
  if not found then
    return jsonb_build_object('outcome', case
      when exists (select from pause_status.erased_events e where e.event_id = erase.event_id) then 'erased'
      else 'unknown'
    end);
  elsif settled.status in ('pending', 'processing') or exists (
    select
    from pause_status.dead_letter_queue d
    where d.id = settled.dead_letter_id and d.resolution is null
  ) then
    return jsonb_build_object('outcome', 'not_settled');
  end if;

  insert into pause_status.erased_events (event_id, fingerprint)
  values (settled.event_id, pause_status.conceal(settled.fingerprint));

  -- The orchestrator's key stays, even where there was none: a handler that was only slow must not tell anybody now.
  insert into pause_status.orchestrations as o (event_id, fingerprint, receipt)
  values (settled.event_id, pause_status.conceal(settled.fingerprint), '{"erased": true}')
  on conflict on constraint orchestrations_pkey do update
  set fingerprint = excluded.fingerprint, receipt = excluded.receipt, created_at = clock_timestamp();

  delete from pause_status.webhook_attempts a where a.event_id = settled.event_id;
  delete from pause_status.webhook_queue q where q.event_id = settled.event_id;
  return jsonb_build_object('outcome', 'erased');
end
$$;
comment on function pause_status.erase(uuid) is
  'Erases a settled event with its payload, attempts, receipt and dead letters, and leaves a tombstone: erased (also '
  'when it was before), not_settled (pending, processing, or its dead letter is open) or unknown. What coordinators '
  'were told stays in public.notifications.';

create or replace function public.pause_status_erase(event_id uuid)
returns jsonb
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
  select pause_status.erase(pause_status_erase.event_id)
$$;
comment on function public.pause_status_erase(uuid) is 'pause_status.erase(): erased, not_settled or unknown.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_erase(uuid) from public, anon, authenticated;
grant execute on function public.pause_status_erase(uuid) to service_role;

notify pgrst, 'reload schema';
