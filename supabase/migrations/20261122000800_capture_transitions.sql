-- Purpose: writes a row to the outbox in the transaction that pauses or resumes a mentor.
-- Locks:   public.peer_mentor_profiles, share row exclusive: writers wait while its rows are read once.
-- Undo:    drop trigger pause_status_capture_insert on public.peer_mentor_profiles;
--          drop trigger pause_status_capture_update on public.peer_mentor_profiles;
--          drop trigger pause_status_capture_key on public.peer_mentor_profiles;
--          drop function pause_status.feed_by(text), pause_status.capture_mentors(),
--          pause_status.capture_transitions(), pause_status.capture_key(), pause_status.may_send_more(),
--          pause_status.queue_transitions(uuid[], text[], text[], text, integer),
--          pause_status.recall_versions(uuid[]), pause_status.recheck(uuid[], text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.queue_transitions(
  mentor_ids uuid[], old_statuses text[], new_statuses text[], why text, most_requests integer
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  settings pause_status.settings;
  moment constant timestamptz := clock_timestamp();
  moment_text constant text := pause_status.iso(moment);
  queued integer;
begin
  select s.* into settings from pause_status.settings s;
  if not found then
    -- post() says what to do about it.
    settings.events_per_request := 100;
    settings.acknowledge_timeout_seconds := 15;
  end if;
  with known as (
    -- Only a change of what is known is an event, and only between the two words.
    insert into pause_status.mentor_states as s (mentor_id, version, known_status, made_event)
    select
      c.mentor_id,
      (c.old_status in ('active', 'paused') is true)::integer,
      c.new_status,
      c.old_status in ('active', 'paused') is true
    from unnest(mentor_ids, old_statuses, new_statuses) as c (mentor_id, old_status, new_status)
    where c.new_status in ('active', 'paused')
    order by c.mentor_id
    on conflict (mentor_id) do update
    set
      version = s.version + (s.known_status in ('active', 'paused') is true)::integer,
      known_status = excluded.known_status,
      made_event = s.known_status in ('active', 'paused') is true
    where s.known_status is distinct from excluded.known_status
    returning s.mentor_id, s.version, s.known_status as new_status, s.made_event
  ), placed as (
    select
      gen_random_uuid() as event_id,
      k.*,
      case k.new_status when 'paused' then 'PAUSE' else 'RESUME' end as transition,
      case k.new_status when 'paused' then 'active' else 'paused' end as old_status,
      row_number() over (order by k.mentor_id) - 1 as place,
      (row_number() over (order by k.mentor_id) - 1) / settings.events_per_request as request
    from known k
    where k.made_event
  ), requests as (
    select
      p.request,
      case count(*) when 1 then min(p.event_id::text)::uuid else gen_random_uuid() end as id,
      jsonb_agg(
        pause_status.payload(p.event_id, p.mentor_id, p.old_status, p.new_status, p.version, moment_text)
        order by p.place
      ) as payloads
    from placed p
    where p.request < most_requests
    group by p.request
  )
  insert into pause_status.webhook_queue (
    event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, fingerprint,
    attempts, delivery_id, leads, last_dispatched_at, dispatch_reason, next_attempt_at
  )
  select
    p.event_id, p.mentor_id, p.version, p.transition, p.old_status, p.new_status, moment, 'outbox',
    pause_status.fingerprint(p.mentor_id, p.transition, moment_text, p.version),
    (r.id is not null)::integer,
    r.id,
    case
      when p.place % settings.events_per_request <> 0 then null
      when r.id = p.event_id then r.payloads -> 0
      else r.payloads
    end,
    case when r.id is not null then moment end,
    why,
    case when r.id is null then moment else moment + make_interval(secs => settings.acknowledge_timeout_seconds) end
  from placed p
  left join requests r on r.request = p.request;
  get diagnostics queued = row_count;
  return queued;
end
$$;
comment on function pause_status.queue_transitions(uuid[], text[], text[], text, integer) is
  'Queues an event, with the mentor''s next version, for each of these mentors whose new status is not the known one. '
  'The first most_requests requests are posted when the transaction commits; the rest is due. Returns how many events.';

create or replace function pause_status.recheck(mentor_ids uuid[], reason text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into pause_status.rechecks (mentor_id, reason)
  select m.id, pause_status.shorten(reason)
  from unnest(coalesce(nullif(mentor_ids, '{}'), array[null]::uuid[])) as m (id);
end
$$;
comment on function pause_status.recheck(uuid[], text) is
  'Leaves mentors whose change could not be compared to the sweep; null when not even their ids could be read.';

create or replace function pause_status.recall_versions(mentor_ids uuid[])
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update pause_status.mentor_states s
  set version = queued.version
  from (
    select q.mentor_id, max(q.version) as version
    from pause_status.webhook_queue q
    where q.mentor_id = any(mentor_ids)
    group by q.mentor_id
  ) as queued
  where s.mentor_id = queued.mentor_id and s.version < queued.version
$$;
comment on function pause_status.recall_versions(uuid[]) is
  'Raises the versions of mentors to those in the queue, after a restore of one without the other.';

create or replace function pause_status.may_send_more()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  statements constant text := coalesce(current_setting('pause_status.statements', true), '');
begin
  if length(statements) >= 5 then
    return false;
  end if;
  -- One stroke for each: a count would have to be cast, and any role may write to this setting.
  perform set_config('pause_status.statements', statements || '|', true);
  return true;
end
$$;
comment on function pause_status.may_send_more() is
  'Whether this statement''s events are sent at the commit: true for the first 5 of a transaction. Those who settle '
  'these are handed the rest.';

create or replace function pause_status.capture_transitions()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- The plan is made once in a session, perhaps for an update of one row: it must do for one of a hundred thousand.
set enable_nestloop = off
set jit = off
as $$
declare
  mentor_ids uuid[];
  old_statuses text[];
  new_statuses text[];
  most_requests integer;
begin
  begin
    select array_agg(n.id), array_agg(o.status::text), array_agg(n.status::text)
    into mentor_ids, old_statuses, new_statuses
    from new_profiles n
    join old_profiles o on o.id = n.id
    where n.status is distinct from o.status;
  exception when undefined_column or undefined_function or datatype_mismatch or cannot_coerce or invalid_text_representation then
    -- Somebody renamed or retyped a column. Better late than refused: what is known still tells what was missed.
    perform pause_status.recheck(null, sqlerrm);
    raise warning 'pause-status misses changes of %: %', tg_relid::regclass, sqlerrm;
    return null;
  end;
  if mentor_ids is null then
    return null;
  end if;
  most_requests := case when pause_status.may_send_more() then 5 else 0 end;

  begin
    perform pause_status.queue_transitions(mentor_ids, old_statuses, new_statuses, 'commit', most_requests);
  exception
    when unique_violation then
      perform pause_status.recall_versions(mentor_ids);
      perform pause_status.queue_transitions(mentor_ids, old_statuses, new_statuses, 'commit', most_requests);
    when serialization_failure then
      -- reconcile() has written a mentor's state since this transaction began, and its snapshot hides that.
      perform pause_status.recheck(mentor_ids, null);
  end;
  return null;
end
$$;
comment on function pause_status.capture_transitions() is
  'Queues the transitions of a statement. If the outbox cannot be written, the change of the profiles fails too: no '
  'transition goes unnoticed.';

create or replace function pause_status.capture_mentors()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
  insert into pause_status.mentor_states as s (mentor_id, known_status)
  select n.id, n.status::text
  from new_profiles n
  order by n.id
  on conflict (mentor_id) do update
  set known_status = excluded.known_status, made_event = false
  where s.known_status is distinct from excluded.known_status;
  return null;
exception
  when undefined_column or undefined_function or datatype_mismatch or cannot_coerce or invalid_text_representation then
    perform pause_status.recheck(null, sqlerrm);
    return null;
  when serialization_failure then
    perform pause_status.recheck(array(select n.id from new_profiles n), null);
    return null;
end
$$;
comment on function pause_status.capture_mentors() is
  'Remembers the status that new mentors start with, also when a mentor of that id was deleted before.';

create or replace function pause_status.capture_key()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  known_status text;
begin
  known_status := old.status::text;
  -- Under the new id the mentor starts as they were known under the old one.
  if known_status in ('active', 'paused') is not true then
    -- Written to be read: serializable transactions conflict over what they read.
    insert into pause_status.mentor_states as s (mentor_id)
    values (old.id)
    on conflict (mentor_id) do update
    set known_status = s.known_status
    returning s.known_status into known_status;
  end if;
  insert into pause_status.mentor_states as s (mentor_id, known_status)
  values (new.id, known_status)
  on conflict (mentor_id) do update
  set known_status = excluded.known_status, made_event = false
  where s.known_status is distinct from excluded.known_status;

  perform pause_status.queue_transitions(
    array[new.id], array[known_status], array[new.status::text], 'commit',
    case when pause_status.may_send_more() then 1 else 0 end
  );
  return null;
exception
  when undefined_column or undefined_function or datatype_mismatch or cannot_coerce or invalid_text_representation then
    perform pause_status.recheck(null, sqlerrm);
    return null;
  when serialization_failure then
    perform pause_status.recheck(array[new.id], null);
    return null;
end
$$;
comment on function pause_status.capture_key() is
  'Queues the transition of an update that changes the mentor''s id as well: the statement trigger finds its rows by it.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

-- For each statement, because every insert into the queue compiles its constraints again.
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

create or replace trigger pause_status_capture_key
  after update on public.peer_mentor_profiles
  for each row
  when (old.id is distinct from new.id)
  execute function pause_status.capture_key();

comment on trigger pause_status_capture_insert on public.peer_mentor_profiles is
  'Remembers the status a new mentor starts with.';
comment on trigger pause_status_capture_update on public.peer_mentor_profiles is
  'Queues pauses and resumes in the transaction that makes them.';
comment on trigger pause_status_capture_key on public.peer_mentor_profiles is
  'The same for updates that change a mentor''s id.';

create or replace function pause_status.feed_by(source text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
  was text;
begin
  was := (select s.fed_by from pause_status.settings s);
  update pause_status.settings s set fed_by = source;
  foreach name in array array['pause_status_capture_insert', 'pause_status_capture_update', 'pause_status_capture_key'] loop
    execute format(
      'alter table public.peer_mentor_profiles %s trigger %I',
      case source when 'outbox' then 'enable' else 'disable' end, name
    );
  end loop;
  -- What changed meanwhile was for the stock webhooks to report. From here on nobody writes before we are done.
  if was = 'webhook' and source = 'outbox' then
    insert into pause_status.mentor_states as s (mentor_id, known_status)
    select p.id, p.status::text
    from public.peer_mentor_profiles p
    order by p.id
    on conflict (mentor_id) do update
    set known_status = excluded.known_status, made_event = false
    where s.known_status is distinct from excluded.known_status;
  end if;
end
$$;
comment on function pause_status.feed_by(text) is
  'Declares what reports changes: outbox, our own triggers; or webhook, stock database webhooks only, with the triggers '
  'disabled and nothing reconciled. Back at outbox, mentors start with the status they have then.';
revoke all on function pause_status.feed_by(text) from public, anon, authenticated, service_role;

-- Mentors from before the triggers start with the status they have now.
insert into pause_status.mentor_states (mentor_id, known_status)
select p.id, p.status::text
from public.peer_mentor_profiles p
on conflict do nothing;
