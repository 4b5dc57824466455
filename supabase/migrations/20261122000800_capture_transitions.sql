-- Purpose: writes a row to the outbox in the transaction that pauses or resumes a mentor.
-- Locks:   public.peer_mentor_profiles, share row exclusive: writers wait while its rows are read once.
-- Undo:    drop trigger pause_status_capture_insert on public.peer_mentor_profiles;
--          drop trigger pause_status_capture_update on public.peer_mentor_profiles;
--          drop function pause_status.capture_transition();

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.capture_transition()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
  event_id uuid := gen_random_uuid();
  version bigint;
  transition text;
  occurred_at timestamptz := clock_timestamp();
  -- A fixed text, because it is part of the fingerprint and the session's TimeZone and DateStyle are not ours.
  occurred_at_text text := to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
begin
  if tg_op = 'INSERT' then
    insert into pause_status.mentor_states (mentor_id, notified_status)
    values (new.id, new.status::text)
    on conflict do nothing;
    return null;
  end if;

  transition := case
    when old.status::text = 'active' and new.status::text = 'paused' then 'PAUSE'
    when old.status::text = 'paused' and new.status::text = 'active' then 'RESUME'
  end;
  if transition is null then
    return null;
  end if;

  insert into pause_status.mentor_versions as v (mentor_id, version)
  values (new.id, 1)
  on conflict on constraint mentor_versions_pkey do update set version = v.version + 1
  returning v.version into version;

  insert into pause_status.webhook_queue (
    event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
    next_attempt_at
  )
  values (
    event_id, new.id, version, transition, old.status::text, new.status::text, occurred_at, 'outbox',
    pause_status.payload(event_id, new.id, old.status::text, new.status::text, version, occurred_at_text),
    pause_status.fingerprint(new.id, transition, occurred_at_text, version),
    occurred_at
  );
  return null;
end
$$;
comment on function pause_status.capture_transition() is
  'Queues a transition with the mentor''s next version, or remembers the status a mentor starts with. '
  'If the outbox cannot be written, the change of the profile fails too: no transition goes unnoticed.';

revoke all on function pause_status.capture_transition() from public, anon, authenticated, service_role;

create or replace trigger pause_status_capture_insert
  after insert on public.peer_mentor_profiles
  for each row
  execute function pause_status.capture_transition();

-- No column list on purpose: "update of status" looks at the columns a statement names, and would miss a status that
-- a BEFORE trigger changed.
create or replace trigger pause_status_capture_update
  after update on public.peer_mentor_profiles
  for each row
  when (old.status is distinct from new.status)
  execute function pause_status.capture_transition();

comment on trigger pause_status_capture_insert on public.peer_mentor_profiles is
  'Remembers the status a new mentor starts with.';
comment on trigger pause_status_capture_update on public.peer_mentor_profiles is
  'Queues a pause or a resume in the transaction that makes it.';

-- Mentors from before the triggers start with the status they have now.
insert into pause_status.mentor_states (mentor_id, notified_status)
select p.id, p.status::text
from public.peer_mentor_profiles p
on conflict do nothing;
