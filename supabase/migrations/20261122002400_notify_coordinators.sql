-- Purpose: the orchestrator's transaction: one notification per coordinator, once per event, in order per mentor.
-- Locks:   none on existing tables.
-- Undo:    drop function public.outbox_notify(jsonb), outbox.notify(outbox.reading[]),
--          outbox.take_turns(outbox.reading[]), outbox.receipt(outbox.reading, uuid[]),
--          outbox.notification_id(uuid, uuid); drop table public.notifications,
--          outbox.orchestrations, outbox.orchestrated_mentors.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- A table of that name that was there before is checked by the first migration.
do $$
begin
  if to_regclass('public.notifications') is null then
    create table public.notifications (
      id uuid default gen_random_uuid(),
      event_id uuid not null,
      mentor_id uuid not null,
      coordinator_id uuid not null,
      transition text not null,
      version bigint,
      created_at timestamptz not null default clock_timestamp(),
      constraint notifications_pkey primary key (id),
      constraint notifications_tell_a_coordinator_once unique (event_id, coordinator_id),
      constraint notifications_transition_is_known check (transition in ('PAUSE', 'RESUME'))
    );
    alter table public.notifications enable row level security;
    revoke all on table public.notifications from public, anon, authenticated, service_role;
    comment on table public.notifications is 'What the orchestrator told to whom: one row per event and coordinator.';
    comment on column public.notifications.coordinator_id is
      'No foreign key: that somebody was told stays true after the coordinator is gone.';
    comment on column public.notifications.version is 'The mentor''s version; null for a webhook from elsewhere.';
  end if;
end
$$;

create table if not exists outbox.orchestrations (
  event_id uuid,
  fingerprint text not null,
  receipt jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint orchestrations_pkey primary key (event_id)
);
create index if not exists orchestrations_created_at_idx on outbox.orchestrations (created_at);
comment on table outbox.orchestrations is
  'The orchestrator''s idempotency keys: what was answered to each event, so that a repetition gets the same answer. '
  'Where nobody was notified, a repetition notifies the coordinators that the mentor has by then.';

create table if not exists outbox.orchestrated_mentors (
  mentor_id uuid,
  version bigint not null,
  constraint orchestrated_mentors_pkey primary key (mentor_id)
);
comment on table outbox.orchestrated_mentors is
  'The highest version of each mentor that coordinators were told about: who comes later with a lower one is refused.';

alter table outbox.orchestrations enable row level security;
alter table outbox.orchestrated_mentors enable row level security;
revoke all on table outbox.orchestrations, outbox.orchestrated_mentors
  from public, anon, authenticated, service_role;

create or replace function outbox.notification_id(event_id uuid, coordinator_id uuid)
returns uuid
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return encode(substr(sha256(uuid_send(event_id) || uuid_send(coordinator_id)), 1, 16), 'hex')::uuid;
end
$$;
comment on function outbox.notification_id(uuid, uuid) is
  'The id of what a coordinator is told about an event: the same each time, so a receipt can name it beforehand.';

create or replace function outbox.receipt(event outbox.reading, coordinator_ids uuid[])
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
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
comment on function outbox.receipt(outbox.reading, uuid[]) is
  'What the orchestrator answers when it notifies these coordinators of an event.';

create or replace function outbox.take_turns(readings outbox.reading[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  insert into outbox.orchestrated_mentors (mentor_id, version)
  select distinct r.mentor_id, 0
  from unnest(readings) r
  where r.version is not null
  order by r.mentor_id
  on conflict do nothing;

  perform
  from outbox.orchestrated_mentors m
  where m.mentor_id = any(array(select r.mentor_id from unnest(readings) r where r.version is not null))
  order by m.mentor_id
  for update;
end
$$;
comment on function outbox.take_turns(outbox.reading[]) is
  'Lets one caller at a time notify about a mentor; otherwise two could write in either order.';

create or replace function outbox.notify(readings outbox.reading[])
returns uuid[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
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
        where mc.mentor_id = r.mentor_id
      ) as coordinator_ids
    from unnest(readings) r
    where r.problem is null
    order by r.event_id, r.place
  ), kept as (
    -- A second caller with the same key waits here for the first one's commit. Its answer is the first one's receipt,
    -- unless that one notified nobody.
    insert into outbox.orchestrations as o (event_id, fingerprint, receipt)
    select g.event_id, g.fingerprint, outbox.receipt(g.event, g.coordinator_ids)
    from given g
    where g.version is null
      or g.forced
      or g.version >= (select m.version from outbox.orchestrated_mentors m where m.mentor_id = g.mentor_id)
    order by g.event_id
    on conflict (event_id) do update
    set receipt = excluded.receipt, created_at = excluded.created_at
    where o.fingerprint = excluded.fingerprint
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
      outbox.notification_id(t.event_id, coordinator.id), t.event_id, t.mentor_id, coordinator.id, t.transition,
      t.version
    from told t
    cross join unnest(t.coordinator_ids) as coordinator (id)
    order by t.mentor_id, t.version, coordinator.id
    on conflict (event_id, coordinator_id) do nothing
  ), raised as (
    update outbox.orchestrated_mentors m
    set version = highest.version
    from (select t.mentor_id, max(t.version) as version from told t group by t.mentor_id) as highest
    where m.mentor_id = highest.mentor_id and m.version < highest.version
  )
  select array_agg(k.event_id) into told_event_ids from kept k;
  return told_event_ids;
end
$$;
comment on function outbox.notify(outbox.reading[]) is
  'Notifies the coordinators of each event that nobody was notified of, unless it is superseded. Returns the events '
  'whose receipts it wrote.';

create or replace function public.outbox_notify(events jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  readings outbox.reading[] := outbox.read_events(events);
  told_event_ids uuid[] := outbox.notify(readings);
  answers jsonb;
begin
  select coalesce(
    jsonb_agg(
      jsonb_build_object('eventId', coalesce(to_jsonb(r.event_id), r.event_id_as_given)) || case
        when r.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', r.problem)
        when o.event_id is null then jsonb_build_object('outcome', 'superseded')
        when o.fingerprint = r.fingerprint then jsonb_build_object(
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
    select * from outbox.orchestrations known where known.event_id = r.event_id limit 1
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
comment on function public.outbox_notify(jsonb) is
  'Tells the coordinators about an array of PauseEvents, in one transaction and once per event id; answers in the same '
  'order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded '
  '(they were told about a later version of the key, and the event has no force) or invalid (message). A receipt that '
  'says notified 0 is replaced once there is somebody to notify.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_notify(jsonb) from public, anon, authenticated;
grant execute on function public.outbox_notify(jsonb) to service_role;
