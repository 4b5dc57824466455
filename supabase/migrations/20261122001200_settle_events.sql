-- Purpose: the handler's second function: settles the events that it claimed.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_settle(jsonb), pause_status.settlement_problem(jsonb).

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
      or not pg_input_is_valid(settlement ->> 'eventId', 'uuid') then 'eventId must be a uuid' end,
    case when jsonb_typeof(settlement -> 'token') is distinct from 'number'
      or not pg_input_is_valid(settlement ->> 'token', 'bigint') then 'token must be a whole number' end,
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
          or coalesce(settlement ->> 'status' !~ '^[1-9]\d\d$', false) then 'status must be a whole number of HTTP' end
      )
      else 'outcome must be completed or released'
    end,
    case when coalesce(jsonb_typeof(settlement -> 'durationMs'), 'null') not in ('number', 'null')
      or settlement ->> 'durationMs' like '-%' then 'durationMs must be a number from 0' end
  ), '');
end
$$;
comment on function pause_status.settlement_problem(jsonb) is 'All that is wrong with a settlement, or null.';

create or replace function public.pause_status_settle(settlements jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  endings jsonb;
  settled jsonb;
  settled_ids uuid[];
  mentor_ids uuid[];
  answers jsonb;
begin
  perform pause_status.require_array(settlements, 'settlements');

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
    -- All of them, asked about only below: the index of the leases would be read anew for each event.
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

  select
    coalesce(jsonb_object_agg(e.event_id, e.verdict), '{}'),
    array_agg(e.event_id) filter (where e.verdict <> 'released'),
    array_agg(distinct e.mentor_id) filter (where e.verdict <> 'released')
  into settled, settled_ids, mentor_ids
  from pause_status.end_attempts(endings) e;

  -- In one request, whoever was next in these mentors' lines.
  perform pause_status.dispatch(
    array(
      select next.event_id
      from unnest(mentor_ids) as mentor (id)
      cross join lateral (
        select q.event_id
        from pause_status.webhook_queue q
        where q.mentor_id = mentor.id and q.version is not null and q.status in ('pending', 'processing')
        order by q.version
        limit 1
      ) as next
    ),
    'settled'
  );
  perform pause_status.dispatch_rest(settled_ids);

  select coalesce(
    jsonb_agg(
      jsonb_build_object('eventId', coalesce(to_jsonb(q.event_id), e.settlement -> 'eventId')) || case
        when g.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', g.problem)
        when q.claim_token = (e.settlement ->> 'token')::bigint then jsonb_build_object('outcome', case
          when settled ? q.event_id::text then settled ->> q.event_id::text
          -- The same claimant asks again when the answer was lost on its way.
          when q.status = 'completed' then 'completed'
          when q.status = 'failed' then 'dead'
          else 'stale'
        end)
        else jsonb_build_object('outcome', 'stale')
      end
      order by e.place
    ),
    '[]'
  )
  into answers
  from jsonb_array_elements(settlements) with ordinality as e (settlement, place)
  cross join lateral (select pause_status.settlement_problem(e.settlement) as problem offset 0) as g
  -- The limit keeps the planner from reading the queue from end to end.
  left join lateral (
    select *
    from pause_status.webhook_queue known
    where known.event_id = case when g.problem is null then (e.settlement ->> 'eventId')::uuid end
    limit 1
  ) as q on true;
  return answers;
end
$$;
comment on function public.pause_status_settle(jsonb) is
  'Settles an array of claimed events and dispatches their mentors'' next ones; answers in the same order, each with '
  'its eventId: completed, released (it will be sent again), dead (it is a dead letter now), stale (the claim is no '
  'longer this token''s; nothing was changed) or invalid (message).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_settle(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_settle(jsonb) to service_role;
