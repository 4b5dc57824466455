-- Purpose: the handler's first function: claims events.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_claim(jsonb), pause_status.refusal(pause_status.reading),
--          pause_status.insert_stock(pause_status.reading[]), pause_status.claim(uuid[]),
--          pause_status.await_settlements(uuid[]), pause_status.hold(uuid[]).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.hold(event_ids uuid[])
returns setof pause_status.webhook_queue
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  moment timestamptz := clock_timestamp();
  lease interval := (select make_interval(secs => s.lease_seconds) from pause_status.settings s);
begin
  return query
  with lapsed as (
    insert into pause_status.webhook_attempts (
      event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, error
    )
    select
      q.event_id, q.attempts, q.dispatch_reason, q.last_dispatched_at, q.delivery_id, q.claim_token, 'lease',
      'lease: it ran out before the handler settled the event, which then came again'
    from pause_status.webhook_queue q
    where q.event_id = any(event_ids) and q.status = 'processing' and q.lease_expires_at <= moment
    returning event_id
  )
  update pause_status.webhook_queue q
  set
    status = 'processing',
    -- Dispatches are counted when they are made; what came otherwise is counted here.
    attempts = q.attempts + (q.delivery_id is null)::integer,
    failures = q.failures + (q.status = 'processing')::integer,
    first_failed_at = case q.status when 'processing' then coalesce(q.first_failed_at, moment) else q.first_failed_at end,
    last_failed_at = case q.status when 'processing' then moment else q.last_failed_at end,
    claim_token = q.claim_token + 1,
    lease_expires_at = moment + lease,
    next_attempt_at = null,
    leads = null
  where q.event_id = any(event_ids)
    -- In a case, or else the planner may go through all that is pending.
    and case
      when q.status = 'pending' or q.status = 'processing' and q.lease_expires_at <= moment
        then pause_status.is_first_in_line(q.mentor_id, q.version)
    end
  returning q.*;
end
$$;
comment on function pause_status.hold(uuid[]) is
  'Claims those of the events, which the caller has locked, that can be claimed: pending, or claimed by somebody whose '
  'lease has run out, and their mentor''s lowest unsettled version.';

