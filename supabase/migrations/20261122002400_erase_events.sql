-- Purpose: erases a settled event with all that was kept about it, but for the identity that keeps it from coming again.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_erase(uuid), pause_status.erase(uuid), pause_status.forget_mentor(uuid),
--          pause_status.forget_answers(uuid, uuid), pause_status.is_gone(uuid).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.is_gone(mentor_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return not exists (select from pause_status.webhook_queue q where q.mentor_id = is_gone.mentor_id)
    and not exists (select from public.peer_mentor_profiles p where p.id = is_gone.mentor_id);
exception when undefined_table or undefined_column or undefined_function then
  -- Where the profiles cannot be read, nobody is taken for gone.
  return false;
end
$$;
comment on function pause_status.is_gone(uuid) is 'Whether a mentor has neither a profile nor an event here.';

create or replace function pause_status.forget_mentor(mentor_id uuid)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- In the order of notify() and capture: mentors, then their states. A state that is locked is being brought back.
  perform from pause_status.orchestrated_mentors m where m.mentor_id = forget_mentor.mentor_id for update;
  perform from pause_status.mentor_states s where s.mentor_id = forget_mentor.mentor_id for update skip locked;
  if not found and exists (select from pause_status.mentor_states s where s.mentor_id = forget_mentor.mentor_id)
    or not pause_status.is_gone(mentor_id)
  then
    return false;
  end if;

  delete from pause_status.orchestrated_mentors m where m.mentor_id = forget_mentor.mentor_id;
  delete from pause_status.mentor_states s where s.mentor_id = forget_mentor.mentor_id;
  delete from pause_status.rechecks r where r.mentor_id = forget_mentor.mentor_id;
  update pause_status.alerts a
  set detail = replace(a.detail, mentor_id::text, '…')
  where a.detail like '%' || mentor_id || '%';
  update pause_status.heartbeats h
  set last_error = replace(h.last_error, mentor_id::text, '…')
  where h.last_error like '%' || mentor_id || '%';
  return true;
end
$$;
comment on function pause_status.forget_mentor(uuid) is
  'Deletes what is known of a mentor whose profile and events are gone; false, and nothing, for any other mentor.';

create or replace function pause_status.forget_answers(event_id uuid, mentor_id uuid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- Anybody may lock the tables of pg_net.
set lock_timeout = '200ms'
as $$
declare
  anywhere constant text := '%' || event_id || '%';
begin
  delete from net._http_response r
  where r.ctid = any(array(
    select named.ctid
    from net._http_response named
    where named.content like anywhere
      or named.headers::text like anywhere
      -- Other answers that name the mentor are somebody else's.
      or named.content like '%"mentorId":"' || mentor_id || '"%'
    for update skip locked
  ));
  delete from net.http_request_queue r
  where r.id = any(array(
    select named.id
    from net.http_request_queue named
    where position(convert_to(event_id::text, 'UTF8') in named.body) > 0
      -- Others may travel in the same request.
      and not exists (
        select
        from pause_status.webhook_queue other
        where other.status = 'pending' and other.delivery_id::text = named.headers ->> 'webhook-id'
      )
    for update skip locked
  ));
exception when others then
  -- pg_net itself forgets its answers after hours, and sends its requests.
  raise warning 'what pg_net has about the event % stays until pg_net forgets it: %', event_id, sqlerrm;
end
$$;
comment on function pause_status.forget_answers(uuid, uuid) is
  'Deletes what pg_net keeps of an event, and of a mentor unless that is null, where it may. Never raises or waits long.';

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

  -- As notify() locks them: the mentor before the event's key.
  perform from pause_status.orchestrated_mentors m where m.mentor_id = settled.mentor_id for update;
  insert into pause_status.erased_events (event_id, fingerprint)
  values (settled.event_id, pause_status.conceal(settled.fingerprint));
  -- The orchestrator's key stays, even where there was none: a handler that was only slow must not tell anybody now.
  insert into pause_status.orchestrations as o (event_id, fingerprint, receipt)
  values (settled.event_id, pause_status.conceal(settled.fingerprint), '{"erased": true}')
  on conflict on constraint orchestrations_pkey do update
  set fingerprint = excluded.fingerprint, receipt = excluded.receipt, created_at = clock_timestamp();

  delete from pause_status.webhook_attempts a where a.event_id = settled.event_id;
  delete from pause_status.webhook_queue q where q.event_id = settled.event_id;
  delete from pause_status.deliveries d where d.id = settled.event_id;
  -- Its commit has long posted the request that another event led.
  update pause_status.webhook_queue q
  set leads = null
  where q.event_id = any(array(
    select leader.event_id
    from pause_status.webhook_queue leader
    where leader.status = 'pending'
      and leader.leads @> jsonb_build_array(jsonb_build_object('event_id', settled.event_id))
    for update skip locked
  ));

  perform pause_status.forget_answers(
    settled.event_id, case when pause_status.is_gone(settled.mentor_id) then settled.mentor_id end
  );
  -- Last, because whoever brings the mentor back waits for it.
  perform pause_status.forget_mentor(settled.mentor_id);
  return jsonb_build_object('outcome', 'erased');
end
$$;
comment on function pause_status.erase(uuid) is
  'Erases a settled event with its payload, attempts, receipt and dead letters, and leaves a tombstone: erased (also '
  'when it was before), not_settled (pending, processing, or its dead letter is open) or unknown. With the last event '
  'of a mentor whose profile is gone, the mentor is forgotten. What coordinators were told stays in '
  'public.notifications.';

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
