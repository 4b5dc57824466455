-- Purpose: the orchestrator's transaction: one notification per coordinator, once per event, in order per mentor.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Also drops the functions that use it; they are created again below.
drop type if exists outbox.pause_event cascade;
create type outbox.pause_event as (
  place bigint,
  problem text,
  event_id uuid,
  mentor_id text,
  transition text,
  version bigint,
  forced boolean,
  fingerprint text
);
comment on type outbox.pause_event is 'An element of an array of PauseEvents, or what is wrong with it.';

create or replace function outbox.read_pause_event(event jsonb, place bigint) returns outbox.pause_event
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  reading outbox.pause_event;
begin
  reading.place := place;
  reading.mentor_id := outbox.mentor_id(event ->> 'mentorId');
  reading.problem := 'the event is malformed: ' || nullif(concat_ws('; ',
    outbox.shape_problem(event, '{
      "eventId": "uuid", "occurredAt": "text", "source": {"enum": ["outbox", "webhook"]}, "version": "version?",
      "force": "boolean?"
    }'),
    case when event ->> 'source' = 'outbox' and event ->> 'version' is null
      then 'version must be given when source is outbox' end,
    case when jsonb_typeof(event -> 'mentorId') is distinct from 'string' or reading.mentor_id is null
      then 'mentorId must be the id of a mentor' end,
    case when (event -> 'transition', event -> 'oldStatus', event -> 'newStatus') not in (
      ('"PAUSE"', '"active"', '"paused"'), ('"RESUME"', '"paused"', '"active"')
    ) is not false then 'transition must be PAUSE (active to paused) or RESUME (paused to active)' end
  ), '');
  if reading.problem is not null then
    return reading;
  end if;

  reading.event_id := event ->> 'eventId';
  reading.transition := event ->> 'transition';
  -- Only the outbox assigns versions; any other number would disturb the mentor's order.
  reading.version := case event ->> 'source' when 'outbox' then event ->> 'version' end;
  reading.forced := event @> '{"force": true}';
  reading.fingerprint := outbox.fingerprint(event || jsonb_build_object(
    'topic', 'pause-status', 'key', reading.mentor_id, 'version', reading.version
  ));
  return reading;
end
$$;
comment on function outbox.read_pause_event(jsonb, bigint) is 'A PauseEvent, or everything wrong with it.';

create or replace function outbox.mentors_of(user_id uuid) returns setof text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select c.mentor_id::text
  from public.mentor_coordinators c
  where c.coordinator_id = user_id and c.mentor_id is not null;
end
$$;
comment on function outbox.mentors_of(uuid) is 'The mentors of a coordinator, whose events they may see.';

create or replace function outbox.notification_id(event_id uuid, coordinator_id uuid) returns uuid
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return encode(substr(sha256(uuid_send(event_id) || uuid_send(coordinator_id)), 1, 16), 'hex')::uuid;
end
$$;
comment on function outbox.notification_id(uuid, uuid) is 'Always the same, so that a receipt can name it in advance.';

