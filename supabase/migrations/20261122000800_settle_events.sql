-- Purpose: the handler's second call: settles the events that it claimed, and hands it the next ones.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.settlement_problem(settlement jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'the settlement is malformed: ' || outbox.shape_problem(settlement, case settlement ->> 'outcome'
    when 'completed' then json '{"eventId": "uuid", "token": "token", "receipt": "object", "durationMs": "number?"}'
    when 'released' then '{
      "eventId": "uuid", "token": "token", "kind": {"enum": ["permanent", "transient", "parked"]}, "message": "string",
      "retryAfterSeconds": "number?", "status": "status?", "durationMs": "number?"
    }'
    else '{"eventId": "uuid", "token": "token", "outcome": {"enum": ["completed", "released"]}, "durationMs": "number?"}'
  end);
end
$$;
comment on function outbox.settlement_problem(jsonb) is 'Everything wrong with a settlement, or null.';

create or replace function outbox.next_of(event_ids uuid[]) returns table (event_id uuid)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  perform outbox.fold_latest(event_ids);
  return query
  select q.event_id
  from outbox.events q
  where q.event_id = any(array(select outbox.heads_of(event_ids)))
    -- Without a delivery, it waits for a retry. In a case, so that the planner does not scan all that is pending.
    and case q.status when 'pending' then q.next_attempt_at <= clock_timestamp() or q.delivery_id is not null end;
end
$$;
comment on function outbox.next_of(uuid[]) is
  'The first event in line for each of these events'' keys, unless it waits for a retry.';

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
    -- Parks events that wait behind others, which would otherwise be found again and again.
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
  'Claims the next events of these events'' keys, then other due events of the topic. Waits for no lock.';

create or replace function outbox.dispatch_next(event_ids uuid[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  ids uuid[] := array(select n.event_id from outbox.next_of(event_ids) n);
begin
  if cardinality(ids) = 0 then
    return 0;
  end if;
  -- If it was posted at its commit, that delivery was refused because it came too early.
  with early as (
    select q.event_id
    from outbox.events q
    -- A person may have cancelled it since.
    where q.event_id = any(ids) and case q.status when 'pending' then q.delivery_id is not null end
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
  'Dispatches the first event in line for each of these events'' keys; returns how many.';

create or replace function outbox.end_settled(settlements jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  endings jsonb;
begin
  -- Locked in one order, like claims. With an old token, or once the lease was taken back, there is nothing to settle.
  with given as materialized (
    select distinct on (1) s."eventId" as event_id, s.*
    from rows from (jsonb_to_recordset(settlements) as (
      "eventId" uuid, token bigint, outcome text, kind text, message text, status text, "retryAfterSeconds" numeric,
      "durationMs" numeric, receipt jsonb
    )) with ordinality as s
    order by 1, s.ordinality
  ), locked as materialized (
    select q.event_id, q.status, q.claim_token
    from outbox.events q
    where q.event_id = any(array(select g.event_id from given g))
    order by q.event_id
    for update
  )
  select jsonb_agg(jsonb_build_object(
    'event_id', g.event_id,
    'outcome', case g.outcome when 'completed' then 'completed' else g.kind end,
    'message', case g.outcome when 'released' then g.message end,
    'http_status', g.status,
    'retry_after_seconds', g."retryAfterSeconds",
    'duration_ms', case when g."durationMs" is not null then least(round(g."durationMs"), 2147483647) end,
    'receipt', g.receipt
  ))
  into endings
  from given g
  join locked l on l.event_id = g.event_id
  where l.status = 'processing' and l.claim_token = g.token;

  return coalesce((select jsonb_object_agg(e.event_id, e.verdict) from outbox.end_attempts_each(endings) e), '{}');
end
$$;
comment on function outbox.end_settled(jsonb) is
  'Ends the attempts whose claims these settlements still hold; returns the verdicts by event id.';

create or replace function public.outbox_settle(settlements jsonb, topic text default null, take integer default 0)
returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off set lock_timeout = '2s' as $$
declare
  most constant integer := least(take, 200);
  problems text[];
  verdicts jsonb;
  settled_ids uuid[];
  answers jsonb;
  next jsonb := '[]';
begin
  perform outbox.require_array(settlements, 'settlements');
  problems := array(
    select outbox.settlement_problem(g.s)
    from jsonb_array_elements(settlements) with ordinality as g (s, place)
    order by g.place
  );
  verdicts := outbox.end_settled((
    select coalesce(jsonb_agg(settlements -> (p.place - 1)::integer order by p.place), '[]')
    from unnest(problems) with ordinality as p (problem, place)
    where p.problem is null
  ));
  settled_ids := array(select v.key::uuid from jsonb_each_text(verdicts) v where v.value <> 'released');

  select coalesce(jsonb_agg(case
    when p.problem is not null then jsonb_build_object(
      'eventId', coalesce(g.s -> 'eventId', 'null'), 'outcome', 'invalid', 'message', p.problem
    )
    else jsonb_build_object('eventId', (g.s ->> 'eventId')::uuid, 'outcome', case
      when known.claim_token is distinct from (g.s ->> 'token')::bigint then 'stale'
      -- The same claimant repeats the call if it did not get the answer.
      else coalesce(
        verdicts ->> known.event_id::text,
        case known.status when 'completed' then 'completed' when 'failed' then 'dead' else 'stale' end
      )
    end)
  end order by p.place), '[]')
  into answers
  from unnest(problems) with ordinality as p (problem, place)
  cross join lateral (select settlements -> (p.place - 1)::integer as s) as g
  left join lateral (
    select q.event_id, q.status, q.claim_token
    from outbox.events q
    where p.problem is null and q.event_id = (g.s ->> 'eventId')::uuid
    limit 1
  ) as known on true;

  if take > 0 and topic is not null then
    next := outbox.claim_next(settled_ids, topic, most);
    -- More keys than that may have a next event.
    if cardinality(settled_ids) > most then
      perform outbox.dispatch_next(settled_ids);
    end if;
  else
    perform outbox.dispatch_next(settled_ids);
    -- While the handler succeeds, each request that ends starts another one.
    if verdicts @? '$.* ? (@ == "completed")' then
      perform outbox.dispatch_due('settled', (select s.events_per_request from outbox.settings s));
    end if;
  end if;
  return jsonb_build_object('settled', answers, 'next', next);
end
$$;
comment on function public.outbox_settle(jsonb, text, integer) is
  'Settles an array of claimed events. Answers settled, in the same order, each with its eventId: completed, released '
  '(it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was '
  'changed) or invalid (message). And next: at most take further events of the topic, claimed for the caller; with take 0 '
  'they are dispatched instead.';

revoke all on function public.outbox_settle(jsonb, text, integer) from public, anon, authenticated;
grant execute on function public.outbox_settle(jsonb, text, integer) to service_role;
