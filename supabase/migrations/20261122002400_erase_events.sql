-- Purpose: erases a settled event with all that was kept about it, but for what keeps it from being notified again.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_erase(uuid), pause_status.erase(uuid),
--          pause_status.erase_traces(uuid, uuid), pause_status.strike(text[]), pause_status.erase_from_net(uuid, uuid).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.erase_from_net(event_id uuid, mentor_id uuid)
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
-- Any role may lock pg_net's tables, and nobody waits for that.
set lock_timeout = '100ms'
set jit = off
as $$
declare
  answered bigint[];
  taken bigint[];
begin
  begin
    with gone as (
      delete from net._http_response r
      where r.ctid = any(array(
        select named.ctid
        from net._http_response named
        where strpos(concat(named.content, named.headers::text), event_id::text) > 0
          or strpos(named.content, '"mentorId":"' || mentor_id || '"') > 0
        for update of named skip locked
      ))
      returning r.id
    )
    select array_agg(g.id) into answered from gone g;
  exception when others then
    raise warning 'pg_net''s answers are kept, until it deletes them itself: %', sqlerrm;
  end;

  begin
    with gone as (
      delete from net.http_request_queue r
      where r.ctid = any(array(
        select named.ctid
        from net.http_request_queue named
        where position(convert_to(event_id::text, 'UTF8') in named.body) > 0
          -- Not those of the project's other webhooks: nobody would send them again.
          and exists (select from pause_status.deliveries d where d.request_id = named.id)
        -- Skips what pg_net is sending.
        for update of named skip locked
      ))
      returning r.id
    )
    select array_agg(g.id) into taken from gone g;
  exception when others then
    raise warning 'pg_net''s waiting requests are kept, until it has sent them: %', sqlerrm;
  end;
  return coalesce(answered, '{}') || coalesce(taken, '{}');
end
$$;
comment on function pause_status.erase_from_net(uuid, uuid) is
  'Deletes pg_net''s answers that name an event, or a mentor unless that is null, and our requests that wait with the '
  'event; returns their ids. Never raises.';

create or replace function pause_status.strike(names text[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
begin
  foreach name in array names loop
    update pause_status.heartbeats h
    set last_error = replace(h.last_error, name, '(erased)')
    where strpos(h.last_error, name) > 0;
    update pause_status.alerts a
    set detail = replace(a.detail, name, '(erased)')
    where strpos(a.detail, name) > 0;
  end loop;
end
$$;
comment on function pause_status.strike(text[]) is 'Takes ids out of the errors of jobs and out of alerts.';

create or replace function pause_status.erase_traces(event_id uuid, mentor_id uuid)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  was_last constant boolean :=
    not exists (select from pause_status.webhook_queue q where q.mentor_id = erase_traces.mentor_id);
  requests bigint[];
begin
  perform pause_status.strike(array[event_id::text] || case when was_last then array[mentor_id::text] end);
  requests := pause_status.erase_from_net(event_id, case when was_last then mentor_id end);
  -- Other events that travelled in these requests go again, without counting a failure.
  perform pause_status.withdraw(array(
    select q.event_id
    from pause_status.deliveries d
    join pause_status.webhook_queue q on q.delivery_id = d.id and q.status = 'pending'
    where d.request_id = any(requests)
    for update of q skip locked
  ));
  -- Nor is the body of a request needed that its commit has posted, which another event leads.
  update pause_status.webhook_queue q
  set leads = null
  where q.event_id = any(array(
    select leader.event_id
    from pause_status.webhook_queue leader
    where leader.status = 'pending'
      and leader.delivery_id is not null
      and leader.leads @> jsonb_build_array(jsonb_build_object('event_id', erase_traces.event_id))
    for update skip locked
  ));
  delete from pause_status.deliveries d where d.id = erase_traces.event_id;
  update pause_status.deliveries d
  set event_ids = array_remove(d.event_ids, erase_traces.event_id)
  where d.error is not null and erase_traces.event_id = any(d.event_ids);

  if was_last then
    -- Fails if the profiles have another shape by now: that must not keep the event.
    perform pause_status.attempt(format('select pause_status.forget_mentors(array[%L]::uuid[])', mentor_id));
  end if;
end
$$;
comment on function pause_status.erase_traces(uuid, uuid) is
  'Erases what names an event outside of its own rows, and the mentor if it was the last event of one without a profile.';

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

  -- The orchestrator's key stays, even where there was none: a handler that was only slow must not notify anybody now.
  insert into pause_status.orchestrations as o (event_id, fingerprint, receipt)
  values (settled.event_id, pause_status.conceal(settled.fingerprint), '{"erased": true}')
  on conflict on constraint orchestrations_pkey do update
  set fingerprint = excluded.fingerprint, receipt = excluded.receipt, created_at = clock_timestamp();

  delete from pause_status.webhook_attempts a where a.event_id = settled.event_id;
  delete from pause_status.webhook_queue q where q.event_id = settled.event_id;
  perform pause_status.erase_traces(settled.event_id, settled.mentor_id);
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
-- A transaction of somebody else that holds the mentor's state may be long.
set lock_timeout = '2s'
as $$
  select pause_status.erase(pause_status_erase.event_id)
$$;
comment on function public.pause_status_erase(uuid) is 'pause_status.erase(): erased, not_settled or unknown.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_erase(uuid) from public, anon, authenticated;
grant execute on function public.pause_status_erase(uuid) to service_role;

notify pgrst, 'reload schema';
