-- Purpose: what a person does about an event: look at it, send it again, close it, or cancel it.
-- Locks:   pause_status.webhook_queue, share: writers wait while an index is built.
-- Undo:    drop function pause_status.redrive(uuid, boolean, boolean), pause_status.resolve(uuid, text, boolean),
--          pause_status.lease_left(pause_status.webhook_queue),
--          pause_status.cancel(pause_status.webhook_queue, text),
--          pause_status.is_superseded(pause_status.webhook_queue),
--          pause_status.reached_nobody(pause_status.webhook_queue), pause_status.event_history(uuid);
--          drop index pause_status.webhook_queue_reached_nobody_idx.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create index if not exists webhook_queue_reached_nobody_idx on pause_status.webhook_queue (completed_at)
  where status = 'completed' and receipt -> 'notified' = '0' and not receipt ? 'acknowledged';

create or replace function pause_status.reached_nobody(event pause_status.webhook_queue)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return event.status = 'completed' and coalesce(event.receipt -> 'notified' = '0', false);
end
$$;
comment on function pause_status.reached_nobody(pause_status.webhook_queue) is
  'Whether an event was completed although no coordinator was notified. What another orchestrator answers without a '
  'figure notified says nothing.';

create or replace function pause_status.is_superseded(event pause_status.webhook_queue)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  versions_since bigint;
  queued_since bigint;
  settled_since bigint;
begin
  -- Settled for good: completed, or closed by a person who has answered for it.
  select
    count(later.version),
    count(*) filter (where later.status = 'completed' or later.status = 'failed' and exists (
      select from pause_status.dead_letter_queue d where d.id = later.dead_letter_id and d.resolution is not null
    ))
  into queued_since, settled_since
  from pause_status.webhook_queue later
  where later.mentor_id = event.mentor_id
    and case
      when event.version is null then later.created_at > event.created_at
      else later.version > event.version
    end;
  if settled_since > 0 or event.version is null then
    return settled_since > 0;
  end if;

  -- Only what is settled is ever forgotten or erased.
  select s.version - event.version into versions_since
  from pause_status.mentor_states s
  where s.mentor_id = event.mentor_id;
  return coalesce(versions_since > queued_since, false);
end
$$;
comment on function pause_status.is_superseded(pause_status.webhook_queue) is
  'Whether a later event of the mentor is settled, or was and is forgotten since: sending this one would undo it. Events '
  'without a version are compared by when they were created.';

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
  event pause_status.webhook_queue;
begin
  select q.* into event from pause_status.webhook_queue q where q.event_id = redrive.event_id for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif event.status in ('pending', 'processing') then
    return jsonb_build_object('outcome', 'already_pending');
  elsif event.status = 'completed' and not pause_status.reached_nobody(event) then
    return jsonb_build_object('outcome', 'not_failed');
  elsif not force and pause_status.is_superseded(event) then
    return jsonb_build_object('outcome', 'superseded');
  elsif dry_run then
    return jsonb_build_object('outcome', 'would_redrive');
  end if;

  update pause_status.dead_letter_queue d
  set resolution = 'redriven', resolved_at = clock_timestamp()
  where d.event_id = redrive.event_id and d.resolution is null;

  -- The orchestrator would repeat its receipt for nobody.
  delete from pause_status.orchestrations o
  where o.event_id = redrive.event_id and pause_status.reached_nobody(event);

  -- last_dispatched_at says that it is ours to send from now on, even if somebody else sent it first.
  update pause_status.webhook_queue q
  set
    status = 'pending',
    failures = 0,
    own_failures = 0,
    first_failed_at = null,
    last_failed_at = null,
    dead_letter_id = null,
    receipt = null,
    completed_at = null,
    delivery_id = null,
    last_dispatched_at = coalesce(q.last_dispatched_at, clock_timestamp()),
    next_attempt_at = clock_timestamp(),
    payload = case when force then pause_status.payload_of(q) || '{"force": true}' else q.payload - 'force' end
  where q.event_id = redrive.event_id;
  perform pause_status.dispatch(array[redrive.event_id], 'redrive');
  return jsonb_build_object('outcome', 'redriven');
