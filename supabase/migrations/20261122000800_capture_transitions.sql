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
set search_path = pg_catalog, pg_temp
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
set search_path = pg_catalog, pg_temp
-- The plan is made once in a session, perhaps for an update of one row: it must do for one of a hundred thousand.
set enable_nestloop = off
set enable_seqscan = off
as $$
declare
  settings pause_status.settings;
  moment constant timestamptz := clock_timestamp();
  moment_text constant text := pause_status.iso(moment);
  -- One random number for the statement, counted on: neighbours in the table are neighbours in the index.
  stem constant text := left(gen_random_uuid()::text, 24);
  -- Twelve digits, however many are added to it.
  first_event constant bigint := x'800000000000'::bigint;
  -- Enough that the handler is busy until whoever settles them has handed over the next.
  most_requests constant integer := 5;
begin
  -- What fills whole requests is handed to pg_net here: queued as under way it is written once. Of a large update only
  -- the first requests, because the writer waits for it; the rest is left to those who settle these. What fills no
  -- request may travel with what the transaction queues later, and waits for the commit.
  select s.* into settings
  from pause_status.settings s
  where s.events_per_request between 2 and (select count(*) from new_profiles);

  if settings.events_per_request is null then
    -- The same without requests, because a change of one mentor should cost little more than its two rows.
    with numbered as (
      insert into pause_status.mentor_versions as v (mentor_id, version)
      select n.id, 1
      from new_profiles n
      join old_profiles o on o.id = n.id
      where (o.status::text, n.status::text) in (('active', 'paused'), ('paused', 'active'))
      order by n.id
      on conflict (mentor_id) do update set version = v.version + 1
      returning v.mentor_id, v.version
    )
    insert into pause_status.webhook_queue (
      event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, fingerprint,
      next_attempt_at, leads
    )
    select
      (stem || to_hex(first_event + t.place))::uuid, t.mentor_id, t.version, t.transition, t.old_status, t.new_status,
      moment, 'outbox', pause_status.fingerprint(t.mentor_id, t.transition, moment_text, t.version),
      moment, t.place = 1
    from (
      select
        v.mentor_id,
        v.version,
        o.status::text as old_status,
        n.status::text as new_status,
        case n.status::text when 'paused' then 'PAUSE' else 'RESUME' end as transition,
        row_number() over (order by v.mentor_id) as place
      from numbered v
      join new_profiles n on n.id = v.mentor_id
      join old_profiles o on o.id = v.mentor_id
    ) as t;
    return null;
  end if;

  with changed as materialized (
    select n.id as mentor_id, o.status::text as old_status, n.status::text as new_status
    from new_profiles n
    join old_profiles o on o.id = n.id
    where (o.status::text, n.status::text) in (('active', 'paused'), ('paused', 'active'))
  ), raised as (
    -- The lock on the profile is the lock on its version: nobody else is at these rows, so their order is free.
    update pause_status.mentor_versions v
    set version = v.version + 1
    from changed c
    where v.mentor_id = c.mentor_id and v.mentor_id = any(array(select c.mentor_id from changed c))
    returning c.*, v.version
  ), begun as (
    insert into pause_status.mentor_versions as v (mentor_id, version)
    select c.mentor_id, 1
    from changed c
    where (select count(*) from raised) < (select count(*) from changed)
      and not exists (select from raised r where r.mentor_id = c.mentor_id)
    order by c.mentor_id
    on conflict (mentor_id) do update set version = v.version + 1
    returning v.mentor_id, v.version
  ), blocked as materialized (
    select distinct q.mentor_id
    from pause_status.webhook_queue q
    where q.mentor_id = any(array(select c.mentor_id from changed c))
      and q.status in ('pending', 'processing')
  ), lined_up as materialized (
    select
      l.*,
      case l.new_status when 'paused' then 'PAUSE' else 'RESUME' end as transition,
      (stem || to_hex(first_event + l.place))::uuid as event_id,
      case when l.is_free then (l.free_so_far - 1) / settings.events_per_request end as request
    from (
      select
        n.*,
        row_number() over one_by_one as place,
        b.mentor_id is null as is_free,
        count(*) filter (where b.mentor_id is null) over one_by_one as free_so_far
      from (
        select * from raised
        union all
        select c.*, b.version from begun b join changed c on c.mentor_id = b.mentor_id
      ) as n
      left join blocked b on b.mentor_id = n.mentor_id
      window one_by_one as (order by n.mentor_id rows unbounded preceding)
    ) as l
  ), full_requests as (
    select l.request, jsonb_agg(
      pause_status.payload(l.event_id, l.mentor_id, l.old_status, l.new_status, l.version, moment_text)
      order by l.place
    ) as body
    from lined_up l
    where l.request < most_requests
    group by l.request
    having count(*) = settings.events_per_request
  ), handed_over as materialized (
    select
      count(*) as requests,
      array_agg(h.delivery_id order by h.request) as delivery_ids,
      array_agg(h.request_id order by h.request) as request_ids,
      clock_timestamp() as dispatched_at
    from pause_status.hand_over((select array_agg(f.body order by f.request) from full_requests f)) h
  ), sorted_out as (
    select
      l.*,
      l.request < h.requests as is_handed_over,
      h.requests = most_requests and l.request >= most_requests as is_left_over,
      h.*
    from handed_over h
    cross join lined_up l
  )
  insert into pause_status.webhook_queue (
    event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, fingerprint,
    attempts, delivery_id, request_id, last_dispatched_at, dispatch_reason, next_attempt_at, queued_by, leads
  )
  select
    s.event_id, s.mentor_id, s.version, s.transition, s.old_status, s.new_status, moment, 'outbox',
    -- As fingerprint() does it, which would take longer than the rest of the row.
    s.mentor_id::text || ' ' || s.transition || ' ' || moment_text || ' ' || s.version,
    (s.is_handed_over is true)::integer, s.delivery_ids[s.request + 1], s.request_ids[s.request + 1],
    case when s.is_handed_over then s.dispatched_at end,
    case when s.is_handed_over then 'commit' end,
    case
      when s.is_handed_over then s.dispatched_at + make_interval(secs => settings.acknowledge_timeout_seconds)
      when s.is_left_over then moment
      -- Set apart, so that dispatch_rest() has not to look at all that cannot be sent yet.
      else moment + interval '1 microsecond'
    end,
    case when s.is_left_over is not true then pg_current_xact_id() end,
    -- The first, and the first of those that wait for the commit.
    s.place = 1 or (s.is_handed_over or s.is_left_over) is not true and case
      when s.is_free then s.free_so_far = s.requests * settings.events_per_request + 1
      else s.place - s.free_so_far = 1
    end is true
  -- No order: they come in that of their places, and nothing but the speed of the indexes depends on it.
  from sorted_out s;
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
