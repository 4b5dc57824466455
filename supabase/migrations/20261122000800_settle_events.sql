-- Purpose: the handler's second call: settles the events that it claimed, and hands it the next ones.
-- Locks:   none on existing tables.
-- Undo:    drop function public.outbox_settle(jsonb, text, integer), outbox.settled_as(jsonb, jsonb),
--          outbox.end_settled(jsonb), outbox.dispatch_next(uuid[]), outbox.claim_next(uuid[], text, integer),
--          outbox.next_of(uuid[]), outbox.settlement_problem(jsonb).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.settlement_problem(settlement jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'the settlement is malformed: ' || nullif(concat_ws('; ',
    case when jsonb_typeof(settlement -> 'eventId') is distinct from 'string' or not outbox.is_uuid(settlement ->> 'eventId')
      then 'eventId must be a uuid' end,
    case when jsonb_typeof(settlement -> 'token') is distinct from 'number' or settlement ->> 'token' !~ '^[0-9]{1,18}$'
      then 'token must be a whole number' end,
    case settlement ->> 'outcome'
      when 'completed' then
        case when jsonb_typeof(settlement -> 'receipt') is distinct from 'object' then 'receipt must be a JSON object' end
      when 'released' then concat_ws('; ',
        case when coalesce(settlement -> 'kind' not in ('"permanent"', '"transient"', '"parked"'), true)
          then 'kind must be permanent, transient or parked' end,
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
comment on function outbox.settlement_problem(jsonb) is 'All that is wrong with a settlement, or null.';

create or replace function outbox.next_of(event_ids uuid[]) returns table (event_id uuid)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  perform outbox.fold_latest(event_ids);
  return query
  select distinct head.event_id
  from outbox.events settled
  cross join lateral (
    select q.event_id, q.status, q.next_attempt_at, q.delivery_id, q.failures
    from outbox.events q
    where q.topic = settled.topic and q.key = settled.key and q.version is not null
      and q.status in ('pending', 'processing')
    order by q.version
    limit 1
  ) as head
  where settled.event_id = any(event_ids)
    and head.status = 'pending'
    -- One that has failed before keeps its wait.
    and (head.next_attempt_at <= clock_timestamp() or head.delivery_id is not null and head.failures = 0);
end
$$;
comment on function outbox.next_of(uuid[]) is
  'The event that is first in line of each of these events'' keys, unless it waits for a retry.';

create or replace function outbox.claim_next(event_ids uuid[], topic text, most integer) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_bitmapscan = off set jit = off as $$
declare
  moment timestamptz := clock_timestamp();
  lease_seconds integer := (select s.lease_seconds from outbox.settings s);
  ids uuid[];
  held outbox.events[];
begin
  ids := array(
    select q.event_id
    from outbox.events q
    where q.event_id = any(array(select n.event_id from outbox.next_of(event_ids) n limit most))
      and q.topic = claim_next.topic
    for update skip locked
  );
  -- The rest of a large update, or of an outage.
  ids := ids || array(
    select q.event_id
    from outbox.events q
    where q.status = 'pending' and q.delivery_id is null and q.next_attempt_at <= moment
      and q.topic = claim_next.topic and q.event_id <> all(ids)
    order by q.next_attempt_at
    limit most - cardinality(ids)
    for update skip locked
  );

  held := array(select h from outbox.hold(ids) h);
  if cardinality(held) < cardinality(ids) then
    -- What waits behind others would be found again and again.
    perform outbox.park(array(select unnest(ids) except select h.event_id from unnest(held) h));
  end if;
  return coalesce((
    select jsonb_agg(jsonb_build_object(
      'payload', outbox.body(h), 'token', h.claim_token, 'attempt', greatest(h.attempts, 1), 'leaseSeconds', lease_seconds
    ))
    from unnest(held) h
  ), '[]');
end
$$;
comment on function outbox.claim_next(uuid[], text, integer) is
  'Claims the next events of these events'' keys, then whatever else is due of the topic. Waits for no lock.';

create or replace function outbox.dispatch_next(event_ids uuid[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  ids uuid[] := array(select n.event_id from outbox.next_of(event_ids) n);
begin
  if cardinality(ids) = 0 then
    return 0;
  end if;
  -- One that was posted at its commit has been answered that it comes too early.
  with early as (
    select q.event_id
    from outbox.events q
    where q.event_id = any(ids) and q.delivery_id is not null
    for update skip locked
  )
  update outbox.events q
  set delivery_id = null, attempts = q.attempts - 1, next_attempt_at = clock_timestamp()
  from early e
  where q.event_id = e.event_id;
  return outbox.dispatch(ids, 'settled');
end
$$;
comment on function outbox.dispatch_next(uuid[]) is
  'Dispatches the event that is first in line of each of these events'' keys; returns how many.';

create or replace function outbox.end_settled(settlements jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
#variable_conflict use_column
declare
  endings jsonb;
begin
  -- Locked in one order, like claims. With an old token, or after the lease was taken back, there is nothing to settle.
  with wanted as materialized (
    select distinct on (1) (e.settlement ->> 'eventId')::uuid as event_id, e.settlement as s
    from jsonb_array_elements(settlements) with ordinality as e (settlement, place)
    where outbox.settlement_problem(e.settlement) is null
    order by 1, e.place
  ), locked as materialized (
    -- All of them, asked about only below: the index of the leases would be read again for each event.
    select q.event_id, q.status, q.claim_token, w.s
    from wanted w
    join outbox.events q on q.event_id = w.event_id
    order by q.event_id
    for update of q
  )
  select jsonb_agg(jsonb_build_object(
    'event_id', l.event_id,
    'outcome', case l.s ->> 'outcome' when 'completed' then 'completed' else l.s ->> 'kind' end,
    'message', case l.s ->> 'outcome' when 'released' then l.s ->> 'message' end,
    'http_status', l.s -> 'status',
    'retry_after_seconds', l.s -> 'retryAfterSeconds',
    'duration_ms', case when l.s ->> 'durationMs' is not null
      then least(round((l.s ->> 'durationMs')::numeric), 2147483647) end,
    'receipt', l.s -> 'receipt'
  ))
  into endings
  from locked l
  where l.status = 'processing' and l.claim_token = (l.s ->> 'token')::bigint;

  if endings is not null then
    return query select * from outbox.end_attempts_each(endings);
  end if;
end
$$;
comment on function outbox.end_settled(jsonb) is
  'Ends the attempts whose claims these settlements still hold; returns what became of them.';

create or replace function outbox.settled_as(settlement jsonb, verdicts jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  problem text := outbox.settlement_problem(settlement);
  id uuid;
  known outbox.events;
begin
  if problem is not null then
    return jsonb_build_object('eventId', coalesce(settlement -> 'eventId', 'null'), 'outcome', 'invalid', 'message', problem);
  end if;
  id := settlement ->> 'eventId';
  select q.* into known from outbox.events q where q.event_id = id;
  return jsonb_build_object('eventId', id, 'outcome', case
    when known.claim_token is distinct from (settlement ->> 'token')::bigint then 'stale'
    when verdicts ? id::text then verdicts ->> id::text
    -- The same claimant asks again when the answer was lost on its way.
    when known.status = 'completed' then 'completed'
    when known.status = 'failed' then 'dead'
    else 'stale'
  end);
end
$$;
comment on function outbox.settled_as(jsonb, jsonb) is 'What a settlement came to. Verdicts by event id.';

create or replace function public.outbox_settle(settlements jsonb, topic text default null, take integer default 0)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
  verdicts jsonb;
  settled_ids uuid[];
  next jsonb := '[]';
begin
  perform outbox.require_array(settlements, 'settlements');
  select
    coalesce(jsonb_object_agg(e.event_id, e.verdict), '{}'),
    array_agg(e.event_id) filter (where e.verdict <> 'released')
  into verdicts, settled_ids
  from outbox.end_settled(settlements) e;

  if take > 0 and topic is not null then
    next := outbox.claim_next(settled_ids, topic, least(take, 200));
  else
    perform outbox.dispatch_next(settled_ids);
    -- While the handler succeeds, each request that ends brings another one along.
    if verdicts @? '$.* ? (@ == "completed")' then
      perform outbox.dispatch_due('settled', (select s.events_per_request from outbox.settings s));
    end if;
  end if;

  return jsonb_build_object(
    'settled', coalesce(
      (
        select jsonb_agg(outbox.settled_as(e.settlement, verdicts) order by e.place)
        from jsonb_array_elements(settlements) with ordinality as e (settlement, place)
      ),
      '[]'
    ),
    'next', next
  );
end
$$;
comment on function public.outbox_settle(jsonb, text, integer) is
  'Settles an array of claimed events. Answers settled, in the same order, each with its eventId: completed, released '
  '(it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was '
  'changed) or invalid (message). And next: at most take further events of the topic, claimed for the caller; with take 0 '
  'they are dispatched instead.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_settle(jsonb, text, integer) from public, anon, authenticated;
grant execute on function public.outbox_settle(jsonb, text, integer) to service_role;