end
$$;
comment on function pause_status.redrive(uuid, boolean, boolean) is
  'Sends an event again that failed or that reached nobody, with as many attempts and as much time as a new one: '
  'redriven, or would_redrive (dry_run), superseded (see is_superseded(); force overrides it, for the orchestrator too), '
  'already_pending (it is on its way), not_failed (completed, and somebody was notified) or unknown.';

create or replace function pause_status.cancel(event pause_status.webhook_queue, notes text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  moment constant timestamptz := clock_timestamp();
  was_first constant boolean := event.version is not null
    and pause_status.is_first_in_line(event.mentor_id, event.version);
begin
  with letter as (
    insert into pause_status.dead_letter_queue (
      event_id, mentor_id, version, reason, payload, attempts, first_failed_at, last_failed_at, last_error,
      resolution, resolved_at, notes
    )
    values (
      event.event_id, event.mentor_id, event.version, 'cancelled', pause_status.payload_of(event), event.attempts,
      moment, moment, 'cancelled: a person withdrew it before it was processed', 'resolved', moment, cancel.notes
    )
    returning id, last_error
  )
  update pause_status.webhook_queue q
  set
    status = 'failed',
    dead_letter_id = letter.id,
    last_error = letter.last_error,
    leads = null,
    next_attempt_at = null
  from letter
  where q.event_id = event.event_id;

  if was_first then
    perform pause_status.release_next(array[event.mentor_id]);
    perform pause_status.dispatch_next(array[event.mentor_id]);
  end if;
end
$$;
comment on function pause_status.cancel(pause_status.webhook_queue, text) is
  'Settles a pending event, which the caller has locked, without sending it, and dispatches the mentor''s next one. A '
  'request that is under way already is answered 409 dead_letter.';

create or replace function pause_status.lease_left(event pause_status.webhook_queue)
returns integer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- At most a minute, as no lease is longer: the clock may have been set back.
  return least(60, greatest(1, ceil(extract(epoch from event.lease_expires_at - clock_timestamp()))));
end
$$;
comment on function pause_status.lease_left(pause_status.webhook_queue) is
  'Whole seconds until the claim of an event ends, from 1 to 60.';

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
  event pause_status.webhook_queue;
  outcome text;
begin
  select q.* into event from pause_status.webhook_queue q where q.event_id = resolve.event_id for update;
  outcome := case
    when not found then 'unknown'
    when event.status = 'pending' then 'cancelled'
    -- Its coordinators may be notified at this moment.
    when event.status = 'processing' then 'in_flight'
    when event.status = 'completed' and not pause_status.reached_nobody(event) then 'not_failed'
    when event.receipt ? 'acknowledged' then 'already_resolved'
    when exists (
      select
      from pause_status.dead_letter_queue d
      where d.id = event.dead_letter_id and d.resolution is not null
    ) then 'already_resolved'
    else 'resolved'
  end;

  if dry_run then
    outcome := case outcome when 'resolved' then 'would_resolve' when 'cancelled' then 'would_cancel' else outcome end;
  elsif outcome = 'cancelled' then
    perform pause_status.cancel(event, notes);
  elsif outcome = 'resolved' then
    update pause_status.dead_letter_queue d
    set resolution = 'resolved', resolved_at = clock_timestamp(), notes = resolve.notes
    where d.id = event.dead_letter_id;
    update pause_status.webhook_queue q
    set receipt = q.receipt || jsonb_strip_nulls(jsonb_build_object('acknowledged', true, 'notes', resolve.notes))
    where q.event_id = resolve.event_id and q.status = 'completed';
  end if;
  return jsonb_build_object('outcome', outcome) || case when outcome = 'in_flight' then
    jsonb_build_object('retryAfterSeconds', pause_status.lease_left(event))
  else '{}' end;
end
$$;
comment on function pause_status.resolve(uuid, text, boolean) is
  'Closes an event without sending it, because a person has dealt with it: resolved (a dead letter, or acknowledged: it '
  'reached nobody) or cancelled (it was pending), or with dry_run would_resolve and would_cancel; in_flight '
  '(processed at this moment; retryAfterSeconds), already_resolved, not_failed or unknown.';

create or replace function pause_status.event_history(event_id uuid)
returns setof pause_status.webhook_attempts
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select a.*
  from pause_status.webhook_attempts a
  where a.event_id = event_history.event_id
  order by a.ended_at, a.id
$$;
comment on function pause_status.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
