-- Purpose: a completed event whose work failed later, outside, becomes a dead letter; a redrive says that it is one.
-- Locks:   access exclusive on outbox.events for an instant: a column with a constant default rewrites nothing.
-- Undo:    drop function public.outbox_fail(text, uuid, text, jsonb); drop trigger events_count_redrives on
--          outbox.events; drop function outbox.count_redrive(); restore outbox.body() of sign_deliveries;
--          alter table outbox.events drop column redrives;

select pg_advisory_xact_lock(hashtext('outbox migrations'));

alter table outbox.events add column if not exists redrives integer not null default 0;
comment on column outbox.events.redrives is
  'How often it was sent again after it had ended: part of the key of work that is started outside.';

create or replace function outbox.count_redrive() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.redrives := old.redrives + 1;
  return new;
end
$$;
comment on function outbox.count_redrive() is 'Counts that an event which had ended is pending again.';

create or replace trigger events_count_redrives before update of status on outbox.events
  for each row when (old.status in ('completed', 'failed') and new.status = 'pending')
  execute function outbox.count_redrive();

create or replace function outbox.body(event outbox.events) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  -- Null when nobody watches it any more.
  relation constant text[] := (select parse_ident(t.relation) from outbox.topics t where t.topic = event.topic);
begin
  return jsonb_build_object(
    'topic', event.topic, 'type', event.type, 'event_id', event.event_id, 'record', event.record,
    'old_record', event.old_record, 'timestamp', coalesce(event.occurred_as, outbox.iso(event.occurred_at)),
    'traceparent', outbox.traceparent(event.event_id, event.traceparent)
  )
    || case when relation is null then '{}' else jsonb_build_object('schema', relation[1], 'table', relation[2]) end
    || case when event.version is null then '{}' else jsonb_build_object('version', event.version) end
    || case when event.redrives = 0 then '{}' else jsonb_build_object('redrive', event.redrives) end
    || case when event.forced then jsonb '{"force": true}' else '{}' end;
end
$$;
comment on function outbox.body(outbox.events) is
  'What is sent for an event: the same each time, until it is redriven.';

create or replace function public.outbox_fail(topic text, event_id uuid, message text, receipt jsonb default '{}')
returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
begin
  select q.* into event
  from outbox.events q
  where q.event_id = outbox_fail.event_id and q.topic = outbox_fail.topic
  for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif event.status = 'failed' then
    return jsonb_build_object('outcome', 'already_failed');
  elsif event.status in ('pending', 'processing') then
    -- The work ended before its receipt arrived here, or it was started twice.
    return jsonb_build_object(
      'outcome', 'in_flight',
      'retryAfterSeconds', outbox.seconds_until(coalesce(event.lease_expires_at, clock_timestamp()))
    );
  elsif not event.receipt @> coalesce(outbox_fail.receipt, '{}') then
    return jsonb_build_object('outcome', 'stale');
  end if;

  perform outbox.end_attempts(jsonb_build_array(jsonb_build_object(
    'event_id', event.event_id, 'outcome', 'permanent', 'message', coalesce(message, 'its work failed')
  )));
  return jsonb_build_object('outcome', 'failed');
end
$$;
comment on function public.outbox_fail(text, uuid, text, jsonb) is
  'Makes a completed event a dead letter, because the work that was started for it has failed: failed, already_failed, '
  'in_flight (it is not settled yet: ask again after retryAfterSeconds), stale (its receipt does not contain the one '
  'given: other work was started for it since) or unknown.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_fail(text, uuid, text, jsonb) from public, anon, authenticated;
grant execute on function public.outbox_fail(text, uuid, text, jsonb) to service_role;
