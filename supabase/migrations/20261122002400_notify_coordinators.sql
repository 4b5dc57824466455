-- Purpose: the orchestrator's transaction: one notification per coordinator, once per event, in order per mentor.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_notify(jsonb), outbox.notify(outbox.pause_event[]),
--          outbox.take_turns(outbox.pause_event[]), outbox.receipt(outbox.pause_event, uuid[]),
--          outbox.notification_id(uuid, uuid); drop function outbox.mentors_of(uuid),
--          outbox.read_pause_events(jsonb), outbox.is_mentor_id(text), outbox.pause_event_problem(jsonb),
--          outbox.mentor_id(text); drop type outbox.pause_event.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

do $$
begin
  if to_regtype('outbox.pause_event') is null then
    create type outbox.pause_event as (
      place integer,
      event_id_as_given jsonb,
      problem text,
      event_id uuid,
      mentor_id text,
      transition text,
      version bigint,
      forced boolean,
      fingerprint text
    );
    comment on type outbox.pause_event is 'What an element of an array of PauseEvents says, or what is wrong with it.';
  end if;

  -- Of the type that the mentors have in this project.
  drop function if exists outbox.mentor_id(text);
  execute format(
    $sql$create function outbox.mentor_id(value text) returns %s language plpgsql immutable
    set search_path = pg_catalog, pg_temp as $f$ begin return value; end $f$ $sql$,
    (
      select format_type(a.atttypid, null) from pg_attribute a
      where a.attrelid = 'public.mentor_coordinators'::regclass and a.attname = 'mentor_id'
    )
  );
end
$$;
comment on function outbox.mentor_id(text) is 'A key of the topic pause-status as an id of a mentor.';

