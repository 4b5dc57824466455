-- Purpose: the handler's first function: claims events.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_claim(jsonb), pause_status.claim(pause_status.reading[]).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.claim(readings pause_status.reading[])
returns table (place integer, event_id uuid, token bigint, attempt integer)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with known as materialized (
    -- Locked in one order, so that overlapping batches wait for each other instead of deadlocking; and read after the
    -- wait, so that what ends here is known.
    select q.*
    from pause_status.webhook_queue q
    where q.event_id = any(array(select r.event_id from unnest(readings) r))
    order by q.event_id
    for update
  ), given as materialized (
    select distinct on (r.event_id) r.*
    from unnest(readings) r
    where r.problem is null
    order by r.event_id, r.place
  ), first_in_line as materialized (
    select g.*
    from given g
    where not exists (
        select
        from pause_status.webhook_queue earlier
        where earlier.mentor_id = g.mentor_id
          and earlier.version < g.version
          and earlier.status in ('pending', 'processing')
      )
      -- Those that are not in the queue yet: their rows were lost.
      and not exists (
        select
        from given earlier
        where earlier.mentor_id = g.mentor_id
          and earlier.version < g.version
          and not exists (select from known k where k.event_id = earlier.event_id)
      )
      -- The mentor's version belongs to another event.
      and not exists (
        select
        from pause_status.webhook_queue other
        where other.mentor_id = g.mentor_id and other.version = g.version and other.event_id <> g.event_id
      )
      and not exists (
        select
        from given other
        where other.mentor_id = g.mentor_id and other.version = g.version and other.place < g.place
      )
  ), claimed as (
    -- One statement, so that of any number of claimers at once exactly one gets a row back. Claims of what somebody
    -- else sends count as attempts: nobody here counts their dispatches.
    insert into pause_status.webhook_queue as q (
      event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
      status, attempts, claim_token, lease_expires_at
    )
    select
      f.event_id, f.mentor_id, f.version, f.transition, f.old_status, f.new_status, f.occurred_at, f.source, f.payload,
      f.fingerprint, 'processing', 1, 1, clock_timestamp() + make_interval(secs => s.lease_seconds)
    from first_in_line f
    cross join pause_status.settings s
    order by f.event_id
    on conflict (event_id) do update
    set
      status = 'processing',
      attempts = q.attempts + case when q.source = 'webhook' and q.delivery_id is null then 1 else 0 end,
      failures = q.failures + (q.status = 'processing')::integer,
      first_failed_at = case q.status when 'processing' then coalesce(q.first_failed_at, clock_timestamp())
        else q.first_failed_at end,
      last_failed_at = case q.status when 'processing' then clock_timestamp() else q.last_failed_at end,
      claim_token = q.claim_token + 1,
      lease_expires_at = excluded.lease_expires_at,
      next_attempt_at = null
    where q.fingerprint = excluded.fingerprint
      and (q.status = 'pending' or (q.status = 'processing' and q.lease_expires_at <= clock_timestamp()))
    returning q.event_id, q.claim_token, q.attempts
  ), recorded as (
    insert into pause_status.webhook_attempts (
      event_id, attempt, why, dispatched_at, delivery_id, request_id, claim_token, outcome, error
    )
    select
      k.event_id, k.attempts, k.dispatch_reason, k.last_dispatched_at, k.delivery_id, k.request_id, k.claim_token,
      'lease', 'lease: it ran out before the handler settled the event, which then came again'
    from known k
    join claimed c on c.event_id = k.event_id
    where k.status = 'processing'
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
set search_path = ''
as $$
declare
  readings pause_status.reading[] := pause_status.read_events(events);
  claims jsonb;
  answers jsonb;
begin
  for attempt in 1 .. 3 loop
    begin
      select coalesce(jsonb_object_agg(c.place, jsonb_build_object('token', c.token, 'attempt', c.attempt)), '{}')
      into claims
      from pause_status.claim(readings) c;
      exit;
    exception when unique_violation then
      -- Somebody has just inserted another event with the same version of a mentor; now it can be seen.
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
          jsonb_build_object('outcome', 'claimed', 'leaseSeconds', s.lease_seconds) || (claims -> r.place::text)
        when q.fingerprint <> r.fingerprint then jsonb_build_object('outcome', 'payload_mismatch')
        when q.status = 'completed' then jsonb_build_object('outcome', 'completed', 'receipt', q.receipt)
        when q.status = 'failed' then jsonb_build_object('outcome', 'failed')
        when q.status = 'processing' then jsonb_build_object(
          'outcome', 'in_flight',
          'retryAfterSeconds', greatest(1, ceil(extract(epoch from q.lease_expires_at - clock_timestamp())))
        )
        when other.event_id is not null then jsonb_build_object('outcome', 'payload_mismatch')
        when r.version is not null and (q.event_id is null or earlier.event_id is not null) then jsonb_build_object(
          'outcome', 'out_of_order',
          'retryAfterSeconds',
          greatest(1, ceil(extract(epoch from earlier.lease_expires_at - clock_timestamp())), s.retry_base_seconds)
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
  cross join pause_status.settings s
  left join pause_status.webhook_queue q on q.event_id = r.event_id
  left join lateral (
    select o.event_id
    from pause_status.webhook_queue o
    where o.mentor_id = r.mentor_id and o.version = r.version and o.event_id <> r.event_id
  ) as other on true
  left join lateral (
    select e.event_id, e.lease_expires_at
    from pause_status.webhook_queue e
    where e.mentor_id = r.mentor_id and e.version < r.version and e.status in ('pending', 'processing')
    order by e.version
    limit 1
  ) as earlier on true;
  return answers;
end
$$;
comment on function public.pause_status_claim(jsonb) is
  'Claims an array of PauseEvents, each for one lease; answers in the same order, each with its eventId: claimed '
  '(token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt), payload_mismatch (same key, '
  'other payload), failed (terminal), out_of_order (retryAfterSeconds: an earlier version of the mentor is unsettled) '
  'or invalid (message).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_claim(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_claim(jsonb) to service_role;
