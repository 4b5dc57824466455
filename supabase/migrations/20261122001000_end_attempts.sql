-- Purpose: the end of an attempt, whoever ended it: the one place where an event is completed, retried or given up.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.end_attempts_each(jsonb), pause_status.end_attempts(jsonb),
--          pause_status.next_attempt(pause_status.judgement), pause_status.judge(jsonb),
--          pause_status.release_next(uuid[]),
--          pause_status.outage_backoff(integer, timestamptz),
--          pause_status.why_given_up(uuid, bigint, integer, integer, timestamptz); drop type pause_status.judgement.

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
set jit = off
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

create or replace function pause_status.release_next(mentor_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  with parked as materialized (
    select q.event_id
    from unnest(mentor_ids) as mentor (id)
    cross join lateral (
      select next.event_id
      from pause_status.webhook_queue next
      where next.mentor_id = mentor.id and next.version is not null and next.status in ('pending', 'processing')
      order by next.version
      limit 1
    ) as head
    join pause_status.webhook_queue q on q.event_id = head.event_id
    where q.next_attempt_at = 'infinity'
    -- A claim that holds one waits for us, and takes it then.
    for update of q skip locked
  )
  update pause_status.webhook_queue q
  set next_attempt_at = clock_timestamp()
  from parked p
  where q.event_id = p.event_id;
end
$$;
comment on function pause_status.release_next(uuid[]) is
  'Makes the next event of each of these mentors due, if it was parked behind one that is settled now.';

do $$
begin
  if to_regtype('pause_status.judgement') is null then
    create type pause_status.judgement as (
      event pause_status.webhook_queue,
      outcome text,
      error text,
      http_status integer,
      duration_ms integer,
      receipt jsonb,
      retry_after interval,
      failures integer,
      own_failures integer,
      first_failed_at timestamptz,
      last_failed_at timestamptz,
      why_given_up text,
      verdict text
    );
    comment on type pause_status.judgement is 'What the end of an attempt means for its event.';
  end if;
end
$$;

-- No hash or merge joins, here and below: they would read the whole queue for a handful of events, where it was small
-- when the plan was made.
create or replace function pause_status.judge(endings jsonb)
returns setof pause_status.judgement
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  moment timestamptz := clock_timestamp();
begin
  return query
  select
    q, e.outcome, pause_status.shorten(e.outcome || ': ' || e.message), e.http_status, e.duration_ms, e.receipt,
    make_interval(secs => least(coalesce(e.retry_after_seconds, 0), 86400)::float8),
    tally.failures, tally.own_failures, tally.first_failed_at,
    case when counts.one = 1 then moment else q.last_failed_at end,
    given_up.why,
    case
      when e.outcome = 'completed' then 'completed'
      when e.outcome in ('permanent', 'rejected') or given_up.why is not null then 'dead'
      else 'released'
    end
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
      -- least(): the clock may have been set back.
      case when counts.one = 1 then least(q.first_failed_at, moment) else q.first_failed_at end as first_failed_at
  ) as tally
  cross join lateral (
    select case when counts.one = 1 then
      pause_status.why_given_up(q.mentor_id, q.version, tally.failures, tally.own_failures, tally.first_failed_at)
    end as why
    -- Keeps it from being asked once more for the verdict.
    offset 0
  ) as given_up;
end
$$;
comment on function pause_status.judge(jsonb) is 'What these ends of attempts mean for their events; changes nothing.';

create or replace function pause_status.next_attempt(judged pause_status.judgement)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  event constant pause_status.webhook_queue := judged.event;
  cap interval;