create or replace function outbox.take_turns(readings outbox.pause_event[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
begin
  insert into outbox.handled_keys (topic, key, version)
  select distinct 'pause-status', r.mentor_id, 0
  from unnest(readings) r
  where r.version is not null
  order by r.mentor_id
  on conflict do nothing;

  perform
  from outbox.handled_keys m
  where m.topic = 'pause-status'
    and m.key = any(array(select r.mentor_id from unnest(readings) r where r.version is not null))
  order by m.key
  for update;
end
$$;
comment on function outbox.take_turns(outbox.pause_event[]) is
  'Lets only one caller at a time notify about a mentor, because two could write in either order.';

create or replace function outbox.notify(readings outbox.pause_event[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  told_event_ids uuid[];
begin
  -- One statement, so that a receipt names exactly those notified: coordinators may change between two statements.
  with given as materialized (
    select distinct on (r.event_id) r.*, array(
      select distinct c.id
      from public.mentor_coordinators mc
      join public.coordinators c on c.id = mc.coordinator_id
      where mc.mentor_id = outbox.mentor_id(r.mentor_id)
    ) as coordinator_ids
    from unnest(readings) r
    where r.problem is null
    order by r.event_id, r.place
  ), kept as (
    -- A second caller with the same key waits here for the first one's commit. Its answer is the first one's receipt,
    -- unless that one notified nobody.
    insert into outbox.receipts as o (event_id, fingerprint, receipt)
    select g.event_id, g.fingerprint, jsonb_build_object(
      'eventId', g.event_id, 'mentorId', g.mentor_id, 'transition', g.transition,
      'notified', cardinality(g.coordinator_ids),
      'notificationIds', array(select outbox.notification_id(g.event_id, c) from unnest(g.coordinator_ids) c order by 1)
    )
    from given g
    left join outbox.handled_keys m on m.topic = 'pause-status' and m.key = g.mentor_id
    where g.version is null or g.forced or g.version >= m.version
    order by g.event_id
    on conflict (event_id) do update
    set receipt = excluded.receipt, created_at = excluded.created_at
    where o.fingerprint = excluded.fingerprint
      and o.receipt -> 'transition' = excluded.receipt -> 'transition'
      and o.receipt -> 'notified' = '0'
      and excluded.receipt -> 'notified' <> '0'
    returning event_id
  ), told as materialized (
    select g.* from given g where g.event_id = any(array(select k.event_id from kept k))
  ), written as (
    -- In the order of versions, so that who reads by time reads the mentor's order. On conflict: the key may have been
    -- forgotten by retention, the notification is not.
    insert into public.notifications (id, event_id, mentor_id, coordinator_id, transition, version)
    select outbox.notification_id(t.event_id, c), t.event_id, outbox.mentor_id(t.mentor_id), c, t.transition, t.version
    from told t
    cross join unnest(t.coordinator_ids) c
    order by t.mentor_id, t.version, c
    on conflict (event_id, coordinator_id) do nothing
  ), raised as (
    update outbox.handled_keys m
    set version = highest.version
    from (select t.mentor_id, max(t.version) as version from told t group by t.mentor_id) as highest
    where m.topic = 'pause-status' and m.key = highest.mentor_id and m.version < highest.version
  )
  select array_agg(k.event_id) into told_event_ids from kept k;
  return told_event_ids;
end
$$;
comment on function outbox.notify(outbox.pause_event[]) is
  'Notifies the coordinators of each event that has notified nobody, unless it is superseded; returns these events.';

create or replace function public.pause_status_notify(events jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  readings outbox.pause_event[];
  told_event_ids uuid[];
begin
  perform outbox.require_array(events, 'events');
  readings := array(
    select outbox.read_pause_event(e.event, e.place) from jsonb_array_elements(events) with ordinality e (event, place)
  );
  perform outbox.take_turns(readings);
  told_event_ids := outbox.notify(readings);

  return (
    select coalesce(jsonb_agg(
      jsonb_build_object('eventId', coalesce(to_jsonb(r.event_id), events -> (r.place - 1)::integer -> 'eventId')) || case
        when r.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', r.problem)
        when o.event_id is null then jsonb_build_object('outcome', 'superseded')
        when o.fingerprint = r.fingerprint and o.receipt ->> 'transition' = r.transition then
          jsonb_build_object('outcome', 'notified', 'receipt', o.receipt, 'replayed', r.is_told is not true)
        -- An erased event's key is kept without its contents.
        when outbox.is_concealed_as(r.fingerprint, o.fingerprint) then
          jsonb_build_object('outcome', 'notified', 'receipt', o.receipt, 'replayed', true)
        else jsonb_build_object('outcome', 'payload_mismatch')
      end
      order by r.place
    ), '[]')
    from (
      -- Of two equal ones, the first was notified.
      select g.*, g.event_id = any(told_event_ids) and g.place = min(g.place) over (partition by g.event_id) as is_told
      from unnest(readings) g
    ) r
    -- The limit keeps the planner from reading the whole table.
    left join lateral (select * from outbox.receipts known where known.event_id = r.event_id limit 1) as o on true
  );
end
$$;
comment on function public.pause_status_notify(jsonb) is
  'Notifies the coordinators of an array of PauseEvents, in one transaction and once per event id. Answers in the same '
  'order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded '
  '(a later version of the key was notified, and the event has no force) or invalid (message). A receipt with notified '
  '0 is replaced once there is somebody to notify.';
revoke all on function public.pause_status_notify(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_notify(jsonb) to service_role;
