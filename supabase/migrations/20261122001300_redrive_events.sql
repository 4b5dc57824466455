-- Purpose: what a person can do with an event: send it again, close it, or cancel it.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.reached_nobody(event outbox.events) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- A receipt without a number says nothing.
  return event.status = 'completed' and coalesce(event.receipt -> 'notified' = '0', false);
end
$$;
comment on function outbox.reached_nobody(outbox.events) is 'Whether it was completed although nobody was notified.';

create or replace function outbox.is_superseded(event outbox.events) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (
    -- Handled, even if the answer was lost and the event became a dead letter.
    select from outbox.handled_keys h where h.topic = event.topic and h.key = event.key and h.version > event.version
  ) or exists (
    select
    from outbox.events later
    left join outbox.dead_letters d on d.id = later.dead_letter_id
    where later.topic = event.topic and later.key = event.key
      and (later.version > event.version or event.version is null and later.created_at > event.created_at)
      and (later.status = 'completed' or d.resolution is not null)
  ) or exists (
    -- Only settled events are ever deleted or erased.
    select
    from outbox.keys k
    where k.topic = event.topic and k.key = event.key and k.version - event.version > (
      select count(*) from outbox.events q where q.topic = k.topic and q.key = k.key and q.version > event.version
    )
  )
$$;
comment on function outbox.is_superseded(outbox.events) is
  'Whether a later event of the key is settled, or was before retention deleted it. Sending this one would undo it.';

