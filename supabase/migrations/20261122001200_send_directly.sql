-- Purpose: the fallback for a pg_net that does not send: Postgres itself calls the handler, with the extension http.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('outbox-direct'); drop function outbox.send_directly(), outbox.is_only_run(text),
--          outbox.send_batch(outbox.events[], text, text, integer),
--          outbox.call_handler(uuid[], jsonb, text, text, integer), outbox.end_direct(jsonb),
--          outbox.keeps_requests(interval), outbox.not_sent(boolean, interval, uuid[], integer), outbox.pg_net_problem(),
--          outbox.http_schema().

select pg_advisory_xact_lock(hashtext('outbox migrations'));

do $$
begin
  create extension if not exists http with schema extensions;
exception when others then
  raise notice 'no extension http (%): while pg_net does not send, events wait; alert oldest_unnotified', sqlerrm;
end
$$;

create or replace function outbox.http_schema() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select quote_ident(n.nspname)
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'http'
$$;
comment on function outbox.http_schema() is
  'Where the extension http is, quoted; null without it. Somebody may have installed it elsewhere before us.';

create or replace function outbox.pg_net_problem() returns text
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  perform net.http_post(url := 'http://127.0.0.1:9/', body := '{}'::jsonb, timeout_milliseconds := 1000);
  -- Undoes the request: it was only a question.
  raise exception using errcode = 'PS000';
exception
  when sqlstate 'PS000' then
    return null;
  when others then
    return sqlerrm;
end
$$;
comment on function outbox.pg_net_problem() is
  'Why pg_net takes no requests: not installed, not loaded, not granted, locked. Null when it takes them.';

create or replace function outbox.not_sent(refuses boolean, waiting interval, tried uuid[], at_most integer)
returns setof outbox.events
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off
set lock_timeout = '100ms' as $$
declare
  most integer := at_most;
  found_rows integer;
begin
  if refuses then
    return query
    select q.*
    from outbox.events q
    left join outbox.deliveries d on d.id = q.delivery_id
    where q.status = 'pending'
      and q.event_id <> all(tried)
      and case
        when q.delivery_id is not null then d.error is not null
        -- dispatch() postpones what pg_net refuses, with these words. What waits for another reason waits.
        else q.next_attempt_at <= clock_timestamp() or q.last_error like 'could not be sent: %'
      end
      and q.next_attempt_at < 'infinity'
      and outbox.is_first_in_line(q.topic, q.key, q.version)
    order by q.next_attempt_at
    limit most;
    get diagnostics found_rows = row_count;
    most := most - found_rows;
  end if;

  begin
    return query
    select q.*
    from net.http_request_queue r
    join outbox.deliveries d on d.request_id = r.id and d.dispatched_at <= clock_timestamp() - waiting
    join outbox.events q on q.delivery_id = d.id
    where q.status = 'pending' and q.event_id <> all(tried) and outbox.is_first_in_line(q.topic, q.key, q.version)
    order by q.next_attempt_at
    limit most;
  exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
    -- No pg_net, no requests of it.
    return;
  end;
end
$$;
comment on function outbox.not_sent(boolean, interval, uuid[], integer) is
  'Heads of line that pg_net refused, or whose request it has kept for this long. Without locks on them: the handler '
  'needs these rows while it is called.';

create or replace function outbox.keeps_requests(waiting interval) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  return exists (
    select
    from net.http_request_queue r
    join outbox.deliveries d on d.request_id = r.id
    where d.dispatched_at <= clock_timestamp() - waiting
  );
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  return false;
end
$$;
comment on function outbox.keeps_requests(interval) is
  'Whether pg_net has kept a request of ours for this long without sending it.';

