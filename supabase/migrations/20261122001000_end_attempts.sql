-- Purpose: the end of an attempt, whoever ended it: the one place where an event is completed, retried or given up.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.end_attempts(jsonb).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

-- No hash joins: they would read the whole queue, where it was small when the plan was made, for a handful of events.
create or replace function pause_status.end_attempts(endings jsonb)
returns table (event_id uuid, mentor_id uuid, verdict text)
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  settings pause_status.settings;
begin
  select s.* into settings from pause_status.settings s;
  return query
  with judged as materialized (
    select
      q.event_id, q.mentor_id, q.version, q.new_status, q as queued, q.source, q.status, q.attempts, q.claim_token,
      q.last_dispatched_at, q.dispatch_reason, q.delivery_id, q.request_id, q.lease_expires_at,
      e.outcome, e.http_status, e.duration_ms, e.receipt, e.retry_after_seconds,
      pause_status.shorten(e.outcome || ': ' || e.message) as error,
      q.failures + counts.one as failures,
      case when counts.one = 1 then coalesce(q.first_failed_at, clock_timestamp()) else q.first_failed_at end
        as first_failed_at,
      case when counts.one = 1 then clock_timestamp() else q.last_failed_at end as last_failed_at,
      case
        when e.outcome = 'completed' then 'completed'
        when e.outcome in ('permanent', 'rejected') then 'dead'
        when counts.one = 1 and q.failures + 1 >= settings.max_attempts then 'dead'
        else 'released'
      end as verdict,
      make_interval(secs => settings.retry_cap_seconds) as cap
    from jsonb_to_recordset(endings) as e (
      event_id uuid, outcome text, message text, http_status integer, retry_after_seconds numeric,
      duration_ms integer, receipt jsonb
    )
    join pause_status.webhook_queue q on q.event_id = e.event_id
    -- A parked event waits for somebody else's failure to pass.
    cross join lateral (select (e.outcome not in ('completed', 'parked'))::integer as one) as counts
  ), recorded as (
    insert into pause_status.webhook_attempts (
      event_id, attempt, why, dispatched_at, delivery_id, request_id, claim_token, outcome, http_status, error,
      duration_ms
    )
    select
      j.event_id, j.attempts, j.dispatch_reason, j.last_dispatched_at, j.delivery_id, j.request_id,
      case j.status when 'processing' then j.claim_token end, j.outcome, j.http_status, j.error, j.duration_ms
    from judged j
  ), died as (
    insert into pause_status.dead_letter_queue as d (
      event_id, mentor_id, version, reason, payload, attempts, first_failed_at, last_failed_at, last_error
    )
    select
      j.event_id, j.mentor_id, j.version,
      case j.outcome when 'rejected' then 'rejected' when 'permanent' then 'refused' else 'exhausted' end,
      pause_status.payload_of(j.queued), j.attempts, j.first_failed_at, j.last_failed_at, j.error
    from judged j
    where j.verdict = 'dead'
    on conflict (event_id) where resolution is null do update
    set
      reason = excluded.reason,
      attempts = excluded.attempts,
      last_failed_at = excluded.last_failed_at,
      last_error = excluded.last_error
    returning d.id, d.event_id
  ), changed as (
    update pause_status.webhook_queue q
    set
      status = case j.verdict when 'completed' then 'completed' when 'dead' then 'failed' else 'pending' end,
      failures = j.failures,
      first_failed_at = j.first_failed_at,
      last_failed_at = j.last_failed_at,
      last_error = j.error,
      lease_expires_at = null,
      receipt = case j.verdict when 'completed' then j.receipt end,
      completed_at = case j.verdict when 'completed' then clock_timestamp() end,
      dead_letter_id = died.id,
      delivery_id = case j.verdict when 'released' then null else j.delivery_id end,
      next_attempt_at = case
        -- What somebody else sends is left to their retries, unless we have sent it since.
        when j.verdict <> 'released' or (j.source = 'webhook' and j.last_dispatched_at is null) then null
        -- Who died holding a lease has taken its time already.
        when j.outcome = 'lease' then clock_timestamp()
        -- Likewise: the backoff of an unacknowledged delivery counts from its dispatch.
        when j.outcome = 'unacknowledged' then
          greatest(clock_timestamp(), j.last_dispatched_at + pause_status.backoff(j.failures))
        else clock_timestamp() + greatest(
          pause_status.backoff(case j.outcome when 'parked' then 1 else j.failures end),
          least(make_interval(secs => least(coalesce(j.retry_after_seconds, 0), 86400)::float8), j.cap)
        )
      end
    from judged j
    left join died on died.event_id = j.event_id
    where q.event_id = j.event_id
  ), known as (
    -- An event without a version has no place in the mentor's order, but it was told last.
    insert into pause_status.mentor_states as s (mentor_id, notified_version, notified_status)
    select distinct on (j.mentor_id) j.mentor_id, j.version, j.new_status
    from judged j
    where j.verdict = 'completed'
    order by j.mentor_id, j.version desc nulls last
    on conflict (mentor_id) do update
    set
      notified_version = coalesce(excluded.notified_version, s.notified_version),
      notified_status = excluded.notified_status
    where excluded.notified_version is null or coalesce(s.notified_version, 0) < excluded.notified_version
  )
  select j.event_id, j.mentor_id, j.verdict from judged j;
end
$$;
comment on function pause_status.end_attempts(jsonb) is
  'Ends attempts at events that the caller has locked: adds to their history and completes them (receipt), makes them '
  'pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or out of attempts).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
