-- Purpose: what a person does about an event: look at it, send it again, close it, or cancel it.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.redrive(uuid, boolean, boolean), outbox.resolve(uuid, text, boolean),
--          outbox.cancel(outbox.events, text),
--          outbox.is_superseded(outbox.events),
--          outbox.reached_nobody(outbox.events), outbox.is_of(text, uuid), outbox.event_history(uuid).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.is_of(topic text, event_id uuid) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return not exists (select from outbox.events q where q.event_id = is_of.event_id and q.topic is distinct from is_of.topic);
end
$$;
comment on function outbox.is_of(text, uuid) is 'Whether an event is not one of another topic.';

create or replace function outbox.reached_nobody(event outbox.events) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return event.status = 'completed' and coalesce(event.receipt -> 'notified' = '0', false);
end
$$;
comment on function outbox.reached_nobody(outbox.events) is
  'Whether an event was completed although nobody was notified. A receipt without a figure notified says nothing.';

create or replace function outbox.is_superseded(event outbox.events) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  versions_since bigint;
  queued_since bigint;
  settled_since bigint;
begin
  -- Told, although the answer was lost and the event may be a dead letter itself.
  if exists (
    select from outbox.handled_keys h where h.topic = event.topic and h.key = event.key and h.version > event.version
  ) then
    return true;
  end if;
  -- Settled for good: completed, or closed by a person who has answered for it.
  select
    count(later.version),
    count(*) filter (where later.status = 'completed' or later.status = 'failed' and exists (
      select from outbox.dead_letters d where d.id = later.dead_letter_id and d.resolution is not null
    ))
  into queued_since, settled_since
  from outbox.events later
  where later.topic = event.topic and later.key = event.key
    and case
      when event.version is null then later.created_at > event.created_at
      else later.version > event.version
    end;
  if settled_since > 0 or event.version is null then
    return settled_since > 0;
  end if;

  -- Only what is settled is ever forgotten or erased.
  select s.version - event.version into versions_since
  from outbox.keys s
  where s.topic = event.topic and s.key = event.key;
  return coalesce(versions_since > queued_since, false);
end
$$;
comment on function outbox.is_superseded(outbox.events) is
  'Whether a later event of the key is settled, or was and is forgotten since: sending this one would undo it. Events '
  'without a version are compared by when they were created.';

create or replace function outbox.redrive(
  event_id uuid,
  force boolean default false,
  dry_run boolean default false
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
begin
  select q.* into event from outbox.events q where q.event_id = redrive.event_id for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif event.status in ('pending', 'processing') then
    return jsonb_build_object('outcome', 'already_pending');
  elsif event.status = 'completed' and not outbox.reached_nobody(event) then
    return jsonb_build_object('outcome', 'not_failed');
  elsif not force and outbox.is_superseded(event) then
    return jsonb_build_object('outcome', 'superseded');
  elsif dry_run then
    return jsonb_build_object('outcome', 'would_redrive');
  end if;

  update outbox.dead_letters d
  set resolution = 'redriven', resolved_at = clock_timestamp()
  where d.event_id = redrive.event_id and d.resolution is null;

  -- The topic would repeat its receipt for nobody.
  delete from outbox.receipts r where r.event_id = redrive.event_id and outbox.reached_nobody(event);

  -- last_dispatched_at says that it is ours to send from now on, even if somebody else sent it first.
  update outbox.events q
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
    forced = force
  where q.event_id = redrive.event_id;
  perform outbox.dispatch(array[redrive.event_id], 'redrive');
  return jsonb_build_object('outcome', 'redriven');
end
$$;
comment on function outbox.redrive(uuid, boolean, boolean) is
  'Sends an event again that failed or that reached nobody, with as many attempts and as much time as a new one: '
  'redriven, or would_redrive (dry_run), superseded (see is_superseded(); force overrides it, for the orchestrator too), '
  'already_pending (it is on its way), not_failed (completed, and somebody was notified) or unknown.';

create or replace function outbox.cancel(event outbox.events, notes text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment constant timestamptz := clock_timestamp();
  was_first constant boolean := event.version is not null
    and outbox.is_first_in_line(event.topic, event.key, event.version);
begin
  with letter as (
    insert into outbox.dead_letters (
      event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error,
      resolution, resolved_at, notes
    )
    values (
      event.event_id, event.topic, event.key, event.version, 'cancelled', event.attempts,
      moment, moment, 'cancelled: a person withdrew it before it was processed', 'resolved', moment, cancel.notes
    )
    returning id, last_error
  )
  update outbox.events q
  set
    status = 'failed',
    dead_letter_id = letter.id,
    last_error = letter.last_error,
    leads = null,
    next_attempt_at = null
  from letter
  where q.event_id = event.event_id;

  if was_first then
    perform outbox.release_next(array[event.event_id]);
    perform outbox.dispatch_next(array[event.event_id]);
  end if;
end
$$;
comment on function outbox.cancel(outbox.events, text) is
  'Settles a pending event, which the caller has locked, without sending it, and dispatches the mentor''s next one. A '
  'request that is under way already is answered 409 dead_letter.';

create or replace function outbox.resolve(
  event_id uuid,
  notes text default null,
  dry_run boolean default false
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
  outcome text;
begin
  select q.* into event from outbox.events q where q.event_id = resolve.event_id for update;
  outcome := case
    when not found then 'unknown'
    when event.status = 'pending' then 'cancelled'
    -- Its coordinators may be notified at this moment.
    when event.status = 'processing' then 'in_flight'
    when event.status = 'completed' and not outbox.reached_nobody(event) then 'not_failed'
    when event.receipt ? 'acknowledged' then 'already_resolved'
    when exists (
      select
      from outbox.dead_letters d
      where d.id = event.dead_letter_id and d.resolution is not null
    ) then 'already_resolved'
    else 'resolved'
  end;

  if dry_run then
    outcome := case outcome when 'resolved' then 'would_resolve' when 'cancelled' then 'would_cancel' else outcome end;
  elsif outcome = 'cancelled' then
    perform outbox.cancel(event, notes);
  elsif outcome = 'resolved' then
    update outbox.dead_letters d
    set resolution = 'resolved', resolved_at = clock_timestamp(), notes = resolve.notes
    where d.id = event.dead_letter_id;
    update outbox.events q
    set receipt = q.receipt || jsonb_strip_nulls(jsonb_build_object('acknowledged', true, 'notes', resolve.notes))
    where q.event_id = resolve.event_id and q.status = 'completed';
  end if;
  return jsonb_build_object('outcome', outcome) || case when outcome = 'in_flight' then
    jsonb_build_object('retryAfterSeconds', outbox.seconds_until(event.lease_expires_at))
  else '{}' end;
end
$$;
comment on function outbox.resolve(uuid, text, boolean) is
  'Closes an event without sending it, because a person has dealt with it: resolved (a dead letter, or acknowledged: it '
  'reached nobody) or cancelled (it was pending), or with dry_run would_resolve and would_cancel; in_flight '
  '(processed at this moment; retryAfterSeconds), already_resolved, not_failed or unknown.';

create or replace function outbox.event_history(event_id uuid) returns setof outbox.attempts
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a.*
  from outbox.attempts a
  where a.event_id = event_history.event_id
  order by a.ended_at, a.id
$$;
comment on function outbox.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