create or replace function outbox.pause_event_problem(event jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'the event is malformed: ' || nullif(concat_ws('; ',
    outbox.shape_problem(event, '{
      "eventId": "uuid", "occurredAt": "text", "source": {"enum": ["outbox", "webhook"]}, "version": "version?",
      "force": "boolean?"
    }'),
    case when event ->> 'source' = 'outbox' and event ->> 'version' is null
      then 'version must be given when source is outbox' end,
    case when jsonb_typeof(event -> 'mentorId') is distinct from 'string' or not outbox.is_mentor_id(event ->> 'mentorId')
      then 'mentorId must be the id of a mentor' end,
    case when (event -> 'transition', event -> 'oldStatus', event -> 'newStatus') not in (
      ('"PAUSE"', '"active"', '"paused"'), ('"RESUME"', '"paused"', '"active"')
    ) is not false then 'transition must be PAUSE (active to paused) or RESUME (paused to active)' end
  ), '');
end
$$;
comment on function outbox.pause_event_problem(jsonb) is 'All that is wrong with a PauseEvent, or null.';

create or replace function outbox.is_mentor_id(value text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return outbox.mentor_id(value) is not null;
exception when data_exception then
  return false;
end
$$;
comment on function outbox.is_mentor_id(text) is 'Whether the text can be the id of a mentor.';

create or replace function outbox.read_pause_events(events jsonb) returns outbox.pause_event[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  perform outbox.require_array(events, 'events');
  return array(
    select row(
      g.place::integer, g.e -> 'eventId', p.problem, r.event_id, r.mentor, r.transition, r.version,
      coalesce(r.forced, false),
      case when p.problem is null then outbox.fingerprint(jsonb_build_object(
        'topic', 'pause-status', 'key', r.mentor, 'occurredAt', g.e ->> 'occurredAt', 'version', r.version
      )) end
    )::outbox.pause_event
    from jsonb_array_elements(events) with ordinality as g (e, place)
    cross join lateral (select outbox.pause_event_problem(g.e) as problem offset 0) as p
    left join lateral (
      select
        (g.e ->> 'eventId')::uuid as event_id,
        outbox.mentor_id(g.e ->> 'mentorId')::text as mentor,
        g.e ->> 'transition' as transition,
        -- Only the outbox gives versions; a number from elsewhere would take a place in the mentor's line.
        case g.e ->> 'source' when 'outbox' then (g.e ->> 'version')::bigint end as version,
        g.e -> 'force' = 'true' as forced
      where p.problem is null
      -- Keeps each from being read once for every use.
      offset 0
    ) as r on true
    order by g.place
  );
end
$$;
comment on function outbox.read_pause_events(jsonb) is
  'The elements of an array of PauseEvents in their order. One that is malformed has a problem, which lists all of it.';

create or replace function outbox.mentors_of(user_id uuid) returns setof text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select c.mentor_id::text
  from public.mentor_coordinators c
  where c.coordinator_id = user_id and c.mentor_id is not null;
end
$$;
comment on function outbox.mentors_of(uuid) is 'The mentors of a coordinator: whose events they may look at.';

create or replace function outbox.notification_id(event_id uuid, coordinator_id uuid) returns uuid
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return encode(substr(sha256(uuid_send(event_id) || uuid_send(coordinator_id)), 1, 16), 'hex')::uuid;
end
$$;
comment on function outbox.notification_id(uuid, uuid) is
  'The id of what a coordinator is told about an event: the same each time, so a receipt can name it beforehand.';

create or replace function outbox.receipt(event outbox.pause_event, coordinator_ids uuid[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object(
    'eventId', event.event_id,
    'mentorId', event.mentor_id,
    'transition', event.transition,
    'notified', cardinality(coordinator_ids),
    'notificationIds', to_jsonb(array(
      select outbox.notification_id(event.event_id, c.id) as id
      from unnest(coordinator_ids) as c (id)
      order by id
    ))
  );
end
$$;
comment on function outbox.receipt(outbox.pause_event, uuid[]) is
  'What the orchestrator answers when it notifies these coordinators of an event.';

create or replace function outbox.take_turns(readings outbox.pause_event[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
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
  'Lets one caller at a time notify about a mentor; otherwise two could write in either order.';

create or replace function outbox.notify(readings outbox.pause_event[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  told_event_ids uuid[];
begin
  perform outbox.take_turns(readings);

  -- One statement, so that a receipt names exactly those who are told: coordinators may come and go between two.
  with given as materialized (
    select distinct on (r.event_id)
      r as event, r.event_id, r.mentor_id, r.transition, r.version, r.forced, r.fingerprint,
      array(
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
    select g.event_id, g.fingerprint, outbox.receipt(g.event, g.coordinator_ids)
    from given g
    where g.version is null
      or g.forced
      or g.version >= (
        select m.version from outbox.handled_keys m where m.topic = 'pause-status' and m.key = g.mentor_id
      )
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
    select
      outbox.notification_id(t.event_id, coordinator.id), t.event_id, outbox.mentor_id(t.mentor_id), coordinator.id, t.transition,
      t.version
    from told t
    cross join unnest(t.coordinator_ids) as coordinator (id)
    order by t.mentor_id, t.version, coordinator.id
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
  'Notifies the coordinators of each event that nobody was notified of, unless it is superseded. Returns the events '
  'whose receipts it wrote.';

create or replace function public.pause_status_notify(events jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  readings outbox.pause_event[] := outbox.read_pause_events(events);
  told_event_ids uuid[] := outbox.notify(readings);
  answers jsonb;
begin
  select coalesce(
    jsonb_agg(
      jsonb_build_object('eventId', coalesce(to_jsonb(r.event_id), r.event_id_as_given)) || case
        when r.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', r.problem)
        when o.event_id is null then jsonb_build_object('outcome', 'superseded')
        when o.fingerprint = r.fingerprint and o.receipt ->> 'transition' = r.transition then jsonb_build_object(
          'outcome', 'notified', 'receipt', o.receipt, 'replayed', told.event_id is null or told.place <> r.place
        )
        -- An erased event's key is kept, but says nothing by itself.
        when outbox.is_concealed_as(r.fingerprint, o.fingerprint) then
          jsonb_build_object('outcome', 'notified', 'receipt', o.receipt, 'replayed', true)
        else jsonb_build_object('outcome', 'payload_mismatch')
      end
      order by r.place
    ),
    '[]'
  )
  into answers
  from unnest(readings) r
  -- The limit keeps the planner from reading the table from end to end.
  left join lateral (
    select * from outbox.receipts known where known.event_id = r.event_id limit 1
  ) as o on true
  left join (
    select e.event_id, min(r.place) as place
    from unnest(told_event_ids) as e (event_id)
    join unnest(readings) r on r.event_id = e.event_id
    group by e.event_id
  ) as told on told.event_id = r.event_id;
  return answers;
end
$$;
comment on function public.pause_status_notify(jsonb) is
  'Tells the coordinators about an array of PauseEvents, in one transaction and once per event id; answers in the same '
  'order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded '
  '(they were told about a later version of the key, and the event has no force) or invalid (message). A receipt that '
  'says notified 0 is replaced once there is somebody to notify.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.pause_status_notify(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_notify(jsonb) to service_role;
