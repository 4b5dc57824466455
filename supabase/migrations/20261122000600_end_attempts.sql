-- Purpose: ends attempts. The only place where an event is completed, retried or given up.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.release_next(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  update outbox.events q
  set next_attempt_at = clock_timestamp()
  where q.event_id = any(array(
    select parked.event_id
    from outbox.events parked
    where parked.event_id = any(array(select outbox.heads_of(event_ids))) and parked.next_attempt_at = 'infinity'
    -- A claim that has locked one of them waits for us, and then takes it.
    for update skip locked
  ));
end
$$;
comment on function outbox.release_next(uuid[]) is 'Makes parked events due that are now first in line.';

create or replace function outbox.why_given_up(event outbox.events) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  settings outbox.settings := (select s from outbox.settings s);
  most integer := (select t.max_attempts from outbox.topics t where t.topic = event.topic);
  failing interval := clock_timestamp() - event.first_failed_at;
  next outbox.events;
  held_up interval;
begin
  most := coalesce(most, settings.max_attempts);
  if event.failures < most then
    return null;
  end if;

  select later.* into next
  from outbox.events later
  where later.topic = event.topic and later.key = event.key and later.version > event.version
    and later.status in ('pending', 'processing')
  order by later.version
  limit 1;
  held_up := least(failing, clock_timestamp() - next.created_at);
  return case
    when event.own_failures >= most
      then format('before %s of its %s failures others were completed', event.own_failures, event.failures)
    when failing >= make_interval(secs => settings.retry_for_seconds)
      then format('it failed %s times in %s seconds', event.failures, extract(epoch from failing)::bigint)
    when next.version is not null and held_up >= make_interval(secs => settings.hold_up_seconds)
      then format('it has held up version %s for %s seconds', next.version, extract(epoch from held_up)::bigint)
  end;
end
$$;
comment on function outbox.why_given_up(outbox.events) is 'Why an event is given up; null while it is retried.';

create or replace function outbox.judge(
  outcome text, retry_after_seconds numeric, inout event outbox.events, out verdict text, out why text
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
  settings outbox.settings := (select s from outbox.settings s);
  asked interval := make_interval(secs => least(coalesce(retry_after_seconds, 0), settings.retry_cap_seconds)::float8);
  outage interval := '0';
begin
  -- A parked event waits because of a failure that is not its own.
  if outcome not in ('completed', 'parked') then
    event.own_failures := event.own_failures + exists (
      select
      from outbox.events c
      where c.status = 'completed' and c.topic = event.topic
        and c.completed_at > coalesce(event.last_failed_at, event.last_dispatched_at, event.created_at)
    )::integer;
    event.failures := event.failures + 1;
    -- least(): the clock may have been set back.
    event.first_failed_at := least(event.first_failed_at, moment);
    event.last_failed_at := moment;
    why := outbox.why_given_up(event);
  end if;
  verdict := case
    when outcome = 'completed' then 'completed'
    when outcome in ('permanent', 'rejected') or why is not null then 'dead'
    else 'released'
  end;

  -- Proportional, so that a long outage costs few attempts; at most an hour, so that everything is sent soon after it.
  if event.failures >= settings.max_attempts then
    outage := (0.5 + random() / 2) * least((moment - event.first_failed_at) / 4, interval '1 hour');
  end if;
  event.next_attempt_at := case
    -- The sender of a stock webhook retries it, unless we have sent it since.
    when verdict <> 'released' or event.source = 'webhook' and event.last_dispatched_at is null then null
    -- The lease was already a wait, and so was the time since an unacknowledged dispatch.
    when outcome = 'lease' then moment + outage
    when outcome = 'unacknowledged'
      then greatest(moment + outage, event.last_dispatched_at + outbox.backoff(event.failures))
    when outcome = 'parked' then moment + greatest(outbox.backoff(1), asked)
    else moment + greatest(outbox.backoff(event.failures), outage, asked)
  end;
end
$$;
comment on function outbox.judge(text, numeric, outbox.events) is
  'Counts the failure, decides the verdict (completed, released or dead), and sets the next attempt.';

create or replace function outbox.milliseconds_held(event outbox.events, outcome text) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  if event.status <> 'processing' or outcome = 'lease' then
    return null;
  end if;
  return (
    select greatest(0, extract(epoch from clock_timestamp() - event.lease_expires_at) * 1000 + s.lease_seconds * 1000)
    from outbox.settings s
  );
end
$$;
comment on function outbox.milliseconds_held(outbox.events, text) is
  'How long an event has been claimed. The claim began one lease before the lease ends.';

create or replace function outbox.end_attempts(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp
-- Looks up each event, whatever size the tables had when the session planned this.
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  return query
  with ended as materialized (
    select e.*, outbox.shorten(e.outcome || ': ' || e.message) as error, j.*
    from jsonb_to_recordset(endings) as e (
      event_id uuid, outcome text, message text, http_status integer, retry_after_seconds numeric, duration_ms integer,
      receipt jsonb
    )
    join outbox.events q on q.event_id = e.event_id
    cross join lateral outbox.judge(e.outcome, e.retry_after_seconds, q) as j
  ), noted as (
    insert into outbox.attempts (
      event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, http_status, error, duration_ms
    )
    select
      e.event_id, (e.event).attempts, (e.event).dispatch_reason, (e.event).last_dispatched_at, (e.event).delivery_id,
      case (e.event).status when 'processing' then (e.event).claim_token end,
      e.outcome, e.http_status, e.error, coalesce(e.duration_ms, outbox.milliseconds_held(e.event, e.outcome))
    from ended e
  ), died as (
    insert into outbox.dead_letters as d (
      event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error
    )
    select
      e.event_id, (e.event).topic, (e.event).key, (e.event).version,
      case e.outcome when 'rejected' then 'rejected' when 'permanent' then 'refused' else 'exhausted' end,
      (e.event).attempts, (e.event).first_failed_at, (e.event).last_failed_at,
      outbox.shorten(e.error || coalesce('; given up, because ' || e.why, ''))
    from ended e
    where e.verdict = 'dead'
    returning d.id, d.event_id
  )
  update outbox.events q
  set
    status = case e.verdict when 'completed' then 'completed' when 'dead' then 'failed' else 'pending' end,
    failures = (e.event).failures,
    own_failures = (e.event).own_failures,
    first_failed_at = (e.event).first_failed_at,
    last_failed_at = (e.event).last_failed_at,
    last_error = e.error,
    lease_expires_at = null,
    leads = null,
    receipt = case e.verdict when 'completed' then e.receipt end,
    completed_at = case e.verdict when 'completed' then clock_timestamp() end,
    dead_letter_id = died.id,
    delivery_id = case when e.verdict <> 'released' then q.delivery_id end,
    next_attempt_at = (e.event).next_attempt_at
  from ended e
  left join died on died.event_id = e.event_id
  where q.event_id = e.event_id
  returning q.event_id, e.verdict;
  perform outbox.release_next(array(select (e ->> 'event_id')::uuid from jsonb_array_elements(endings) e));
end
$$;
comment on function outbox.end_attempts(jsonb) is 'Ends attempts at events that the caller has locked.';

create or replace function outbox.end_attempts_each(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query select * from outbox.end_attempts(endings);
exception when others then
  if jsonb_array_length(endings) > 1 then
    return query
    select one.*
    from jsonb_array_elements(endings) as e (ending)
    cross join lateral outbox.end_attempts_each(jsonb_build_array(e.ending)) as one;
  else
    perform outbox.raise_alert(
      'job_failing', 1, format('the attempt at event %s cannot be ended: %s', endings -> 0 ->> 'event_id', sqlerrm)
    );
  end if;
end
$$;
comment on function outbox.end_attempts_each(jsonb) is 'end_attempts(), one by one if one of them fails.';
