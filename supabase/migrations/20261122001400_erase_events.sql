-- Purpose: erases a settled event with all that was kept about it, but for what keeps it from being notified again.
-- Locks:   none on existing tables.
-- Undo:    drop function public.outbox_erase(text, uuid), outbox.erase(uuid),
--          outbox.erase_traces(uuid, text, text), outbox.strike(text[]), outbox.erase_from_net(uuid, text).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.erase_from_net(event_id uuid, key text)
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
          -- As the topic's replies name it, or the engine's.
          or strpos(named.content, 'Id":' || to_json(key)) > 0 or strpos(named.content, '"key":' || to_json(key)) > 0
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
          and exists (select from outbox.deliveries d where d.request_id = named.id)
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
comment on function outbox.erase_from_net(uuid, text) is
  'Deletes pg_net''s answers that name an event, or a key unless that is null, and our requests that wait with the '
  'event; returns their ids. Never raises.';

create or replace function outbox.strike(names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  name text;
begin
  foreach name in array names loop
    update outbox.heartbeats h
    set last_error = replace(h.last_error, name, '(erased)')
    where strpos(h.last_error, name) > 0;
    update outbox.alerts a
    set detail = replace(a.detail, name, '(erased)')
    where strpos(a.detail, name) > 0;
  end loop;
end
$$;
comment on function outbox.strike(text[]) is 'Takes ids out of the errors of jobs and out of alerts.';

create or replace function outbox.erase_traces(event_id uuid, topic text, key text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  was_last constant boolean :=
    not exists (select from outbox.events q where q.topic = erase_traces.topic and q.key = erase_traces.key);
  requests bigint[];
begin
  perform outbox.strike(array[event_id::text] || case when was_last then array[key] end);
  requests := outbox.erase_from_net(event_id, case when was_last then key end);
  -- Other events that travelled in these requests go again, without counting a failure.
  perform outbox.withdraw(array(
    select q.event_id
    from outbox.deliveries d
    join outbox.events q on q.delivery_id = d.id and q.status = 'pending'
    where d.request_id = any(requests)
    for update of q skip locked
  ));
  -- Nor is the body of a request needed that its commit has posted, which another event leads.
  update outbox.events q
  set leads = null
  where q.event_id = any(array(
    select leader.event_id
    from outbox.events leader
    where leader.status = 'pending'
      and leader.delivery_id is not null
      and leader.leads @> jsonb_build_array(jsonb_build_object('event_id', erase_traces.event_id))
    for update skip locked
  ));
  delete from outbox.deliveries d where d.id = erase_traces.event_id;
  update outbox.deliveries d
  set event_ids = array_remove(d.event_ids, erase_traces.event_id)
  where d.error is not null and erase_traces.event_id = any(d.event_ids);

  if was_last then
    -- Fails if the table has another shape by now: that must not keep the event.
    perform outbox.attempt(format('select outbox.forget_keys(%L, array[%L])', topic, key));
  end if;
end
$$;
comment on function outbox.erase_traces(uuid, text, text) is
  'Erases what names an event outside of its own rows, and the key if that was its last event and its row is gone.';

create or replace function outbox.erase(event_id uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  settled outbox.events;
begin
  select q.* into settled from outbox.events q where q.event_id = erase.event_id for update;
  if not found then
    return jsonb_build_object('outcome', case
      when exists (select from outbox.erased e where e.event_id = erase.event_id) then 'erased'
      else 'unknown'
    end);
  elsif settled.status in ('pending', 'processing') or exists (
    select
    from outbox.dead_letters d
    where d.id = settled.dead_letter_id and d.resolution is null
  ) then
    return jsonb_build_object('outcome', 'not_settled');
  end if;

  insert into outbox.erased (event_id, fingerprint)
  values (settled.event_id, outbox.conceal(outbox.fingerprint(settled)));

  -- The idempotency key stays, even where there was none: a function that was only slow must not notify anybody now.
  insert into outbox.receipts as o (event_id, fingerprint, receipt)
  values (settled.event_id, outbox.conceal(outbox.fingerprint(settled)), '{"erased": true}')
  on conflict on constraint receipts_pkey do update
  set fingerprint = excluded.fingerprint, receipt = excluded.receipt, created_at = clock_timestamp();

  delete from outbox.attempts a where a.event_id = settled.event_id;
  delete from outbox.events q where q.event_id = settled.event_id;
  perform outbox.erase_traces(settled.event_id, settled.topic, settled.key);
  return jsonb_build_object('outcome', 'erased');
end
$$;
comment on function outbox.erase(uuid) is
  'Erases a settled event with its attempts, receipt and dead letters, and leaves a tombstone: erased (also '
  'when it was before), not_settled (pending, processing, or its dead letter is open) or unknown. What a topic '
  'wrote elsewhere stays.';

create or replace function public.outbox_erase(topic text, event_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
begin
  return case when outbox.is_of(topic, event_id) then outbox.erase(event_id) else jsonb '{"outcome": "unknown"}' end;
end
$$;
comment on function public.outbox_erase(text, uuid) is 'outbox.erase(): erased, not_settled or unknown.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_erase(text, uuid) from public, anon, authenticated;
grant execute on function public.outbox_erase(text, uuid) to service_role;

notify pgrst, 'reload schema';
