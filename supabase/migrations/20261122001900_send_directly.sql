-- Purpose: the fallback for a pg_net that does not send: Postgres itself calls the handler, with the extension http.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-direct'); drop function pause_status.send_directly(), pause_status.is_only_run(text),
--          pause_status.send_batch(pause_status.webhook_queue[], text, text, integer),
--          pause_status.call_handler(uuid[], jsonb, text, text, integer), pause_status.end_direct(jsonb),
--          pause_status.keeps_requests(interval), pause_status.not_sent(boolean, interval, uuid[], integer), pause_status.pg_net_problem(),
--          pause_status.http_schema().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

do $$
begin
  create extension if not exists http with schema extensions;
exception when others then
  raise notice 'no extension http (%): while pg_net does not send, events wait; alert oldest_unnotified', sqlerrm;
end
$$;

create or replace function pause_status.http_schema()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select quote_ident(n.nspname)
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'http'
$$;
comment on function pause_status.http_schema() is
  'Where the extension http is, quoted; null without it. Somebody may have installed it elsewhere before us.';

create or replace function pause_status.pg_net_problem()
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
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
comment on function pause_status.pg_net_problem() is
  'Why pg_net takes no requests: not installed, not loaded, not granted, locked. Null when it takes them.';

create or replace function pause_status.not_sent(refuses boolean, waiting interval, tried uuid[], at_most integer)
returns setof pause_status.webhook_queue
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
set lock_timeout = '100ms'
as $$
declare
  most integer := at_most;
  found_rows integer;
begin
  if refuses then
    return query
    select q.*
    from pause_status.webhook_queue q
    left join pause_status.deliveries d on d.id = q.delivery_id
    where q.status = 'pending'
      and q.event_id <> all(tried)
      and case
        when q.delivery_id is not null then d.error is not null
        -- dispatch() postpones what pg_net refuses, with these words. What waits for another reason waits.
        else q.next_attempt_at <= clock_timestamp() or q.last_error like 'could not be sent: %'
      end
      and q.next_attempt_at < 'infinity'
      and pause_status.is_first_in_line(q.mentor_id, q.version)
    order by q.next_attempt_at
    limit most;
    get diagnostics found_rows = row_count;
    most := most - found_rows;
  end if;

  begin
    return query
    select q.*
    from net.http_request_queue r
    join pause_status.deliveries d on d.request_id = r.id and d.dispatched_at <= clock_timestamp() - waiting
    join pause_status.webhook_queue q on q.delivery_id = d.id
    where q.status = 'pending' and q.event_id <> all(tried) and pause_status.is_first_in_line(q.mentor_id, q.version)
    order by q.next_attempt_at
    limit most;
  exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
    -- No pg_net, no requests of it.
    return;
  end;
end
$$;
comment on function pause_status.not_sent(boolean, interval, uuid[], integer) is
  'Heads of line that pg_net refused, or whose request it has kept for this long. Without locks on them: the handler '
  'needs these rows while it is called.';

create or replace function pause_status.keeps_requests(waiting interval)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
begin
  return exists (
    select
    from net.http_request_queue r
    join pause_status.deliveries d on d.request_id = r.id
    where d.dispatched_at <= clock_timestamp() - waiting
  );
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  return false;
end
$$;
comment on function pause_status.keeps_requests(interval) is
  'Whether pg_net has kept a request of ours for this long without sending it.';

create or replace function pause_status.call_handler(
  event_ids uuid[], payloads jsonb, function_url text, secrets text, timeout_ms integer
)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  alone boolean := cardinality(event_ids) = 1;
  delivery text := case when alone then event_ids[1] else gen_random_uuid() end;
  body text := case when alone then payloads -> 0 else payloads end;
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
  http text := pause_status.http_schema();
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
    using function_url, delivery, unix_seconds::text, pause_status.sign(delivery, unix_seconds, body, secrets), body;
    answer := jsonb_build_object('status', status, 'content', content);
  exception when others then
    answer := jsonb_build_object('text', replace(sqlerrm, function_url, '<pause_status_function_url>'));
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
comment on function pause_status.call_handler(uuid[], jsonb, text, text, integer) is
  'Sends events in one signed request and waits for the answer: status and content, or text that says why there is '
  'none. Never raises.';

create or replace function pause_status.end_direct(calls jsonb)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  endings jsonb;
  ended uuid[];
