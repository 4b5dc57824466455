-- Purpose: the end of an attempt, whoever ended it: the one place where an event is completed, retried or given up.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.release_next(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  update outbox.events q
  set next_attempt_at = clock_timestamp()
  where q.event_id = any(array(
    select parked.event_id
    from outbox.events settled
    cross join lateral (
      select next.event_id
      from outbox.events next
      where next.topic = settled.topic and next.key = settled.key and next.version is not null
        and next.status in ('pending', 'processing')
      order by next.version
      limit 1
    ) as head
    join outbox.events parked on parked.event_id = head.event_id and parked.next_attempt_at = 'infinity'
    where settled.event_id = any(event_ids)
    -- A claim that holds one waits for us, and takes it then.
    for update of parked skip locked
  ));
end
$$;
comment on function outbox.release_next(uuid[]) is
  'Makes the first unsettled event of each of these events'' keys due if it was parked behind another.';

create or replace function outbox.why_given_up(event outbox.events) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
  settings outbox.settings := (select s from outbox.settings s);
  most integer := coalesce(
    (select t.max_attempts from outbox.topics t where t.topic = event.topic), settings.max_attempts
  );
  next record;
begin
  if event.failures < most then
    return null;
  elsif event.own_failures >= most then
    return format('before %s of its %s failures others were completed', event.own_failures, event.failures);
  elsif event.first_failed_at <= moment - make_interval(secs => settings.retry_for_seconds) then
    return format(
      'it failed %s times in %s seconds', event.failures, floor(extract(epoch from moment - event.first_failed_at))
    );
  end if;

  select later.version, greatest(later.created_at, event.first_failed_at) as since
  into next
  from outbox.events later
  where later.topic = event.topic and later.key = event.key and later.version > event.version
    and later.status in ('pending', 'processing')
  order by later.version
  limit 1;
  if next.since <= moment - make_interval(secs => settings.hold_up_seconds) then
    return format(
      'it has held up version %s for %s seconds', next.version, floor(extract(epoch from moment - next.since))
    );
  end if;
  return null;
end
$$;
comment on function outbox.why_given_up(outbox.events) is
  'Why a failing event is given up once its attempts are used up; null while it is tried again.';

create or replace function outbox.judge(outcome text, inout event outbox.events, out verdict text, out why text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
begin
  verdict := case outcome when 'completed' then 'completed' else 'released' end;
  -- A parked event waits for a failure that is not its own.
  if outcome in ('completed', 'parked') then
    return;
  end if;

  if exists (
    select
    from outbox.events c
    where c.status = 'completed' and c.topic = event.topic
      and c.completed_at > coalesce(event.last_failed_at, event.last_dispatched_at, event.created_at)
  ) then
    event.own_failures := event.own_failures + 1;
  end if;
  event.failures := event.failures + 1;
  -- least(): the clock may have been set back.
  event.first_failed_at := least(event.first_failed_at, moment);
  event.last_failed_at := moment;
  why := outbox.why_given_up(event);
  if outcome in ('permanent', 'rejected') or why is not null then
    verdict := 'dead';
  end if;
end
$$;
comment on function outbox.judge(text, outbox.events) is
  'The event with its failures counted, and what becomes of it: completed, released (it is tried again) or dead.';

create or replace function outbox.next_attempt(event outbox.events, outcome text, retry_after_seconds numeric)
returns timestamptz
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
  settings outbox.settings := (select s from outbox.settings s);
  asked interval := make_interval(secs => least(coalesce(retry_after_seconds, 0), settings.retry_cap_seconds)::float8);
  outage interval := '0';
begin
  -- Stock webhooks are sent again by their sender, unless we have sent one since.
  if event.source = 'webhook' and event.last_dispatched_at is null then
    return null;
  end if;
  -- In proportion, so that a long outage costs few attempts; at most an hour, so that all is soon sent after it.
  if event.failures >= settings.max_attempts then
    outage := (0.5 + random() / 2) * least((moment - event.first_failed_at) / 4, interval '1 hour');
  end if;
  return case outcome
    -- A lease that ran out was wait enough, and so is the time since an unacknowledged dispatch.
    when 'lease' then moment + outage
    when 'unacknowledged' then greatest(moment + outage, event.last_dispatched_at + outbox.backoff(event.failures))
    when 'parked' then moment + greatest(outbox.backoff(1), asked)
    else moment + greatest(outbox.backoff(event.failures), outage, asked)
  end;
end
$$;
comment on function outbox.next_attempt(outbox.events, text, numeric) is
  'When an event that is tried again may be sent; null if somebody else sends it.';

create or replace function outbox.end_attempts(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp
-- Looks each event up, whatever size the tables had when the session made its plans.
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
    cross join lateral outbox.judge(e.outcome, q) as j
  ), noted as (
    insert into outbox.attempts (
      event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, http_status, error, duration_ms
    )
    select
      e.event_id, (e.event).attempts, (e.event).dispatch_reason, (e.event).last_dispatched_at, (e.event).delivery_id,
      case (e.event).status when 'processing' then (e.event).claim_token end,
      e.outcome, e.http_status, e.error, e.duration_ms
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
    next_attempt_at = case e.verdict
      when 'released' then outbox.next_attempt(e.event, e.outcome, e.retry_after_seconds) end
  from ended e
  left join died on died.event_id = e.event_id
  where q.event_id = e.event_id
  returning q.event_id, e.verdict;
  perform outbox.release_next(array(select (e ->> 'event_id')::uuid from jsonb_array_elements(endings) e));
end
$$;
comment on function outbox.end_attempts(jsonb) is
  'Ends attempts at events that the caller has locked: completes them, makes them due again, or dead letters.';

create or replace function outbox.end_attempts_each(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  ending jsonb;
begin
  begin
    return query select * from outbox.end_attempts(endings);
    return;
  exception when others then
    raise warning 'ending % attempts one by one: %', jsonb_array_length(endings), sqlerrm;
  end;

  for ending in select * from jsonb_array_elements(endings) loop
    begin
      return query select * from outbox.end_attempts(jsonb_build_array(ending));
    exception when others then
      perform outbox.raise_alert(
        'job_failing', 1, format('the attempt at event %s cannot be ended: %s', ending ->> 'event_id', sqlerrm)
      );
    end;
  end loop;
end
$$;
comment on function outbox.end_attempts_each(jsonb) is
  'end_attempts(), except that one event that cannot be written does not hold up the others: it opens an alert.';
