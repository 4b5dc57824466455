-- Purpose: writes a row to the outbox in the transaction that pauses or resumes a mentor.
-- Locks:   public.peer_mentor_profiles, share row exclusive: writers wait while its rows are read once.
-- Undo:    drop trigger pause_status_capture_insert on public.peer_mentor_profiles;
--          drop trigger pause_status_capture_update on public.peer_mentor_profiles;
--          drop function pause_status.capture_mentors(), pause_status.capture_transitions().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.capture_mentors()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  insert into pause_status.mentor_states (mentor_id, notified_status)
  select n.id, n.status::text
  from new_profiles n
  order by n.id
  on conflict do nothing;
  return null;
end
$$;
comment on function pause_status.capture_mentors() is 'Remembers the status that new mentors start with.';

create or replace function pause_status.capture_transitions()
returns trigger
language plpgsql
security definer
set search_path = ''
-- The plan is made once in a session, perhaps for an update of one row: it must do for one of a hundred thousand.
set enable_nestloop = off
set enable_seqscan = off
as $$
declare
  settings pause_status.settings;
  -- One random number for the statement, counted on: neighbours in the table are neighbours in the index.
  stem constant text := left(gen_random_uuid()::text, 24);
begin
  -- What fills whole requests is handed to pg_net here: queued as under way it is written once. The rest, which may
  -- travel with what the transaction queues later, waits for the commit.
  select s.* into settings
  from pause_status.settings s
  where s.events_per_request between 2 and (select count(*) from new_profiles);

  with changed as materialized (
    select n.id as mentor_id, o.status::text as old_status, n.status::text as new_status
    from new_profiles n
    join old_profiles o on o.id = n.id
    where (o.status::text, n.status::text) in (('active', 'paused'), ('paused', 'active'))
  ), numbered as (
    insert into pause_status.mentor_versions as v (mentor_id, version)
    select c.mentor_id, 1
    from changed c
    order by c.mentor_id
    on conflict (mentor_id) do update set version = v.version + 1
    returning v.mentor_id, v.version
  ), drafted as materialized (
    select
      c.*,
      n.version,
      case c.new_status when 'paused' then 'PAUSE' else 'RESUME' end as transition,
      row_number() over (order by c.mentor_id) as place,
      clock_timestamp() as occurred_at,
      -- With a limit the planner cannot turn it round: it asks the index for each mentor, however many events wait.
      settings.events_per_request is not null and (
        select q.event_id
        from pause_status.webhook_queue q
        where q.mentor_id = c.mentor_id and q.status in ('pending', 'processing')
        limit 1
      ) is null as is_first
    from changed c
    join numbered n on n.mentor_id = c.mentor_id
  ), named as materialized (
    select
      d.*,
      (stem || lpad(to_hex(d.place), 12, '0'))::uuid as event_id,
      -- A fixed text, because it is part of the fingerprint and the session's TimeZone and DateStyle are not ours.
      to_char(d.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as occurred_at_text,
      case when d.is_first then
        (row_number() over (partition by d.is_first order by d.place) - 1) / settings.events_per_request
      end as request
    from drafted d
  ), written as materialized (
    select
      n.*,
      pause_status.payload(n.event_id, n.mentor_id, n.old_status, n.new_status, n.version, n.occurred_at_text)
        as payload
    from named n
  ), full_requests as (
    select w.request, jsonb_agg(w.payload order by w.place) as body
    from written w
    where w.request is not null
    group by w.request
    having count(*) = settings.events_per_request
  ), handed_over as materialized (
    select h.*, clock_timestamp() as dispatched_at
    from pause_status.hand_over((select array_agg(f.body order by f.request) from full_requests f)) h
  )
  insert into pause_status.webhook_queue (
    event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
    attempts, delivery_id, request_id, last_dispatched_at, dispatch_reason, next_attempt_at, leads
  )
  select
    w.event_id, w.mentor_id, w.version, w.transition, w.old_status, w.new_status, w.occurred_at, 'outbox', w.payload,
    pause_status.fingerprint(w.mentor_id, w.transition, w.occurred_at_text, w.version),
    (h.request is not null)::integer, h.delivery_id, h.request_id, h.dispatched_at,
    case when h.request is not null then 'commit' end,
    coalesce(h.dispatched_at + make_interval(secs => settings.acknowledge_timeout_seconds), w.occurred_at),
    w.place = 1
  from written w
  left join handed_over h on h.request = w.request
  order by w.place;
  return null;
end
$$;
comment on function pause_status.capture_transitions() is
  'Queues the transitions of a statement with their mentors'' next versions. If the outbox cannot be written, the '
  'change of the profiles fails too: no transition goes unnoticed.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

-- Once for each statement, because a row on its own is many times as dear: every insert compiles the queue's
-- constraints anew.
create or replace trigger pause_status_capture_insert
  after insert on public.peer_mentor_profiles
  referencing new table as new_profiles
  for each statement
  execute function pause_status.capture_mentors();

-- No column list: Postgres allows none here, and it would miss a status that a BEFORE trigger changed.
create or replace trigger pause_status_capture_update
  after update on public.peer_mentor_profiles
  referencing old table as old_profiles new table as new_profiles
  for each statement
  execute function pause_status.capture_transitions();

comment on trigger pause_status_capture_insert on public.peer_mentor_profiles is
  'Remembers the status a new mentor starts with.';
comment on trigger pause_status_capture_update on public.peer_mentor_profiles is
  'Queues pauses and resumes in the transaction that makes them.';

-- Mentors from before the triggers start with the status they have now.
insert into pause_status.mentor_states (mentor_id, notified_status)
select p.id, p.status::text
from public.peer_mentor_profiles p
on conflict do nothing;
