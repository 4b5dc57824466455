-- Purpose: the handler's first function: claims events.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_claim(jsonb), pause_status.claim(pause_status.reading[]),
--          pause_status.claim_next(pause_status.reading, pause_status.settings).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

-- PostgREST takes its connections in turn and closes those that are idle, so a change after a quiet minute waits until
-- every statement on its way is planned anew. That of `claim` is the largest of all; the usual event, alone and waiting
-- in the queue, needs none of its cases and is spared its plan.
create or replace function pause_status.claim_next(reading pause_status.reading, settings pause_status.settings)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  answer jsonb;
begin
  update pause_status.webhook_queue q
  set
    status = 'processing',
    attempts = q.attempts + case when q.source = 'webhook' and q.delivery_id is null then 1 else 0 end,
    claim_token = q.claim_token + 1,
    lease_expires_at = clock_timestamp() + make_interval(secs => settings.lease_seconds),
    next_attempt_at = null
  where q.event_id = reading.event_id
    -- In a case, or else the planner may go through all that is pending. The fingerprint says also that it is the same
    -- mentor and the same version.
    and case when q.status = 'pending' and q.fingerprint = reading.fingerprint
      then pause_status.is_first_in_line(q.mentor_id, q.version)
    end
  returning jsonb_build_object(
    'eventId', q.event_id,
    'outcome', 'claimed',
    'token', q.claim_token,
    'attempt', greatest(q.attempts, 1),
    'leaseSeconds', settings.lease_seconds
  ) into answer;
  return answer;
end
$$;
comment on function pause_status.claim_next(pause_status.reading, pause_status.settings) is
  'Claims a pending event of whose mentor no earlier version is unsettled, and answers so; null for any other event.';

create or replace function pause_status.claim(readings pause_status.reading[])
returns table (place integer, event_id uuid, token bigint, attempt integer)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  -- Also the mark of what ended here: nothing else gives a row exactly this time.
  ended timestamptz := clock_timestamp();
  lease interval := (select make_interval(secs => s.lease_seconds) from pause_status.settings s);
begin
  return query
  with once as materialized (
    select distinct on (r.event_id) r.*, exists (
        select from pause_status.webhook_queue known where known.event_id = r.event_id
      ) as is_queued
    from unnest(readings) r
    where r.problem is null
    order by r.event_id, r.place
  ), alive as materialized (
    -- Asked about only those that are not in the queue: of what we send ourselves, next to none.
    select o.*
    from once o
    where o.is_queued
      or not exists (select from pause_status.erased_events e where e.event_id = o.event_id)
  ), given as materialized (
    select
      o.*,
      row_number() over (partition by o.mentor_id, o.version order by o.place) as turn,
      -- Those that are not in the queue yet: their rows were lost.
      min(o.version) filter (where not o.is_queued) over (partition by o.mentor_id) as lowest_lost
    from alive o
  ), first_in_line as materialized (
    select g.*
    from given g
    where g.version is null
      or (
        g.turn = 1
        and (g.lowest_lost is null or g.lowest_lost >= g.version)
        and pause_status.is_first_in_line(g.mentor_id, g.version)
        -- Or else the mentor's version belongs to another event.
        and (
          select other.event_id
          from pause_status.webhook_queue other
          where other.mentor_id = g.mentor_id and other.version = g.version
        ) is not distinct from case when g.is_queued then g.event_id end
      )
  ), claimed as (
    -- One statement, so that of any number of claimers at once exactly one gets a row back; and one pass in one order,
    -- so that overlapping batches wait for each other instead of deadlocking. Claims of what somebody else sends count
    -- as attempts: nobody here counts their dispatches.
    insert into pause_status.webhook_queue as q (
      event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
      status, attempts, claim_token, lease_expires_at
    )
    select
      f.event_id, f.mentor_id, f.version, f.transition, f.old_status, f.new_status, f.occurred_at, f.source, f.payload,
      f.fingerprint, 'processing', 1, 1, clock_timestamp() + lease
    from first_in_line f
    order by f.event_id
    on conflict (event_id) do update
    set
      status = 'processing',
      attempts = q.attempts + case when q.source = 'webhook' and q.delivery_id is null then 1 else 0 end,
      failures = q.failures + (q.status = 'processing')::integer,
      first_failed_at = case q.status when 'processing' then coalesce(q.first_failed_at, ended)
        else q.first_failed_at end,
      last_failed_at = case q.status when 'processing' then ended else q.last_failed_at end,
      claim_token = q.claim_token + 1,
      lease_expires_at = excluded.lease_expires_at,
      next_attempt_at = null
    where q.fingerprint = excluded.fingerprint
      and (q.status = 'pending' or (q.status = 'processing' and q.lease_expires_at <= clock_timestamp()))
    returning q.*, case when q.created_at >= ended then pause_status.refuse_erased(q.event_id) end
  ), recorded as (
    insert into pause_status.webhook_attempts (
      event_id, attempt, why, dispatched_at, delivery_id, request_id, claim_token, outcome, error
    )
    select
      c.event_id, c.attempts - case when c.source = 'webhook' and c.delivery_id is null then 1 else 0 end,
      c.dispatch_reason, c.last_dispatched_at, c.delivery_id, c.request_id, c.claim_token - 1,
      'lease', 'lease: it ran out before the handler settled the event, which then came again'
    from claimed c
    where c.last_failed_at = ended
  )
  select g.place, c.event_id, c.claim_token, greatest(c.attempts, 1)
  from claimed c
  join given g on g.event_id = c.event_id;