begin
  with called as materialized (
    select * from jsonb_to_recordset(calls) as c (event_id uuid, delivery_id uuid, claim_token bigint, answer jsonb)
  ), silent as materialized (
    select q.event_id, c.answer, coalesce(c.answer -> 'result' -> 'status' in ('400', '422'), false) as is_rejected
    from pause_status.webhook_queue q
    join called c on c.event_id = q.event_id
    -- As it was when it was sent: nobody has claimed it, or ended that attempt, since.
    where q.status = 'pending' and q.claim_token = c.claim_token and q.delivery_id is not distinct from c.delivery_id
    order by q.event_id
    for update of q skip locked
  ), counted as (
    -- What pg_net was never given has not been counted by a dispatch.
    update pause_status.webhook_queue q
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

  ended := array(select e.event_id from pause_status.end_attempts_each(endings) e where e.verdict = 'released');
  -- end_attempts() counts the backoff from the dispatch to pg_net, which was long ago.
  update pause_status.webhook_queue q
  set next_attempt_at = clock_timestamp()
    + greatest(
      pause_status.backoff(q.failures),
      pause_status.outage_backoff(q.failures, q.first_failed_at),
      make_interval(secs => s.retry_base_seconds)
    )
  from pause_status.settings s
  where q.event_id = any(ended);
  return cardinality(ended);
end
$$;
comment on function pause_status.end_direct(jsonb) is
  'Counts the failure of those events that were sent directly and that the handler did not claim; returns how many '
  'will be tried again.';

create or replace function pause_status.send_batch(
  batch pause_status.webhook_queue[], function_url text, secrets text, timeout_ms integer
)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  alone constant boolean := cardinality(batch) = 1;
  answer jsonb := pause_status.call_handler(
    array(select b.event_id from unnest(batch) b),
    (select jsonb_agg(pause_status.payload_of(b)) from unnest(batch) b),
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
          pause_status.describe_answer((answer ->> 'status')::integer, answer ->> 'content', alone, own.result)
        ),
        'result', case when alone then jsonb_build_object('status', answer -> 'status') else own.result end
      )
    ))
    from unnest(batch) b
    cross join lateral (
      select case when not alone then pause_status.result_of(answer ->> 'content', b.event_id) end as result
      -- Keeps the answer from being read twice.
      offset 0
    ) as own
  );
end
$$;
comment on function pause_status.send_batch(pause_status.webhook_queue[], text, text, integer) is
  'Calls the handler for these events at once; returns for each the answer, and how it was when it was sent.';

create or replace function pause_status.is_only_run(job text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into pause_status.heartbeats (job)
  select is_only_run.job
  where not exists (select from pause_status.heartbeats h where h.job = is_only_run.job);
  -- Any role may take an advisory lock; this row is ours.
  perform from pause_status.heartbeats h where h.job = is_only_run.job for update skip locked;
  return found;
end
$$;
comment on function pause_status.is_only_run(text) is
  'Whether no other run of the job is under way; then none can begin before this transaction ends.';

create or replace function pause_status.send_directly()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  settings pause_status.settings;
  deadline timestamptz := clock_timestamp() + interval '20 seconds';
  refuses boolean := pause_status.pg_net_problem() is not null;
  function_url text;
  secrets text;
  patience interval;
  waiting interval;
  size integer;
  batch pause_status.webhook_queue[];
  tried uuid[] := '{}';
  called jsonb;
  calls jsonb := '[]';
begin
  select s.* into settings from pause_status.settings s;
  patience := make_interval(secs => settings.acknowledge_timeout_seconds);
  waiting := patience;
  if not pause_status.is_only_run('direct') then
    return 0;
  elsif pause_status.http_schema() is null
    or not exists (select from pause_status.not_sent(refuses, waiting, tried, 1))
  then
    perform pause_status.beat('direct');
    return 0;
  end if;

  begin
    select a.* into function_url, secrets from pause_status.handler_address() a;
    -- What makes every event fail is no failure of the events, so it must show before they are called.
    perform pause_status.sign('check', 0, '', secrets);
  exception when others then
    raise warning 'nothing is sent without pg_net: %', sqlerrm;
    perform pause_status.beat('direct', sqlerrm);
    return 0;
  end;

  -- Nothing is locked and nothing is written before the last call: a claim would wait for this transaction.
  while clock_timestamp() < deadline loop
    batch := array(select n from pause_status.not_sent(refuses, waiting, tried, settings.events_per_request) n);
    exit when cardinality(batch) = 0;
    size := pause_status.request_size(batch[1].event_id, batch[1].failures, settings.events_per_request);
    batch := (array(
      select b
      from unnest(batch) b
      where pause_status.request_size(b.event_id, b.failures, settings.events_per_request) = size
    ))[:size];
    called := pause_status.send_batch(batch, function_url, secrets, settings.request_timeout_ms);
    tried := tried || array(select b.event_id from unnest(batch) b);
    calls := calls || called;
    -- pg_net takes the oldest first: while it keeps an overdue request, no other has to become overdue.
    waiting := case when pause_status.keeps_requests(patience) then interval '0' else patience end;
    -- A handler that is away would use up the time limit of each request: the others keep their turn for the next run.
    exit when called -> 0 -> 'answer' -> 'status' is null;
  end loop;

  perform pause_status.end_direct(calls);
  perform pause_status.beat('direct');
  return cardinality(tried);
end
$$;
comment on function pause_status.send_directly() is
  'Calls the handler for what pg_net does not send, until nothing is left or 20 seconds are over; returns how many '
  'events it sent. Does nothing without the extension http, or while another run is under way.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select pause_status.pace('pause-status-direct', 'select pause_status.send_directly()', '5 seconds');