create or replace function public.outbox_redrive(
  topic text, event_id uuid, force boolean default false, dry_run boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
  outcome text;
begin
  -- Null would be treated as false, and a dry run would become a real one.
  if force is null or dry_run is null then
    raise exception 'force and dry_run must be true or false, not null' using errcode = 'invalid_parameter_value';
  end if;
  perform outbox.lock_line(array[outbox_redrive.event_id]);
  select q.* into event from outbox.events q
  where q.event_id = outbox_redrive.event_id and q.topic = outbox_redrive.topic for update;
  outcome := case
    when not found then 'unknown'
    when event.status in ('pending', 'processing') then 'already_pending'
    when event.status = 'completed' and not outbox.reached_nobody(event) then 'not_failed'
    when not force and outbox.is_superseded(event) then 'superseded'
    when dry_run then 'would_redrive'
    else 'redriven'
  end;

  if outcome = 'redriven' then
    update outbox.dead_letters d set resolution = 'redriven', resolved_at = clock_timestamp()
    where d.event_id = event.event_id and d.resolution is null;
    -- Otherwise the topic would return its receipt for nobody again.
    delete from outbox.receipts r where r.event_id = event.event_id and event.status = 'completed';
    update outbox.events q
    set
      status = 'pending', next_attempt_at = clock_timestamp(), forced = force, redrives = q.redrives + 1,
      failures = 0, own_failures = 0, first_failed_at = null, last_failed_at = null,
      dead_letter_id = null, receipt = null, completed_at = null, delivery_id = null,
      -- We send it from now on, even if it came from another sender.
      last_dispatched_at = coalesce(q.last_dispatched_at, clock_timestamp())
    where q.event_id = event.event_id;
    perform outbox.dispatch(array[event.event_id], 'redrive');
  end if;
  return jsonb_build_object('outcome', outcome, 'event', (
    select outbox.describe_event(q) from outbox.events q where q.event_id = event.event_id
  ));
end
$$;
comment on function public.outbox_redrive(text, uuid, boolean, boolean) is
  'Sends an event that failed or reached nobody again, like a new one; with force even if a later one is settled.';

create or replace function outbox.cancel(event outbox.events) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  letter outbox.dead_letters;
begin
  insert into outbox.dead_letters
    (event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error)
  values (
    event.event_id, event.topic, event.key, event.version, 'cancelled', event.attempts, now(), now(),
    'cancelled: a person withdrew it before it was processed'
  )
  returning * into letter;
  update outbox.events q
  set
    status = 'failed', dead_letter_id = letter.id, last_error = letter.last_error,
    next_attempt_at = null, leads = null
  where q.event_id = event.event_id;
  if event.version is not null and outbox.is_first_in_line(event.topic, event.key, event.version) then
    perform outbox.release_next(array[event.event_id]);
    perform outbox.dispatch_next(array[event.event_id]);
  end if;
  return letter.id;
end
$$;
comment on function outbox.cancel(outbox.events) is
  'Turns a pending event, which the caller has locked, into a dead letter, and dispatches the key''s next event.';

create or replace function public.outbox_resolve(
  topic text, event_id uuid, notes text default null, dry_run boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
  outcome text;
begin
  if dry_run is null then
    raise exception 'dry_run must be true or false, not null' using errcode = 'invalid_parameter_value';
  elsif octet_length(notes) > 8192 then
    raise exception 'notes must be at most 8192 bytes, but they are %', octet_length(notes)
      using errcode = 'invalid_parameter_value', hint = 'Shorten them, or keep them elsewhere and give a link.';
  end if;
  perform outbox.lock_line(array[outbox_resolve.event_id]);
  select q.* into event from outbox.events q
  where q.event_id = outbox_resolve.event_id and q.topic = outbox_resolve.topic for update;
  outcome := case
    when not found then 'unknown'
    when event.status = 'processing' then 'in_flight'
    when event.status = 'completed' and not outbox.reached_nobody(event) then 'not_failed'
    when event.receipt ? 'acknowledged' then 'already_resolved'
    when exists (select from outbox.dead_letters d where d.id = event.dead_letter_id and d.resolution is not null)
      then 'already_resolved'
    when event.status = 'pending' then case when dry_run then 'would_cancel' else 'cancelled' end
    else case when dry_run then 'would_resolve' else 'resolved' end
  end;

  if outcome = 'cancelled' then
    event.dead_letter_id := outbox.cancel(event);
  end if;
  if outcome in ('cancelled', 'resolved') then
    update outbox.dead_letters d
    set resolution = 'resolved', resolved_at = clock_timestamp(), notes = outbox_resolve.notes
    where d.id = event.dead_letter_id;
    update outbox.events q
    set receipt = q.receipt || jsonb_strip_nulls(jsonb_build_object('acknowledged', true, 'notes', notes))
    where q.event_id = event.event_id and q.status = 'completed';
  end if;
  return jsonb_build_object('outcome', outcome, 'event', (
    select outbox.describe_event(q) from outbox.events q where q.event_id = event.event_id
  )) || case when outcome = 'in_flight' then
    jsonb_build_object('retryAfterSeconds', outbox.seconds_until(event.lease_expires_at))
  else '{}' end;
end
$$;
comment on function public.outbox_resolve(text, uuid, text, boolean) is
  'Closes an event without sending it, because a person has dealt with it. Cancels it if it is pending.';

create or replace function outbox.redrive(event_id uuid, force boolean default false, dry_run boolean default false)
returns jsonb language sql set search_path = pg_catalog, pg_temp as $$
  select public.outbox_redrive(
    (select q.topic from outbox.events q where q.event_id = redrive.event_id), event_id, force, dry_run
  ) - 'event'
$$;
comment on function outbox.redrive(uuid, boolean, boolean) is 'outbox_redrive() for any topic.';

create or replace function outbox.resolve(event_id uuid, notes text default null, dry_run boolean default false)
returns jsonb language sql set search_path = pg_catalog, pg_temp as $$
  select public.outbox_resolve(
    (select q.topic from outbox.events q where q.event_id = resolve.event_id), event_id, notes, dry_run
  ) - 'event'
$$;
comment on function outbox.resolve(uuid, text, boolean) is 'outbox_resolve() for any topic.';

create or replace function outbox.event_history(event_id uuid) returns setof outbox.attempts
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a.* from outbox.attempts a where a.event_id = event_history.event_id order by a.ended_at, a.id
$$;
comment on function outbox.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

revoke all on function public.outbox_redrive(text, uuid, boolean, boolean) from public, anon, authenticated;
revoke all on function public.outbox_resolve(text, uuid, text, boolean) from public, anon, authenticated;
grant execute on function public.outbox_redrive(text, uuid, boolean, boolean) to service_role;
grant execute on function public.outbox_resolve(text, uuid, text, boolean) to service_role;
