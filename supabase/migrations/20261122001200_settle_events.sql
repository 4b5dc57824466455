-- Purpose: the handler's second function: settles the events that it claimed, and hands it the next ones.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_settle(jsonb, integer), pause_status.answer_settlement(jsonb, jsonb),
--          pause_status.end_settled(jsonb), pause_status.dispatch_next(uuid[]),
--          pause_status.claim_next(uuid[], integer), pause_status.next_of(uuid[]), pause_status.settlement_problem(jsonb).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.settlement_problem(settlement jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return 'the settlement is malformed: ' || nullif(concat_ws('; ',
    case when jsonb_typeof(settlement -> 'eventId') is distinct from 'string'
      or not pause_status.is_uuid(settlement ->> 'eventId') then 'eventId must be a uuid' end,
    case when jsonb_typeof(settlement -> 'token') is distinct from 'number'
      or not pause_status.is_bigint(settlement ->> 'token') then 'token must be a whole number' end,
    case settlement ->> 'outcome'
      when 'completed' then
        case when jsonb_typeof(settlement -> 'receipt') is distinct from 'object'
          then 'receipt must be a JSON object' end
      when 'released' then concat_ws('; ',
        case when coalesce(settlement ->> 'kind' not in ('transient', 'permanent', 'parked'), true)
          then 'kind must be transient, permanent or parked' end,
        case when jsonb_typeof(settlement -> 'message') is distinct from 'string' then 'message must be a string' end,
        case when coalesce(jsonb_typeof(settlement -> 'retryAfterSeconds'), 'null') not in ('number', 'null')
          or settlement ->> 'retryAfterSeconds' like '-%' then 'retryAfterSeconds must be a number from 0' end,
        case when coalesce(jsonb_typeof(settlement -> 'status'), 'null') not in ('number', 'null')
          or coalesce(settlement ->> 'status' !~ '^[1-9][0-9][0-9]$', false)
          then 'status must be a whole number of HTTP' end
      )
      else 'outcome must be completed or released'
    end,
    case when coalesce(jsonb_typeof(settlement -> 'durationMs'), 'null') not in ('number', 'null')
      or settlement ->> 'durationMs' like '-%' then 'durationMs must be a number from 0' end
  ), '');
end
$$;
comment on function pause_status.settlement_problem(jsonb) is 'All that is wrong with a settlement, or null.';

create or replace function pause_status.next_of(mentor_ids uuid[])
returns table (event_id uuid)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  return query
  select head.event_id
  from unnest(mentor_ids) as mentor (id)
  cross join lateral (
    select q.event_id, q.status, q.next_attempt_at, q.delivery_id, q.failures
    from pause_status.webhook_queue q
    where q.mentor_id = mentor.id and q.version is not null and q.status in ('pending', 'processing')
    order by q.version
    limit 1
  ) as head
  where head.status = 'pending'
    -- One that has failed before keeps its wait.
    and (head.next_attempt_at <= clock_timestamp() or head.delivery_id is not null and head.failures = 0);
end
$$;
comment on function pause_status.next_of(uuid[]) is
  'The event that is first in line of each of these mentors, unless it waits for a retry.';

create or replace function pause_status.claim_next(mentor_ids uuid[], most integer)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  moment timestamptz := clock_timestamp();
  ids uuid[];
  held pause_status.webhook_queue[];
begin
  ids := array(
    select q.event_id
    from pause_status.webhook_queue q
    where q.event_id = any(array(select n.event_id from pause_status.next_of(mentor_ids) n limit most))
    for update skip locked
  );
  -- The rest of a large update, or of an outage.
  ids := ids || array(
    select q.event_id
    from pause_status.webhook_queue q
    where q.status = 'pending'
      and q.delivery_id is null
      and q.next_attempt_at <= moment
      and q.event_id <> all(ids)
    order by q.next_attempt_at
    limit most - cardinality(ids)
    for update skip locked
  );

  held := array(select h from pause_status.hold(ids) h);
  if cardinality(held) < cardinality(ids) then
    -- What waits behind others would be found again and again.
    perform pause_status.park(array(select unnest(ids) except select h.event_id from unnest(held) h));
  end if;

  return coalesce((
    select jsonb_agg(jsonb_build_object(
      'event', jsonb_build_object(
        'eventId', h.event_id,
        'mentorId', h.mentor_id,
        'transition', h.transition,
        'oldStatus', h.old_status,
        'newStatus', h.new_status,
        'occurredAt', pause_status.payload_of(h) -> 'timestamp',
        'source', h.source
      ) || jsonb_strip_nulls(jsonb_build_object(
        'version', h.version, 'force', pause_status.payload_of(h) -> 'force'
      )),
      'token', h.claim_token,
      'attempt', greatest(h.attempts, 1),
      'leaseSeconds', (select s.lease_seconds from pause_status.settings s)
    ))
    from unnest(held) h
  ), '[]');
end
$$;
comment on function pause_status.claim_next(uuid[], integer) is
  'Claims the next events of these mentors, then whatever else is due, as PauseEvents with their tokens. Waits for no '
  'lock: what somebody else holds is theirs.';

create or replace function pause_status.dispatch_next(mentor_ids uuid[])
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  ids uuid[] := array(select n.event_id from pause_status.next_of(mentor_ids) n);
begin
  if cardinality(ids) = 0 then
    return 0;
  end if;
  -- One that was posted at its commit has been answered that it comes too early.
  with early as (
    select q.event_id
    from pause_status.webhook_queue q
    where q.event_id = any(ids) and q.delivery_id is not null
    for update skip locked
  )
  update pause_status.webhook_queue q
  set delivery_id = null, attempts = q.attempts - 1, next_attempt_at = clock_timestamp()
  from early e
  where q.event_id = e.event_id;
  return pause_status.dispatch(ids, 'settled');
end
$$;
comment on function pause_status.dispatch_next(uuid[]) is
  'Dispatches the event that is first in line of each of these mentors; returns how many.';

create or replace function pause_status.end_settled(settlements jsonb)
returns table (event_id uuid, mentor_id uuid, verdict text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  endings jsonb;
begin
  -- Locked in one order, like claims. With an old token, or after the lease was taken back, there is nothing to settle.
  with given as materialized (
    select e.settlement, e.place
    from jsonb_array_elements(settlements) with ordinality as e (settlement, place)
    where pause_status.settlement_problem(e.settlement) is null
  ), wanted as materialized (
    select distinct on (1) (g.settlement ->> 'eventId')::uuid as event_id, g.settlement
    from given g
    order by 1, g.place
  ), locked as materialized (
    -- All of them, asked about only below: the index of the leases would be read again for each event.
    select q.event_id, q.status, q.claim_token, w.settlement
    from wanted w
    join pause_status.webhook_queue q on q.event_id = w.event_id
    order by q.event_id
    for update of q
  )
  select
    jsonb_agg(jsonb_build_object(
      'event_id', l.event_id,
      'outcome', case l.settlement ->> 'outcome' when 'completed' then 'completed' else l.settlement ->> 'kind' end,
      'message', case l.settlement ->> 'outcome' when 'released' then l.settlement ->> 'message' end,
      'http_status', l.settlement -> 'status',
      'retry_after_seconds', l.settlement -> 'retryAfterSeconds',
      'duration_ms', case
        when l.settlement ->> 'durationMs' is not null
          then least(round((l.settlement ->> 'durationMs')::numeric), 2147483647)
      end,
      'receipt', l.settlement -> 'receipt'
    ))
  into endings
  from locked l
  where l.status = 'processing' and l.claim_token = (l.settlement ->> 'token')::bigint;

  if endings is not null then
    return query select * from pause_status.end_attempts_each(endings);
  end if;
end
$$;
comment on function pause_status.end_settled(jsonb) is
  'Ends the attempts whose claims these settlements still hold; returns what became of them.';

create or replace function pause_status.answer_settlement(settlement jsonb, settled jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  problem text := pause_status.settlement_problem(settlement);
  id uuid;
  known pause_status.webhook_queue;
begin
  if problem is not null then
    return jsonb_build_object('eventId', coalesce(settlement -> 'eventId', 'null'), 'outcome', 'invalid', 'message', problem);
  end if;
  id := settlement ->> 'eventId';
  select q.* into known from pause_status.webhook_queue q where q.event_id = id;
  return jsonb_build_object('eventId', id, 'outcome', case
    when known.claim_token is distinct from (settlement ->> 'token')::bigint then 'stale'
    when settled ? id::text then settled ->> id::text
    -- The same claimant asks again when the answer was lost on its way.
    when known.status = 'completed' then 'completed'
    when known.status = 'failed' then 'dead'
    else 'stale'
  end);
end
$$;
comment on function pause_status.answer_settlement(jsonb, jsonb) is
  'What a settlement came to. Settled has the verdicts by event id.';

-- Its form without take; beside the other, a call with one argument would be ambiguous.
drop function if exists public.pause_status_settle(jsonb);

create or replace function public.pause_status_settle(settlements jsonb, take integer default 0)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
  settled jsonb;
  mentor_ids uuid[];
  any_completed boolean;
  next jsonb := '[]';
begin
  perform pause_status.require_array(settlements, 'settlements');
  select
    coalesce(jsonb_object_agg(e.event_id, e.verdict), '{}'),
    array_agg(distinct e.mentor_id) filter (where e.verdict <> 'released'),
    bool_or(e.verdict = 'completed')
  into settled, mentor_ids, any_completed
  from pause_status.end_settled(settlements) e;

  if take > 0 then
    next := pause_status.claim_next(mentor_ids, least(take, 200));
  else
    perform pause_status.dispatch_next(mentor_ids);
    -- While the handler succeeds, each request that ends brings another one along.
    if any_completed then
      perform pause_status.dispatch_due('settled', (select s.events_per_request from pause_status.settings s));
    end if;
  end if;

  return jsonb_build_object(
    'settled', coalesce(
      (
        select jsonb_agg(pause_status.answer_settlement(e.settlement, settled) order by e.place)
        from jsonb_array_elements(settlements) with ordinality as e (settlement, place)
      ),
      '[]'
    ),
    'next', next
  );
end
$$;
comment on function public.pause_status_settle(jsonb, integer) is
  'Settles an array of claimed events. Answers settled, in the same order, each with its eventId: completed, released '
  '(it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was '
  'changed) or invalid (message). And next: at most take further events, claimed for the caller; with take 0 they are '
  'dispatched instead.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_settle(jsonb, integer) from public, anon, authenticated;
grant execute on function public.pause_status_settle(jsonb, integer) to service_role;