begin
  -- What somebody else sends is left to their retries, unless we have sent it since.
  if judged.verdict <> 'released' or event.source = 'webhook' and event.last_dispatched_at is null then
    return null;
  end if;

  case judged.outcome
    when 'lease' then
      -- Who died holding a lease has taken its time already.
      return clock_timestamp() + pause_status.outage_backoff(judged.failures, judged.first_failed_at);
    when 'unacknowledged' then
      -- Likewise: the backoff of an unacknowledged delivery counts from its dispatch.
      return greatest(
        clock_timestamp() + pause_status.outage_backoff(judged.failures, judged.first_failed_at),
        event.last_dispatched_at + pause_status.backoff(judged.failures)
      );
    else
      select make_interval(secs => s.retry_cap_seconds) into cap from pause_status.settings s;
      return clock_timestamp() + greatest(
        pause_status.backoff(case judged.outcome when 'parked' then 1 else judged.failures end),
        case when judged.outcome <> 'parked' then
          pause_status.outage_backoff(judged.failures, judged.first_failed_at)
        end,
        least(judged.retry_after, cap)
      );
  end case;
end
$$;
comment on function pause_status.next_attempt(pause_status.judgement) is
  'When a released event may be sent again; null for one that is settled, or that somebody else sends.';

create or replace function pause_status.end_attempts(endings jsonb)
returns table (event_id uuid, mentor_id uuid, verdict text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  judgements pause_status.judgement[] := array(select j from pause_status.judge(endings) j);
begin
  insert into pause_status.webhook_attempts (
    event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, http_status, error, duration_ms
  )
  select
    (j.event).event_id, (j.event).attempts, (j.event).dispatch_reason, (j.event).last_dispatched_at,
    (j.event).delivery_id, case (j.event).status when 'processing' then (j.event).claim_token end,
    j.outcome, j.http_status, j.error, j.duration_ms
  from unnest(judgements) j;

  with died as (
    insert into pause_status.dead_letter_queue as d (
      event_id, mentor_id, version, reason, payload, attempts, first_failed_at, last_failed_at, last_error
    )
    select
      (j.event).event_id, (j.event).mentor_id, (j.event).version,
      case j.outcome when 'rejected' then 'rejected' when 'permanent' then 'refused' else 'exhausted' end,
      pause_status.payload_of(j.event), (j.event).attempts, j.first_failed_at, j.last_failed_at,
      pause_status.shorten(j.error || coalesce('; given up, because ' || j.why_given_up, ''))
    from unnest(judgements) j
    where j.verdict = 'dead'
    on conflict (event_id) where resolution is null do update
    set
      reason = excluded.reason,
      attempts = excluded.attempts,
      last_failed_at = greatest(excluded.last_failed_at, d.first_failed_at),
      last_error = excluded.last_error
    returning d.id, d.event_id
  )
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
    delivery_id = case j.verdict when 'released' then null else q.delivery_id end,
    leads = null,
    next_attempt_at = pause_status.next_attempt(j)
  from unnest(judgements) j
  left join died on died.event_id = (j.event).event_id
  where q.event_id = (j.event).event_id;

  perform pause_status.release_next(array(
    select (j.event).mentor_id from unnest(judgements) j where j.verdict <> 'released'
  ));
  return query
  select (j.event).event_id, (j.event).mentor_id, j.verdict from unnest(judgements) j;
end
$$;
comment on function pause_status.end_attempts(jsonb) is
  'Ends attempts at events that the caller has locked: adds to their history and completes them (receipt), makes them '
  'pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or given up).';

create or replace function pause_status.end_attempts_each(endings jsonb)
returns table (event_id uuid, mentor_id uuid, verdict text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  ending jsonb;
begin
  begin
    return query select * from pause_status.end_attempts(endings);
    return;
  exception when others then
    raise warning 'ending % attempts one by one: %', jsonb_array_length(endings), sqlerrm;
  end;

  for ending in select * from jsonb_array_elements(endings) loop
    begin
      return query select * from pause_status.end_attempts(jsonb_build_array(ending));
    exception when others then
      perform pause_status.raise_alert(
        'job_failing', 1, format('the attempt at event %s cannot be ended: %s', ending ->> 'event_id', sqlerrm)
      );
    end;
  end loop;
end
$$;
comment on function pause_status.end_attempts_each(jsonb) is
  'end_attempts(), except that one event that cannot be written does not hold up the others: it opens an alert.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
