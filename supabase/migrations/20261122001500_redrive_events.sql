-- Purpose: what a person does about a dead letter: look at it, send it again, or close it.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.redrive(uuid, boolean, boolean), pause_status.resolve(uuid, text, boolean),
--          pause_status.event_history(uuid).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.redrive(
  event_id uuid,
  force boolean default false,
  dry_run boolean default false
)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  failed pause_status.webhook_queue;
begin
  select q.* into failed from pause_status.webhook_queue q where q.event_id = redrive.event_id for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif failed.status in ('pending', 'processing') then
    return jsonb_build_object('outcome', 'already_pending');
  elsif failed.status <> 'failed' then
    return jsonb_build_object('outcome', 'not_failed');
  elsif not force and exists (
    select
    from pause_status.mentor_states s
    where s.mentor_id = failed.mentor_id and s.notified_version > failed.version
  ) then
    return jsonb_build_object('outcome', 'superseded');
  elsif dry_run then
    return jsonb_build_object('outcome', 'would_redrive');
  end if;

  update pause_status.dead_letter_queue d
  set resolution = 'redriven', resolved_at = clock_timestamp()
  where d.event_id = redrive.event_id and d.resolution is null;

  -- last_dispatched_at says that it is ours to send from now on, even if somebody else sent it first.
  update pause_status.webhook_queue q
  set
    status = 'pending',
    failures = 0,
    own_failures = 0,
    first_failed_at = null,
    last_failed_at = null,
    dead_letter_id = null,
    delivery_id = null,
    request_id = null,
    last_dispatched_at = coalesce(q.last_dispatched_at, clock_timestamp()),
    next_attempt_at = clock_timestamp(),
    payload = case when force then pause_status.payload_of(q) || '{"force": true}' else q.payload - 'force' end
  where q.event_id = redrive.event_id;
  perform pause_status.dispatch(array[redrive.event_id], 'redrive');
  return jsonb_build_object('outcome', 'redriven');
end
$$;
comment on function pause_status.redrive(uuid, boolean, boolean) is
  'Sends a failed event again, with as many attempts and as much time as a new one: redriven, or would_redrive '
  '(dry_run), superseded (a newer version of the mentor is completed; force overrides it, for the orchestrator too), '
  'already_pending (it is on its way), not_failed (completed) or unknown.';

-- Its form without dry_run; beside the other, a call with two arguments would be ambiguous.
drop function if exists pause_status.resolve(uuid, text);

create or replace function pause_status.resolve(
  event_id uuid,
  notes text default null,
  dry_run boolean default false
)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  failed pause_status.webhook_queue;
begin
  select q.* into failed from pause_status.webhook_queue q where q.event_id = resolve.event_id for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif failed.status <> 'failed' then
    return jsonb_build_object('outcome', 'not_failed');
  elsif exists (
    select
    from pause_status.dead_letter_queue d
    where d.id = failed.dead_letter_id and d.resolution is not null
  ) then
    return jsonb_build_object('outcome', 'already_resolved');
  elsif dry_run then
    return jsonb_build_object('outcome', 'would_resolve');
  end if;

  update pause_status.dead_letter_queue d
  set resolution = 'resolved', resolved_at = clock_timestamp(), notes = resolve.notes
  where d.id = failed.dead_letter_id;

  -- Who closes the newest event answers for it: the reconciliation must not bring it back.
  update pause_status.mentor_states s
  set notified_version = failed.version, notified_status = failed.new_status
  where s.mentor_id = failed.mentor_id and coalesce(s.notified_version, 0) < failed.version;
  return jsonb_build_object('outcome', 'resolved');
end
$$;
comment on function pause_status.resolve(uuid, text, boolean) is
  'Closes an open dead letter without sending it, because a person has dealt with it: resolved, or would_resolve '
  '(dry_run), already_resolved, not_failed or unknown.';

create or replace function pause_status.event_history(event_id uuid)
returns setof pause_status.webhook_attempts
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select a.* from pause_status.webhook_attempts a where a.event_id = event_history.event_id order by a.ended_at, a.id
$$;
comment on function pause_status.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
