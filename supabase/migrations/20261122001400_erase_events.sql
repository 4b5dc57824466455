-- Purpose: erases a settled event and everything kept about it, except what prevents a second notification.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.erase_from_net(event_id uuid, key text) returns bigint[]
-- Any role can lock pg_net's tables, and erasing must not wait for that.
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set jit = off as $$
declare
  answered bigint[];
  waiting bigint[];
begin
  answered := array(
    select r.id
    from net._http_response r
    where strpos(concat(r.content, r.headers), event_id::text) > 0
      -- By the name in the topic's replies, or in the engine's.
      or strpos(r.content, 'Id":' || to_json(key)) > 0 or strpos(r.content, '"key":' || to_json(key)) > 0
    for update skip locked
  );
  waiting := array(
    select r.id
    from net.http_request_queue r
    -- Keeps those of the project's other webhooks, which nobody would send again.
    join outbox.deliveries d on d.request_id = r.id
    where position(convert_to(event_id::text, 'UTF8') in r.body) > 0
    -- Skips what pg_net is sending.
    for update of r skip locked
  );
  delete from net._http_response r where r.id = any(answered);
  delete from net.http_request_queue r where r.id = any(waiting);
  return answered || waiting;
exception when others then
  raise warning 'pg_net keeps the event''s requests and answers until it deletes them itself: %', sqlerrm;
  return '{}';
end
$$;
comment on function outbox.erase_from_net(uuid, text) is
  'Deletes pg_net''s answers that name an event or a key, and our waiting requests with the event; returns their ids.';

create or replace function outbox.erase_traces(event_id uuid, topic text, key text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  event constant uuid := event_id;
  requests bigint[];
  name text;
begin
  foreach name in array array_remove(array[event::text, key], null) loop
    update outbox.heartbeats set last_error = replace(last_error, name, '(erased)') where strpos(last_error, name) > 0;
    update outbox.alerts set detail = replace(detail, name, '(erased)') where strpos(detail, name) > 0;
  end loop;

  requests := outbox.erase_from_net(event, key);
  -- Other events in these requests are sent again, which does not count as a failure.
  perform outbox.withdraw(array(
    select q.event_id
    from outbox.deliveries d
    join outbox.events q on q.delivery_id = d.id and q.status = 'pending'
    where d.request_id = any(requests)
    for update of q skip locked
  ));
  -- The commit has posted this body, which belongs to another event, so it is no longer needed.
  update outbox.events q
  set leads = null
  where q.event_id = any(array(
    select leader.event_id
    from outbox.events leader
    where leader.status = 'pending' and leader.delivery_id is not null
      and leader.leads @> jsonb_build_array(jsonb_build_object('event_id', event))
    for update skip locked
  ));
  delete from outbox.deliveries where id = event;
  update outbox.deliveries set event_ids = array_remove(event_ids, event)
  where error is not null and event = any(event_ids);

  if key is not null then
    -- Fails if pg_cron's table has changed, which must not prevent the erasing.
    perform outbox.attempt(format('select outbox.forget_keys(%L, %L)', topic, key));
  end if;
end
$$;
comment on function outbox.erase_traces(uuid, text, text) is
  'Erases what names an event outside of its own rows, and what names its key if given.';

create or replace function public.outbox_erase(topic text, event_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
  event outbox.events;
begin
  select q.* into event from outbox.events q
  where q.event_id = outbox_erase.event_id and q.topic = outbox_erase.topic for update;
  if not found and exists (select from outbox.erased e where e.event_id = outbox_erase.event_id) then
    return '{"outcome": "erased"}';
  elsif not found then
    return '{"outcome": "unknown"}';
  elsif event.status in ('pending', 'processing')
    or exists (select from outbox.dead_letters d where d.id = event.dead_letter_id and d.resolution is null) then
    return '{"outcome": "not_settled"}';
  end if;

  insert into outbox.erased (event_id, fingerprint)
  values (event.event_id, outbox.conceal(outbox.fingerprint(event)));
  -- The idempotency key stays, or is added: a function that was only slow must not notify anybody now.
  insert into outbox.receipts (event_id, fingerprint, receipt)
  values (event.event_id, outbox.conceal(outbox.fingerprint(event)), '{"erased": true}')
  on conflict on constraint receipts_pkey do update
  set fingerprint = excluded.fingerprint, receipt = excluded.receipt, created_at = clock_timestamp();
  delete from outbox.attempts a where a.event_id = event.event_id;
  delete from outbox.events q where q.event_id = event.event_id;
  perform outbox.erase_traces(event.event_id, event.topic, case
    -- Other events of the key still need it.
    when not exists (select from outbox.events q where q.topic = event.topic and q.key = event.key) then event.key
  end);
  return '{"outcome": "erased"}';
end
$$;
comment on function public.outbox_erase(text, uuid) is
  'Erases a settled event and its history, and leaves a tombstone. Returns erased, not_settled or unknown.';

create or replace function outbox.erase(event_id uuid) returns jsonb
language sql set search_path = pg_catalog, pg_temp as $$
  select public.outbox_erase((select q.topic from outbox.events q where q.event_id = erase.event_id), event_id)
$$;
comment on function outbox.erase(uuid) is 'outbox_erase() for any topic.';

revoke all on function public.outbox_erase(text, uuid) from public, anon, authenticated;
grant execute on function public.outbox_erase(text, uuid) to service_role;
