-- Purpose: the end of an attempt, whoever ended it: the one place where an event is completed, retried or given up.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.end_attempts(jsonb), pause_status.outage_backoff(integer, timestamptz),
--          pause_status.why_given_up(uuid, bigint, integer, integer, timestamptz).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

-- Both in plpgsql: only what has failed asks, and mostly the first line is the answer.
create or replace function pause_status.why_given_up(
  mentor uuid, version bigint, failures integer, own_failures integer, failing_since timestamptz
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  settings pause_status.settings;
  moment timestamptz := clock_timestamp();
  next_version bigint;
  waiting_since timestamptz;
begin
  select s.* into settings from pause_status.settings s;
  if failures < settings.max_attempts then
    return null;
  end if;

  -- It is this event: time and again others were completed between two of its failures.
  if own_failures >= settings.max_attempts then
    return format('before %s of its %s failures others were completed', own_failures, failures);
  end if;

  -- As far as one can tell it is the function, and no event is to blame. But not for ever.
  if failing_since <= moment - make_interval(secs => settings.retry_for_seconds) then
    return format('it failed %s times in %s seconds', failures, floor(extract(epoch from moment - failing_since)));
  end if;

  -- The mentor has changed again. Before a change waits as long for another one, that one goes.
  select later.version, greatest(later.created_at, failing_since)
  into next_version, waiting_since
  from pause_status.webhook_queue later
  where later.mentor_id = why_given_up.mentor
    and later.version > why_given_up.version
    and later.status in ('pending', 'processing')
  order by later.version
  limit 1;
  if waiting_since <= moment - make_interval(secs => settings.hold_up_seconds) then
    return format(
      'it has held up version %s for %s seconds', next_version, floor(extract(epoch from moment - waiting_since))
    );
  end if;
  return null;
end
$$;
comment on function pause_status.why_given_up(uuid, bigint, integer, integer, timestamptz) is
  'Why an event that may yet succeed is given up: its attempts are used up, and either others were completed meanwhile '
  '(max_attempts), or it has failed for too long (retry_for_seconds), or held up the mentor''s next event for too long '
  '(hold_up_seconds). Null: it is tried again.';

create or replace function pause_status.outage_backoff(failures integer, failing_since timestamptz)
returns interval
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if failures < (select s.max_attempts from pause_status.settings s) then
    return interval '0';
  end if;
  -- In proportion, so that many events in a long outage are fewer and fewer attempts, and short of an hour, so that an
  -- hour after it everything has been tried.
  return (0.5 + random() / 2) * least((clock_timestamp() - failing_since) / 4, interval '1 hour');
end
$$;
comment on function pause_status.outage_backoff(integer, timestamptz) is
  'How long to wait at least once the attempts are used up: a quarter of the time that it has failed, with jitter.';

-- No hash joins: they would read the whole queue, where it was small when the plan was made, for a handful of events.
create or replace function pause_status.end_attempts(endings jsonb)
returns table (event_id uuid, mentor_id uuid, verdict text)
language plpgsql
set search_path = pg_catalog, pg_temp
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
      tally.*,
      given_up.why,
      case
        when e.outcome = 'completed' then 'completed'
        when e.outcome in ('permanent', 'rejected') then 'dead'
        when given_up.why is not null then 'dead'
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
    cross join lateral (
      select
        q.failures + counts.one as failures,
        q.own_failures + case
          -- In a case, so that nobody looks for it unless something has failed.
          when counts.one = 1 and (
            select max(c.completed_at) from pause_status.webhook_queue c where c.status = 'completed'
          ) > coalesce(q.last_failed_at, q.last_dispatched_at, q.created_at)
          then 1 else 0
        end as own_failures,
        case when counts.one = 1 then coalesce(q.first_failed_at, clock_timestamp()) else q.first_failed_at end
          as first_failed_at,
        case when counts.one = 1 then clock_timestamp() else q.last_failed_at end as last_failed_at
    ) as tally
    cross join lateral (
      select case when counts.one = 1 then
        pause_status.why_given_up(q.mentor_id, q.version, tally.failures, tally.own_failures, tally.first_failed_at)
      end as why
      -- Keeps it from being asked once more for the verdict.
      offset 0
    ) as given_up
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
      pause_status.payload_of(j.queued), j.attempts, j.first_failed_at, j.last_failed_at,
      pause_status.shorten(j.error || coalesce('; given up, because ' || j.why, ''))
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
      own_failures = j.own_failures,
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
        when j.outcome = 'lease' then
          clock_timestamp() + pause_status.outage_backoff(j.failures, j.first_failed_at)
        -- Likewise: the backoff of an unacknowledged delivery counts from its dispatch.
        when j.outcome = 'unacknowledged' then greatest(
          clock_timestamp() + pause_status.outage_backoff(j.failures, j.first_failed_at),
          j.last_dispatched_at + pause_status.backoff(j.failures)
        )
        else clock_timestamp() + greatest(
          pause_status.backoff(case j.outcome when 'parked' then 1 else j.failures end),
          case when j.outcome <> 'parked' then pause_status.outage_backoff(j.failures, j.first_failed_at) end,
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
  'pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or given up).';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