create or replace function outbox.call_handler(
  event_ids uuid[], payloads jsonb, function_url text, secrets text, timeout_ms integer
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  alone boolean := cardinality(event_ids) = 1;
  delivery text := case when alone then event_ids[1] else gen_random_uuid() end;
  body text := case when alone then payloads -> 0 else payloads end;
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
  http text := outbox.http_schema();
  timeout_before text := current_setting('http.timeout_msec', true);
  answer jsonb;
  status integer;
  content text;
begin
  -- Dynamic, because the types are the extension's, which may be absent when this function is created.
  begin
    -- The setting, where somebody has made it, would override the option.
    perform set_config('http.timeout_msec', timeout_ms::text, true);
    execute format('select %s.http_set_curlopt(''CURLOPT_TIMEOUT_MS'', $1)', http) using timeout_ms::text;
    execute format(
      'select r.status, r.content from %1$s.http(row(''POST'', $1, array[row(''webhook-id'', $2), '
        'row(''webhook-timestamp'', $3), row(''webhook-signature'', $4)]::%1$s.http_header[], ''application/json'', $5'
        ')::%1$s.http_request) as r', http
    )
    into status, content
    using function_url, delivery, unix_seconds::text, outbox.sign(delivery, unix_seconds, body, secrets), body;
    answer := jsonb_build_object('status', status, 'content', content);
  exception when others then
    answer := jsonb_build_object('text', replace(sqlerrm, function_url, '<function_url>'));
  end;

  -- The session is somebody else's afterwards.
  begin
    perform set_config('http.timeout_msec', coalesce(timeout_before, ''), true);
  exception when others then
    null;
  end;
  begin
    execute format('select %s.http_reset_curlopt()', http);
  exception when others then
    null;
  end;
  return answer;
end
$$;
comment on function outbox.call_handler(uuid[], jsonb, text, text, integer) is
  'Sends events in one signed request and waits for the answer: status and content, or text that says why there is '
  'none. Never raises.';

create or replace function outbox.end_direct(calls jsonb) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  endings jsonb;
  ended uuid[];
begin
  with called as materialized (
    select * from jsonb_to_recordset(calls) as c (event_id uuid, delivery_id uuid, claim_token bigint, answer jsonb)
  ), silent as materialized (
    select q.event_id, c.answer, coalesce(c.answer -> 'result' -> 'status' in ('400', '422'), false) as is_rejected
    from outbox.events q
    join called c on c.event_id = q.event_id
    -- As it was when it was sent: nobody has claimed it, or ended that attempt, since.
    where q.status = 'pending' and q.claim_token = c.claim_token and q.delivery_id is not distinct from c.delivery_id
    order by q.event_id
    for update of q skip locked
  ), counted as (
    -- What pg_net was never given has not been counted by a dispatch.
    update outbox.events q
    set
      attempts = q.attempts + 1,
      last_dispatched_at = clock_timestamp(),
      dispatch_reason = coalesce(q.dispatch_reason, 'sweep')
    from silent s
    where q.event_id = s.event_id and q.delivery_id is null
  )
  select jsonb_agg(jsonb_build_object(
    'event_id', s.event_id,
    'http_status', case
      when s.is_rejected then (s.answer -> 'result' -> 'status')::integer
      else (s.answer ->> 'status')::integer
    end,
    'outcome', case when s.is_rejected then 'rejected' else 'unacknowledged' end,
    'message', 'sent without pg_net: ' || (s.answer ->> 'text')
  ))
  into endings
  from silent s;
  if endings is null then
    return 0;
  end if;

  ended := array(select e.event_id from outbox.end_attempts_each(endings) e where e.verdict = 'released');
  -- end_attempts() counts the backoff from the dispatch to pg_net, which was long ago.
  update outbox.events q
  set next_attempt_at = clock_timestamp()
    + greatest(
      outbox.backoff(q.failures),
      outbox.outage_backoff(q.failures, q.first_failed_at),
      make_interval(secs => s.retry_base_seconds)
    )
  from outbox.settings s
  where q.event_id = any(ended);
  return cardinality(ended);
end
$$;
comment on function outbox.end_direct(jsonb) is
  'Counts the failure of those events that were sent directly and that the handler did not claim; returns how many '
  'will be tried again.';

create or replace function outbox.send_batch(
  batch outbox.events[], function_url text, secrets text, timeout_ms integer
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  alone constant boolean := cardinality(batch) = 1;
  answer jsonb := outbox.call_handler(
    array(select b.event_id from unnest(batch) b),
    (select jsonb_agg(outbox.body(b)) from unnest(batch) b),
    function_url, secrets, timeout_ms
  );
begin
  return (
    select jsonb_agg(jsonb_build_object(
      'event_id', b.event_id,
      'delivery_id', b.delivery_id,
      'claim_token', b.claim_token,
      'answer', (answer - 'content') || jsonb_build_object(
        'text', coalesce(
          answer ->> 'text',
          outbox.describe_answer((answer ->> 'status')::integer, answer ->> 'content', alone, own.result)
        ),
        'result', case when alone then jsonb_build_object('status', answer -> 'status') else own.result end
      )
    ))
    from unnest(batch) b
    cross join lateral (
      select case when not alone then outbox.result_of(answer ->> 'content', b.event_id) end as result
      -- Keeps the answer from being read twice.
      offset 0
    ) as own
  );
end
$$;
comment on function outbox.send_batch(outbox.events[], text, text, integer) is
  'Calls the handler for these events at once; returns for each the answer, and how it was when it was sent.';

create or replace function outbox.is_only_run(job text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into outbox.heartbeats (job)
  select is_only_run.job
  where not exists (select from outbox.heartbeats h where h.job = is_only_run.job);
  -- Any role may take an advisory lock; this row is ours.
  perform from outbox.heartbeats h where h.job = is_only_run.job for update skip locked;
  return found;
end
$$;
comment on function outbox.is_only_run(text) is
  'Whether no other run of the job is under way; then none can begin before this transaction ends.';

create or replace function outbox.send_directly() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  settings outbox.settings;
  deadline timestamptz := clock_timestamp() + interval '20 seconds';
  refuses boolean := outbox.pg_net_problem() is not null;
  function_url text;
  secrets text;
  patience interval;
  waiting interval;
  size integer;
  batch outbox.events[];
  tried uuid[] := '{}';
  sent uuid[] := '{}';
  problem text;
  called jsonb;
  calls jsonb := '[]';
begin
  select s.* into settings from outbox.settings s;
  patience := make_interval(secs => settings.acknowledge_timeout_seconds);
  waiting := patience;
  if not outbox.is_only_run('direct') then
    return 0;
  elsif outbox.http_schema() is null
    or not exists (select from outbox.not_sent(refuses, waiting, tried, 1))
  then
    perform outbox.beat('direct');
    return 0;
  end if;

  -- Nothing is locked and nothing is written before the last call: a claim would wait for this transaction.
  while clock_timestamp() < deadline loop
    batch := array(select n from outbox.not_sent(refuses, waiting, tried, settings.events_per_request) n);
    exit when cardinality(batch) = 0;
    size := outbox.request_size(batch[1].event_id, batch[1].failures, settings.events_per_request);
    batch := (array(
      select b
      from unnest(batch) b
      where b.topic = batch[1].topic
        and outbox.request_size(b.event_id, b.failures, settings.events_per_request) = size
    ))[:size];
    tried := tried || array(select b.event_id from unnest(batch) b);
    begin
      select a.* into function_url, secrets from outbox.handler_address(batch[1].topic) a;
      -- What makes every event fail is no failure of the events, so it must show before they are called.
      perform outbox.sign('check', 0, '', secrets);
    exception when others then
      raise warning 'nothing is sent without pg_net: %', sqlerrm;
      problem := sqlerrm;
      continue;
    end;
    called := outbox.send_batch(batch, function_url, secrets, settings.request_timeout_ms);
    sent := sent || array(select b.event_id from unnest(batch) b);
    calls := calls || called;
    -- pg_net takes the oldest first: while it keeps an overdue request, no other has to become overdue.
    waiting := case when outbox.keeps_requests(patience) then interval '0' else patience end;
    -- A handler that is away would use up the time limit of each request: the others keep their turn for the next run.
    exit when called -> 0 -> 'answer' -> 'status' is null;
  end loop;

  perform outbox.end_direct(calls);
  perform outbox.beat('direct', problem);
  return cardinality(sent);
end
$$;
comment on function outbox.send_directly() is
  'Calls the handler for what pg_net does not send, until nothing is left or 20 seconds are over; returns how many '
  'events it sent. Does nothing without the extension http, or while another run is under way.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;

select outbox.pace('outbox-direct', 'select outbox.send_directly()', '5 seconds');