create or replace function pause_status.await_settlements(event_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- Shorter than deadlock_timeout: whoever settles may wait for a row that we hold.
set lock_timeout = '200ms'
as $$
begin
  perform
  from unnest(event_ids) as blocked (event_id)
  join pause_status.webhook_queue b on b.event_id = blocked.event_id
  join pause_status.webhook_queue earlier
    on earlier.mentor_id = b.mentor_id and earlier.version < b.version and earlier.status = 'processing'
  for share of earlier;
exception when lock_not_available then
  return;
end
$$;
comment on function pause_status.await_settlements(uuid[]) is
  'Waits until nobody is settling an earlier event of these mentors: whoever does cannot see the later one yet.';

create or replace function pause_status.claim(event_ids uuid[])
returns setof pause_status.webhook_queue
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  held pause_status.webhook_queue[];
  left_over uuid[];
begin
  -- In one order, so that overlapping batches wait for each other instead of deadlocking.
  perform from pause_status.webhook_queue q where q.event_id = any(event_ids) order by q.event_id for update;
  held := array(select h from pause_status.hold(event_ids) h);
  return query select * from unnest(held);

  left_over := array(
    select q.event_id
    from pause_status.webhook_queue q
    where q.event_id = any(event_ids)
      -- In a case, as above.
      and case q.status when 'pending' then q.event_id <> all(array(select h.event_id from unnest(held) h)) end
  );
  if cardinality(left_over) > 0 then
    perform pause_status.await_settlements(left_over);
    return query select * from pause_status.hold(left_over);
  end if;
end
$$;
comment on function pause_status.claim(uuid[]) is 'Claims what can be claimed of these events, each for itself.';

create or replace function pause_status.insert_stock(readings pause_status.reading[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
  insert into pause_status.webhook_queue (
    event_id, mentor_id, transition, old_status, new_status, occurred_at, source, payload, fingerprint
  )
  select distinct on (r.event_id)
    r.event_id, r.mentor_id, r.transition, r.old_status, r.new_status, r.occurred_at, r.source, r.payload, r.fingerprint
  from unnest(readings) r
  where r.source = 'webhook' and r.problem is null and pause_status.erased_as(r.event_id, r.fingerprint) is null
  order by r.event_id, r.place
  on conflict (event_id) do nothing;

  -- It may have been erased in this moment: then its row was gone before the tombstone could be seen.
  delete from pause_status.webhook_queue q
  using unnest(readings) r, pause_status.erased_events e
  where q.event_id = r.event_id and e.event_id = r.event_id and r.source = 'webhook' and q.claim_token = 0;
end
$$;
comment on function pause_status.insert_stock(pause_status.reading[]) is
  'Puts stock webhooks into the queue, which keeps them apart by their event id. Nothing else is inserted by a claim.';

create or replace function pause_status.refusal(reading pause_status.reading)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  known pause_status.webhook_queue;
  earlier_lease_ends timestamptz;
  retry_base integer := (select s.retry_base_seconds from pause_status.settings s);
begin
  select q.* into known from pause_status.webhook_queue q where q.event_id = reading.event_id;
  if not found then
    return case pause_status.erased_as(reading.event_id, reading.fingerprint)
      when 'completed' then jsonb '{"outcome": "completed", "receipt": {"erased": true}}'
      when 'payload_mismatch' then jsonb '{"outcome": "payload_mismatch"}'
      else jsonb '{"outcome": "unknown_event"}'
    end;
  elsif known.fingerprint <> reading.fingerprint then
    return '{"outcome": "payload_mismatch"}';
  elsif known.status = 'completed' then
    return jsonb_build_object('outcome', 'completed', 'receipt', known.receipt);
  elsif known.status = 'failed' then
    return '{"outcome": "failed"}';
  elsif known.status = 'processing' then
    return jsonb_build_object(
      'outcome', 'in_flight',
      'retryAfterSeconds', greatest(1, ceil(extract(epoch from known.lease_expires_at - clock_timestamp())))
    );
  end if;

  select q.lease_expires_at into earlier_lease_ends
  from pause_status.webhook_queue q
  where q.mentor_id = known.mentor_id and q.version < known.version and q.status in ('pending', 'processing')
  order by q.version
  limit 1;
  if found then
    return jsonb_build_object(
      'outcome', 'out_of_order',
      'retryAfterSeconds', greatest(1, ceil(extract(epoch from earlier_lease_ends - clock_timestamp())), retry_base)
    );
  end if;
  -- It was released since: then it can be claimed in a moment.
  return '{"outcome": "in_flight", "retryAfterSeconds": 1}';
end
$$;
comment on function pause_status.refusal(pause_status.reading) is 'Why an event could not be claimed.';

create or replace function public.pause_status_claim(events jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set lock_timeout = '2s'
as $$
declare
  readings pause_status.reading[] := pause_status.read_events(events);
  lease_seconds integer := (select s.lease_seconds from pause_status.settings s);
  held pause_status.webhook_queue[];
  answers jsonb;
  unknown integer;
begin
  if exists (select from unnest(readings) r where r.source = 'webhook') then
    perform pause_status.insert_stock(readings);
  end if;
  held := array(
    select c
    from pause_status.claim(array(
      select q.event_id
      from unnest(readings) r
      join pause_status.webhook_queue q on q.event_id = r.event_id and q.fingerprint = r.fingerprint
    )) c
  );

  select
    coalesce(jsonb_agg(a.answer order by a.place), '[]'),
    count(*) filter (where a.answer ->> 'outcome' = 'unknown_event')
  into answers, unknown
  from (
    select r.place, jsonb_build_object('eventId', coalesce(to_jsonb(r.event_id), r.event_id_as_given)) || case
      when r.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', r.problem)
      when claimed.token is not null then jsonb_build_object(
        'outcome', 'claimed', 'token', claimed.token, 'attempt', claimed.attempt, 'leaseSeconds', lease_seconds
      )
      else pause_status.refusal(r)
    end as answer
    from unnest(readings) r
    left join (
      -- Of two equal ones in a batch, the first has it.
      select distinct on (h.event_id) first.place, h.claim_token as token, greatest(h.attempts, 1) as attempt
      from unnest(held) h
      join unnest(readings) first on first.event_id = h.event_id and first.fingerprint = h.fingerprint
      order by h.event_id, first.place
    ) as claimed on claimed.place = r.place
  ) as a;

  if unknown > 0 then
    perform pause_status.raise_alert('unknown_event', unknown, (
      'events that this outbox does not have were refused: a clone or branch of this project shares its function URL and '
      'webhook secret, or a crash lost their transactions'
    ));
  end if;
  return answers;
end
$$;
comment on function public.pause_status_claim(jsonb) is
  'Claims an array of PauseEvents, each for one lease; answers in the same order, each with its eventId: claimed '
  '(token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt; also of an erased event), '
  'payload_mismatch (same key, other payload), failed (terminal), out_of_order (retryAfterSeconds: an earlier version '
  'of the mentor is unsettled), unknown_event (this outbox never queued it) or invalid (message).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_claim(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_claim(jsonb) to service_role;
