-- Purpose: the end of an attempt, whoever ended it: the one place where an event is completed, retried or given up.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.end_attempts_each(jsonb), outbox.end_attempts(jsonb), outbox.note_attempts(jsonb),
--          outbox.tally(outbox.events, boolean),
--          outbox.next_attempt(outbox.events, text, interval), outbox.outage_backoff(integer, timestamptz),
--          outbox.why_given_up(outbox.events), outbox.release_next(uuid[]).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.release_next(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  with parked as materialized (
    select q.event_id
    from outbox.events settled
    cross join lateral (
      select next.event_id
      from outbox.events next
      where next.topic = settled.topic and next.key = settled.key and next.version is not null
        and next.status in ('pending', 'processing')
      order by next.version
      limit 1
    ) as head
    join outbox.events q on q.event_id = head.event_id
    where settled.event_id = any(event_ids) and q.next_attempt_at = 'infinity'
    -- A claim that holds one waits for us, and takes it then.
    for update of q skip locked
  )
  update outbox.events q
  set next_attempt_at = clock_timestamp()
  from parked p
  where q.event_id = p.event_id;
end
$$;
comment on function outbox.release_next(uuid[]) is
  'Makes the next event of each of these events'' keys due, if it was parked behind one that is settled now.';

create or replace function outbox.why_given_up(event outbox.events) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
as $$
declare
  settings outbox.settings;
  moment timestamptz := clock_timestamp();
  most integer;
  next record;
begin
  select s.* into settings from outbox.settings s;
  most := coalesce((select t.max_attempts from outbox.topics t where t.topic = event.topic), settings.max_attempts);
  if event.failures < most then
    return null;
  elsif event.own_failures >= most then
    return format('before %s of its %s failures others were completed', event.own_failures, event.failures);
  -- As far as one can tell it is the handler, and no event is to blame. But not forever.
  elsif event.first_failed_at <= moment - make_interval(secs => settings.retry_for_seconds) then
    return format(
      'it failed %s times in %s seconds', event.failures, floor(extract(epoch from moment - event.first_failed_at))
    );
  end if;

  -- The key has changed again. Before a change waits as long for another one, that one goes.
  select later.version, greatest(later.created_at, event.first_failed_at) as since
  into next
  from outbox.events later
  where later.topic = event.topic and later.key = event.key and later.version > event.version
    and later.status in ('pending', 'processing')
  order by later.version
  limit 1;
  if next.since <= moment - make_interval(secs => settings.hold_up_seconds) then
    return format('it has held up version %s for %s seconds', next.version, floor(extract(epoch from moment - next.since)));
  end if;
  return null;
end
$$;
comment on function outbox.why_given_up(outbox.events) is
  'Why an event that may yet succeed is given up: its attempts are used up, and either others were completed meanwhile, or '
  'it has failed for too long, or held up the next event of its key for too long. Null: it is tried again.';

create or replace function outbox.outage_backoff(failures integer, failing_since timestamptz) returns interval
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if failures < (select s.max_attempts from outbox.settings s) then
    return interval '0';
  end if;
  -- In proportion, so that many events in a long outage are fewer and fewer attempts, and short of an hour.
  return (0.5 + random() / 2) * least((clock_timestamp() - failing_since) / 4, interval '1 hour');
end
$$;
comment on function outbox.outage_backoff(integer, timestamptz) is
  'How long to wait at least once the attempts are used up: a quarter of the time that it has failed, with jitter.';

create or replace function outbox.next_attempt(event outbox.events, outcome text, retry_after interval)
returns timestamptz
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  outage interval := outbox.outage_backoff(event.failures, event.first_failed_at);
  cap interval := (select make_interval(secs => s.retry_cap_seconds) from outbox.settings s);
begin
  -- What somebody else sends is left to their retries, unless we have sent it since.
  if event.source = 'webhook' and event.last_dispatched_at is null then
    return null;
  end if;
  return case outcome
    -- Who died holding a lease has taken its time already.
    when 'lease' then clock_timestamp() + outage
    -- Likewise: the backoff of an unacknowledged delivery counts from its dispatch.
    when 'unacknowledged' then
      greatest(clock_timestamp() + outage, event.last_dispatched_at + outbox.backoff(event.failures))
    when 'parked' then clock_timestamp() + greatest(outbox.backoff(1), least(retry_after, cap))
    else clock_timestamp() + greatest(outbox.backoff(event.failures), outage, least(retry_after, cap))
  end;
end
$$;
comment on function outbox.next_attempt(outbox.events, text, interval) is
  'When an event that is tried again may be sent; null if somebody else sends it.';

create or replace function outbox.note_attempts(endings jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  insert into outbox.attempts (
    event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, http_status, error, duration_ms
  )
  select
    q.event_id, q.attempts, q.dispatch_reason, q.last_dispatched_at, q.delivery_id,
    case q.status when 'processing' then q.claim_token end, e.outcome, e.http_status,
    outbox.shorten(e.outcome || ': ' || e.message), e.duration_ms
  from jsonb_to_recordset(endings) as e (
    event_id uuid, outcome text, message text, http_status integer, duration_ms integer
  )
  join outbox.events q on q.event_id = e.event_id;
end
$$;
comment on function outbox.note_attempts(jsonb) is 'Adds attempts that end now to the history of their events.';

create or replace function outbox.end_attempts(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
declare
  moment timestamptz := clock_timestamp();
begin
  perform outbox.note_attempts(endings);
  return query
  with ending as materialized (
    select
      e.*, outbox.shorten(e.outcome || ': ' || e.message) as error,
      -- A parked event waits for somebody else's failure to pass.
      e.outcome not in ('completed', 'parked') as failed
    from jsonb_to_recordset(endings) as e (
      event_id uuid, outcome text, message text, http_status integer, retry_after_seconds numeric, duration_ms integer,
      receipt jsonb
    )
  ), tallied as materialized (
    select e.*, outbox.tally(q, e.failed) as event
    from ending e
    join outbox.events q on q.event_id = e.event_id
  ), judged as materialized (
    select t.*, g.why, case
      when t.outcome = 'completed' then 'completed'
      when t.outcome in ('permanent', 'rejected') or g.why is not null then 'dead'
      else 'released'
    end as verdict
    from tallied t
    -- Offset 0 keeps it from being asked twice.
    cross join lateral (select case when t.failed then outbox.why_given_up(t.event) end as why offset 0) as g
  ), died as (
    insert into outbox.dead_letters as d (
      event_id, topic, key, version, reason, attempts, first_failed_at, last_failed_at, last_error
    )
    select
      j.event_id, (j.event).topic, (j.event).key, (j.event).version,
      case j.outcome when 'rejected' then 'rejected' when 'permanent' then 'refused' else 'exhausted' end,
      (j.event).attempts, (j.event).first_failed_at, (j.event).last_failed_at,
      outbox.shorten(j.error || coalesce('; given up, because ' || j.why, ''))
    from judged j
    where j.verdict = 'dead'
    on conflict (event_id) where resolution is null do update
    set reason = excluded.reason, attempts = excluded.attempts, last_error = excluded.last_error,
      last_failed_at = greatest(excluded.last_failed_at, d.first_failed_at)
    returning d.id, d.event_id
  )
  update outbox.events q
  set
    status = case j.verdict when 'completed' then 'completed' when 'dead' then 'failed' else 'pending' end,
    failures = (j.event).failures,
    own_failures = (j.event).own_failures,
    first_failed_at = (j.event).first_failed_at,
    last_failed_at = (j.event).last_failed_at,
    last_error = j.error,
    lease_expires_at = null,
    leads = null,
    receipt = case j.verdict when 'completed' then j.receipt end,
    completed_at = case j.verdict when 'completed' then moment end,
    dead_letter_id = died.id,
    delivery_id = case j.verdict when 'released' then null else q.delivery_id end,
    next_attempt_at = case j.verdict when 'released' then outbox.next_attempt(
      j.event, j.outcome, make_interval(secs => least(coalesce(j.retry_after_seconds, 0), 86400)::float8)
    ) end
  from judged j
  left join died on died.event_id = j.event_id
  where q.event_id = j.event_id
  returning q.event_id, j.verdict;
  perform outbox.release_next(array(select (e ->> 'event_id')::uuid from jsonb_array_elements(endings) e));
end
$$;
comment on function outbox.end_attempts(jsonb) is
  'Ends attempts at events that the caller has locked: adds to their history and completes them (receipt), makes them '
  'pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or given up).';

create or replace function outbox.tally(event outbox.events, failed boolean) returns outbox.events
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
declare
  moment timestamptz := clock_timestamp();
begin
  if not failed then
    return event;
  end if;
  if (select max(c.completed_at) from outbox.events c where c.status = 'completed' and c.topic = event.topic)
    > coalesce(event.last_failed_at, event.last_dispatched_at, event.created_at)
  then
    event.own_failures := event.own_failures + 1;
  end if;
  event.failures := event.failures + 1;
  -- least(): the clock may have been set back.
  event.first_failed_at := least(event.first_failed_at, moment);
  event.last_failed_at := moment;
  return event;
end
$$;
comment on function outbox.tally(outbox.events, boolean) is 'The event with its failures counted, if the attempt failed.';

create or replace function outbox.end_attempts_each(endings jsonb) returns table (event_id uuid, verdict text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
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

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