end
$$;
comment on function pause_status.claim(pause_status.reading[]) is
  'Claims what can be claimed, each event for itself; returns the claims.';

create or replace function public.pause_status_claim(events jsonb)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  readings pause_status.reading[] := pause_status.read_events(events);
  settings pause_status.settings;
  claims jsonb;
  answers jsonb;
begin
  select s.* into settings from pause_status.settings s;
  if cardinality(readings) = 1 and readings[1].problem is null then
    answers := pause_status.claim_next(readings[1], settings);
    if answers is not null then
      return jsonb_build_array(answers);
    end if;
  end if;

  for attempt in 1 .. 3 loop
    begin
      select coalesce(jsonb_object_agg(c.place, jsonb_build_object('token', c.token, 'attempt', c.attempt)), '{}')
      into claims
      from pause_status.claim(readings) c;
      exit;
    exception when unique_violation then
      -- Somebody has just inserted another event with the same version of a mentor, or erased one of these; now it
      -- can be seen.
      if attempt = 3 then
        raise;
      end if;
    end;
  end loop;

  select coalesce(
    jsonb_agg(
      jsonb_build_object('eventId', coalesce(to_jsonb(r.event_id), r.event_id_as_given)) || case
        when r.problem is not null then jsonb_build_object('outcome', 'invalid', 'message', r.problem)
        when claims ? r.place::text then
          jsonb_build_object('outcome', 'claimed', 'leaseSeconds', settings.lease_seconds) || (claims -> r.place::text)
        when q.fingerprint <> r.fingerprint then jsonb_build_object('outcome', 'payload_mismatch')
        when q.status = 'completed' then jsonb_build_object('outcome', 'completed', 'receipt', q.receipt)
        when q.status = 'failed' then jsonb_build_object('outcome', 'failed')
        when q.status = 'processing' then jsonb_build_object(
          'outcome', 'in_flight',
          'retryAfterSeconds', greatest(1, ceil(extract(epoch from q.lease_expires_at - clock_timestamp())))
        )
        when q.event_id is null and pause_status.erased_as(r.event_id, r.fingerprint) = 'completed' then
          '{"outcome": "completed", "receipt": {"erased": true}}'
        when q.event_id is null and pause_status.erased_as(r.event_id, r.fingerprint) = 'payload_mismatch' then
          '{"outcome": "payload_mismatch"}'
        when other.event_id is not null then jsonb_build_object('outcome', 'payload_mismatch')
        when r.version is not null and (q.event_id is null or earlier.event_id is not null) then jsonb_build_object(
          'outcome', 'out_of_order',
          'retryAfterSeconds',
          greatest(1, ceil(extract(epoch from earlier.lease_expires_at - clock_timestamp())), settings.retry_base_seconds)
        )
        -- Between the two statements it may have been released or erased: then it can be claimed in a moment.
        else jsonb_build_object('outcome', 'in_flight', 'retryAfterSeconds', 1)
      end
      order by r.place
    ),
    '[]'
  )
  into answers
  from unnest(readings) r
  -- With a limit the planner cannot turn it round: it asks the index for each event, however small the queue once was.
  left join lateral (
    select *
    from pause_status.webhook_queue known
    where known.event_id = r.event_id and not claims ? r.place::text
    limit 1
  ) as q on true
  left join lateral (
    select o.event_id
    from pause_status.webhook_queue o
    where o.mentor_id = r.mentor_id and o.version = r.version and o.event_id <> r.event_id
      and not claims ? r.place::text
  ) as other on true
  left join lateral (
    select e.event_id, e.lease_expires_at
    from pause_status.webhook_queue e
    where e.mentor_id = r.mentor_id and e.version < r.version and e.status in ('pending', 'processing')
      and not claims ? r.place::text
    order by e.version
    limit 1
  ) as earlier on true;
  return answers;
end
$$;
comment on function public.pause_status_claim(jsonb) is
  'Claims an array of PauseEvents, each for one lease; answers in the same order, each with its eventId: claimed '
  '(token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt; also of an erased event), '
  'payload_mismatch (same key, other payload), failed (terminal), out_of_order (retryAfterSeconds: an earlier version '
  'of the mentor is unsettled) or invalid (message).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_claim(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_claim(jsonb) to service_role;
