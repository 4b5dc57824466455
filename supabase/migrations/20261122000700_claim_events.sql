-- Purpose: the handler's functions: claim an event, then complete or release it.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_claim(jsonb), public.pause_status_complete(uuid, bigint, jsonb),
--          public.pause_status_release(uuid, bigint, jsonb);

create or replace function public.pause_status_claim(event jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
  given pause_status.webhook_queue := pause_status.read_event(event);
  lease interval;
  seconds integer;
  kept pause_status.webhook_queue;
begin
  select s.lease_seconds, make_interval(secs => s.lease_seconds) into strict seconds, lease
  from pause_status.settings s;

  -- One statement, so that of any number of claimers at once exactly one gets a row back. Claims of what somebody
  -- else sends count as attempts: nobody here counts their dispatches.
  begin
    insert into pause_status.webhook_queue as q (
      event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
      status, attempts, claim_token, lease_expires_at
    )
    values (
      given.event_id, given.mentor_id, given.version, given.transition, given.old_status,
      given.new_status, given.occurred_at, given.source, given.payload, given.fingerprint,
      'processing', 1, 1, clock_timestamp() + lease
    )
    on conflict (event_id) do update
    set
      status = 'processing',
      attempts = q.attempts + case q.source when 'webhook' then 1 else 0 end,
      claim_token = q.claim_token + 1,
      lease_expires_at = clock_timestamp() + lease,
      next_attempt_at = null
    where q.fingerprint = excluded.fingerprint
      and (q.status = 'pending' or (q.status = 'processing' and q.lease_expires_at <= clock_timestamp()))
    returning q.* into kept;
  exception when unique_violation then
    -- The mentor's version belongs to another event.
    return jsonb_build_object('outcome', 'payload_mismatch');
  end;

  if kept.event_id is not null then
    return jsonb_build_object(
      'outcome', 'claimed',
      'token', kept.claim_token,
      'attempt', greatest(kept.attempts, 1),
      'leaseSeconds', seconds
    );
  end if;

  select q.* into kept from pause_status.webhook_queue q where q.event_id = given.event_id;
  return case
    when kept.fingerprint <> given.fingerprint then jsonb_build_object('outcome', 'payload_mismatch')
    when kept.status = 'completed' then jsonb_build_object('outcome', 'completed', 'receipt', kept.receipt)
    when kept.status = 'failed' then jsonb_build_object('outcome', 'failed')
    -- Between the two statements it may also have been released or erased: then it can be claimed in a moment.
    else jsonb_build_object(
      'outcome', 'in_flight',
      'retryAfterSeconds', greatest(1, ceil(extract(epoch from kept.lease_expires_at - clock_timestamp())))
    )
  end;
end
$$;
comment on function public.pause_status_claim(jsonb) is
  'Claims a PauseEvent for one lease: claimed (token, attempt, leaseSeconds), in_flight (retryAfterSeconds), '
  'completed (receipt), payload_mismatch (same key, other payload) or failed (terminal).';

create or replace function public.pause_status_complete(event_id uuid, token bigint, receipt jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
  settled pause_status.webhook_queue;
  next_event_id uuid;
begin
  if pause_status_complete.event_id is null or token is null
    or jsonb_typeof(pause_status_complete.receipt) is distinct from 'object'
  then
    raise exception 'event_id and token must not be null, and receipt must be a JSON object'
      using errcode = 'invalid_parameter_value';
  end if;

  update pause_status.webhook_queue q
  set
    status = 'completed',
    receipt = pause_status_complete.receipt,
    completed_at = clock_timestamp(),
    lease_expires_at = null,
    last_error = null
  where q.event_id = pause_status_complete.event_id and q.status = 'processing' and q.claim_token = token
  returning q.* into settled;

  if settled.event_id is null then
    -- The same claimant asks again when the answer was lost on its way.
    return jsonb_build_object('outcome', case
      when exists (
        select
        from pause_status.webhook_queue q
        where q.event_id = pause_status_complete.event_id and q.status = 'completed' and q.claim_token = token
      ) then 'completed'
      else 'stale'
    end);
  end if;

  -- An event without a version has no place in the mentor's order, so it says nothing about the last known status.
  if settled.version is not null then
    insert into pause_status.mentor_states as s (mentor_id, notified_version, notified_status)
    values (settled.mentor_id, settled.version, settled.new_status)
    on conflict (mentor_id) do update
    set notified_version = excluded.notified_version, notified_status = excluded.notified_status
    where coalesce(s.notified_version, 0) < excluded.notified_version;

    select q.event_id into next_event_id
    from pause_status.webhook_queue q
    where q.mentor_id = settled.mentor_id
      and q.version > settled.version
      and q.status = 'pending'
      and q.next_attempt_at <= clock_timestamp()
    order by q.version
    limit 1;
    if next_event_id is not null then
      perform pause_status.dispatch(next_event_id);
    end if;
  end if;
  return jsonb_build_object('outcome', 'completed');
end
$$;
comment on function public.pause_status_complete(uuid, bigint, jsonb) is
  'Settles a claimed event with the orchestrator''s receipt and dispatches the mentor''s next one: completed, or stale '
  'when the claim is no longer this token''s.';

create or replace function public.pause_status_release(event_id uuid, token bigint, error jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
  retry_after text := error ->> 'retryAfterSeconds';
begin
  if pause_status_release.event_id is null or token is null or jsonb_typeof(error) is distinct from 'object'
    or coalesce(error ->> 'kind' not in ('transient', 'permanent'), true)
    or jsonb_typeof(error -> 'message') is distinct from 'string'
    or (retry_after is not null and (jsonb_typeof(error -> 'retryAfterSeconds') <> 'number' or retry_after ~ '^-'))
  then
    raise exception 'event_id and token must not be null, and error must be a JSON object with kind '
      '(transient or permanent), message (a string) and, if at all, retryAfterSeconds (a number from 0)'
      using errcode = 'invalid_parameter_value';
  end if;

  update pause_status.webhook_queue q
  set
    status = 'pending',
    lease_expires_at = null,
    next_attempt_at = case q.source when 'outbox' then clock_timestamp() + greatest(
      pause_status.backoff(q.attempts),
      make_interval(secs => least(coalesce(retry_after, '0')::numeric, s.retry_cap_seconds)::float8)
    ) end,
    last_error = pause_status.shorten((error ->> 'kind') || ': ' || (error ->> 'message'))
  from pause_status.settings s
  where q.event_id = pause_status_release.event_id and q.status = 'processing' and q.claim_token = token;

  return jsonb_build_object('outcome', case when found then 'released' else 'stale' end);
end
$$;
comment on function public.pause_status_release(uuid, bigint, jsonb) is
  'Gives a claimed event back after a failure: released, and sent again after a backoff or the longer Retry-After; or '
  'stale when the claim is no longer this token''s. What somebody else sends is left to their retries.';

revoke all on function public.pause_status_claim(jsonb) from public, anon, authenticated;
revoke all on function public.pause_status_complete(uuid, bigint, jsonb) from public, anon, authenticated;
revoke all on function public.pause_status_release(uuid, bigint, jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_claim(jsonb) to service_role;
grant execute on function public.pause_status_complete(uuid, bigint, jsonb) to service_role;
grant execute on function public.pause_status_release(uuid, bigint, jsonb) to service_role;
