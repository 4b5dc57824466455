-- Purpose: dispatch: hands events to pg_net, several in one signed request, when their transaction commits.
-- Locks:   outbox.events, access exclusive, for an instant.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.postpone(event_ids uuid[], why text, reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  error constant text := outbox.shorten('could not be sent: ' || reason);
  base interval := coalesce((select make_interval(secs => s.retry_base_seconds) from outbox.settings s), '1 minute');
  cap interval := coalesce((select make_interval(secs => s.retry_cap_seconds) from outbox.settings s), '1 minute');
begin
  with waiting as materialized (
    select q.*
    from outbox.events q
    where q.event_id = any(event_ids) and q.status = 'pending'
    order by q.event_id
    for update skip locked
  ), noted as (
    -- Only a new error: a week without pg_net would otherwise fill the table with one sentence.
    insert into outbox.attempts (event_id, attempt, why, outcome, error)
    select w.event_id, w.attempts, why, 'dispatch', error
    from waiting w
    where w.last_error is distinct from error
  )
  update outbox.events q
  set
    last_error = error,
    attempts = q.attempts - (q.delivery_id is not null)::integer,
    delivery_id = null,
    -- Waits as long again as it has waited: exponential without a counter, because the event has not failed.
    next_attempt_at = clock_timestamp() + (0.5 + random() / 2) * least(
      greatest(clock_timestamp() - coalesce(w.last_failed_at, w.created_at), base), cap
    )
  from waiting w
  where q.event_id = w.event_id;
exception when others then
  raise warning '% event(s) stay due: %', cardinality(event_ids), sqlerrm;
end
$$;
comment on function outbox.postpone(uuid[], text, text) is
  'Postpones events that could not be sent, which is not a failure of theirs. Never raises.';

-- A function, so that it has its own plan: inlined over many events, the planner would compare each with each.
create or replace function outbox.is_first_in_line(topic text, key text, candidate bigint) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
as $$
begin
  return not exists (
    select
    from outbox.events q
    where q.topic = is_first_in_line.topic and q.key = is_first_in_line.key and q.version < candidate
      and q.status in ('pending', 'processing')
  );
end
$$;
comment on function outbox.is_first_in_line(text, text, bigint) is
  'Whether all lower versions of the key are settled. An event without a version never waits.';

create or replace function outbox.heads_of(event_ids uuid[]) returns setof uuid
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
begin
  return query
  select distinct head.event_id
  from outbox.events q
  cross join lateral (
    select first.event_id
    from outbox.events first
    where first.topic = q.topic and first.key = q.key and first.version is not null
      and first.status in ('pending', 'processing')
    order by first.version
    limit 1
  ) as head
  where q.event_id = any(event_ids);
end
$$;
comment on function outbox.heads_of(uuid[]) is 'The first event in line for each of these events'' keys, claimed or not.';

create or replace function outbox.request_size(event_id uuid, failures integer, largest integer) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
as $$
begin
  if failures = 0 then
    return largest;
  end if;
  return greatest(1, largest >> (
    select least(count(*), 8)::integer
    from outbox.attempts a
    where a.event_id = request_size.event_id
      and a.outcome in ('unacknowledged', 'lease')
      and a.http_status >= 400
      and a.http_status not in (401, 429, 502, 503)
  ));
end
$$;
comment on function outbox.request_size(uuid, integer, integer) is
  'How many events may share a request with this one. Halved by every request that failed with its own error, so that '
  'an event that breaks requests is soon alone. An outage (no answer, 429, 502, 503) changes nothing.';

create or replace function outbox.post(topic text, delivery_id uuid, bodies jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp
-- Any role can lock pg_net's queue, and a writer must not wait for that.
set lock_timeout = '100ms'
as $$
declare
  body constant jsonb := case jsonb_array_length(bodies) when 1 then bodies -> 0 else bodies end;
  function_url text;
  secrets text;
  timeout_ms integer := (select s.request_timeout_ms from outbox.settings s);
  -- Not now(): the transaction may have started longer ago than a signature is valid.
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
begin
  if to_regproc('net.http_post') is null then
    raise exception 'pg_net is not installed: run create extension pg_net with schema extensions'
      using errcode = 'undefined_object';
  elsif timeout_ms is null then
    raise exception 'the settings are gone: run insert into outbox.settings default values'
      using errcode = 'no_data_found';
  end if;
  select a.* into function_url, secrets from outbox.handler_address(topic) a;

  insert into outbox.deliveries (id, request_id)
  values (delivery_id, net.http_post(
    url := function_url,
    body := body,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', delivery_id,
      'webhook-timestamp', unix_seconds::text,
      'webhook-signature', outbox.sign(delivery_id::text, unix_seconds, body::text, secrets),
      -- Null for several events, so that pg_net leaves it out: each body has its own.
      'traceparent', body ->> 'traceparent'
    ),
    timeout_milliseconds := timeout_ms
  ))
  on conflict (id) do update
  set request_id = excluded.request_id, error = null, dispatched_at = clock_timestamp();
exception when others then
  -- pg_net's errors quote the URL, which may contain a key.
  raise exception '%', replace(sqlerrm, coalesce(function_url, ''), '<function_url>') using errcode = sqlstate;
end
$$;
comment on function outbox.post(text, uuid, jsonb) is
  'Hands pg_net one signed request with these bodies. pg_net sends it once the transaction has committed.';

create or replace function outbox.requests_of(due_ids uuid[]) returns table (topic text, event_ids uuid[], bodies jsonb)
language plpgsql set search_path = pg_catalog, pg_temp
-- A cached plan may date from when the tables were empty, so sequential scans are off.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
  most constant integer := coalesce((select s.events_per_request from outbox.settings s), 1);
begin
  return query
  with due as materialized (
    select
      q.topic, q.event_id, outbox.body(q) as body, q.next_attempt_at,
      outbox.request_size(q.event_id, q.failures, most) as size
    from outbox.events q
    where q.event_id = any(due_ids)
      -- Only pending events have one. Naming the status would tempt the planner to read the index of everything due.
      and q.next_attempt_at <= clock_timestamp()
      and q.delivery_id is null
      and outbox.is_first_in_line(q.topic, q.key, q.version)
    order by q.event_id
    for update of q skip locked
  ), placed as (
    select
      d.*, (row_number() over (partition by d.topic, d.size order by d.next_attempt_at, d.event_id) - 1) / d.size as place
    from due d
  )
  select p.topic, array_agg(p.event_id), jsonb_agg(p.body order by p.next_attempt_at, p.event_id)
  from placed p
  group by p.topic, p.size, p.place
  order by min(p.next_attempt_at);
end
$$;
comment on function outbox.requests_of(uuid[]) is
  'Groups the events that are due and first in line into requests, with their bodies as an array. Locks the events.';

create or replace function outbox.dispatch(event_ids uuid[], why text) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  request record;
  -- By topic. After the first refusal, its other requests are skipped: each might wait for the same lock.
  refused jsonb := '{}';
  sent integer := 0;
  delivery uuid;
begin
  if coalesce(cardinality(event_ids), 0) = 0 then
    return 0;
  end if;

  for request in select * from outbox.requests_of(event_ids) loop
    if refused ? request.topic then
      perform outbox.postpone(request.event_ids, why, refused ->> request.topic);
      continue;
    end if;
    begin
      delivery := case cardinality(request.event_ids) when 1 then request.event_ids[1] else gen_random_uuid() end;
      perform outbox.post(request.topic, delivery, request.bodies);
      update outbox.events q
      set
        attempts = q.attempts + 1,
        last_dispatched_at = clock_timestamp(),
        dispatch_reason = coalesce(case q.attempts when 0 then q.dispatch_reason end, why),
        delivery_id = delivery,
        next_attempt_at = clock_timestamp() + make_interval(secs => s.acknowledge_timeout_seconds)
      from outbox.settings s
      where q.event_id = any(request.event_ids);
      sent := sent + cardinality(request.event_ids);
    exception when others then
      refused := refused || jsonb_build_object(request.topic, sqlerrm);
      raise warning 'events of topic % wait for the sweep: %', request.topic, sqlerrm;
      perform outbox.postpone(request.event_ids, why, sqlerrm);
    end;
  end loop;
  return sent;
exception when others then
  raise warning '% event(s) wait for the sweep: %', cardinality(event_ids), sqlerrm;
  perform outbox.postpone(event_ids, why, sqlerrm);
  return 0;
end
$$;
comment on function outbox.dispatch(uuid[], text) is
  'Hands the events that are due and first in line to pg_net; returns how many. Never raises. A topic that cannot be '
  'sent does not delay the others.';

create or replace function outbox.park(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  update outbox.events q
  set next_attempt_at = 'infinity'
  from unnest(event_ids) as blocked (event_id)
  join outbox.events b on b.event_id = blocked.event_id
  -- Locked until the commit, so that whoever settles it afterwards releases what was parked behind it. If the first in line
  -- is locked, nothing is parked: the second one is not the one to wait for.
  cross join lateral (
    select
    from outbox.events head
    where head.event_id = (
      select earlier.event_id
      from outbox.events earlier
      where earlier.topic = b.topic and earlier.key = b.key and earlier.version < b.version
        and earlier.status in ('pending', 'processing')
      order by earlier.version
      limit 1
    ) and head.status in ('pending', 'processing')
    for share skip locked
  ) as held
  -- In a case, so that the planner does not scan everything that is due.
  where q.event_id = blocked.event_id and case q.status when 'pending' then q.delivery_id is null end;
end
$$;
comment on function outbox.park(uuid[]) is
  'Parks events that wait behind an earlier one of their key, until release_next() makes them due again.';

create or replace function outbox.dispatch_due(why text, at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- Reads the index in order, up to the limit. Otherwise everything due would be sorted first.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  -- A variable, because an index cannot be searched with a volatile function.
  moment timestamptz := clock_timestamp();
  heads uuid[] := '{}';
  blocked uuid[];
  found_heads uuid[];
begin
  -- Each round parks events that wait behind others, so the next one gets further. Ten rounds keep a sweep short.
  for round in 1 .. 10 loop
    with due as materialized (
      select q.event_id, q.topic, q.key, q.version
      from outbox.events q
      where q.status = 'pending' and q.delivery_id is null and q.next_attempt_at <= moment and q.event_id <> all(heads)
      order by q.next_attempt_at
      limit at_most
      for update skip locked
    ), judged as materialized (
      select d.event_id, outbox.is_first_in_line(d.topic, d.key, d.version) as is_first from due d
    )
    select
      coalesce(array_agg(j.event_id) filter (where j.is_first), '{}'),
      array_agg(j.event_id) filter (where not j.is_first)
    into found_heads, blocked
    from judged j;
    heads := heads || found_heads;
    exit when blocked is null;
    perform outbox.park(blocked);
    exit when cardinality(heads) >= at_most;
  end loop;
  return outbox.dispatch(heads[:at_most], why);
end
$$;
comment on function outbox.dispatch_due(text, integer) is
  'Dispatches the heads of line that have been due longest; returns how many.';

create or replace function outbox.dispatch_at_commit() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  reason text := 'another request of the same transaction was refused';
begin
  -- A restored row is not posted: the person who restores decides what is sent.
  if new.created_at < now() then
    return null;
  end if;

  -- Reads nothing from the outbox: serializable transactions of different keys would conflict.
  -- A transaction waits for a lock at most once.
  if current_setting('outbox.refused', true) is distinct from 'yes' then
    begin
      perform outbox.post(new.topic, new.delivery_id, new.leads);
      return null;
    exception when others then
      reason := sqlerrm;
      perform set_config('outbox.refused', 'yes', true);
      raise warning 'changes wait for the sweep: %', reason;
    end;
  end if;

  begin
    insert into outbox.deliveries (id, error, event_ids)
    select new.delivery_id, outbox.shorten(reason), array_agg((e.id #>> '{}')::uuid)
    from jsonb_path_query(new.leads, '$[*].event_id') as e (id);
  exception when others then
    raise warning 'changes wait for the sweep: %', sqlerrm;
  end;
  return null;
end
$$;
comment on function outbox.dispatch_at_commit() is
  'Posts the request that an event leads, with the rights of the outbox, not the writer''s. Never raises.';

-- Deferred to the commit, so that the signature is fresh however long the transaction took.
drop trigger if exists events_dispatch_at_commit on outbox.events;
create constraint trigger events_dispatch_at_commit
  after insert on outbox.events
  deferrable initially deferred
  for each row
  when (new.leads is not null and new.status = 'pending')
  execute function outbox.dispatch_at_commit();
comment on trigger events_dispatch_at_commit on outbox.events is 'The fast path. The sweep sends what it misses.';
