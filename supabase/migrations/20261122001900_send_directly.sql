-- Purpose: the fallback for a pg_net that does not send: Postgres itself calls the handler, with the extension http.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-direct'); drop function pause_status.send_directly(),
--          pause_status.call_handler(uuid[], jsonb, text, text, integer), pause_status.end_direct(jsonb),
--          pause_status.not_sent(interval, uuid[], integer), pause_status.http_schema().

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

create or replace function pause_status.not_sent(waiting interval, tried uuid[], at_most integer)
returns setof pause_status.webhook_queue
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
begin
  if to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') is null then
    return query
    select q.*
    from pause_status.webhook_queue q
    where q.status = 'pending'
      and q.delivery_id is null
      -- dispatch() postpones what is due when it misses pg_net, with these words. What waits for another reason waits.
      and (q.next_attempt_at <= clock_timestamp() or q.last_error like 'pg_net is not installed%')
      and q.event_id <> all(tried)
      -- As in dispatch_due(), and for its reason: here too many may wait behind events under way.
      and (
        select earlier.version
        from pause_status.webhook_queue earlier
        where earlier.mentor_id = q.mentor_id
          and earlier.version < q.version
          and earlier.status in ('pending', 'processing')
        order by earlier.version
        limit 1
      ) is null
    order by q.next_attempt_at
    limit at_most;
  else
    return query
    select q.*
    from pause_status.webhook_queue q
    where q.status = 'pending'
      and q.delivery_id is not null
      and q.last_dispatched_at <= clock_timestamp() - waiting
      and q.event_id <> all(tried)
      and exists (select from net.http_request_queue r where r.id = q.request_id)
      and pause_status.is_first_in_line(q.mentor_id, q.version)
    order by q.next_attempt_at
    limit at_most;
  end if;
end
$$;
comment on function pause_status.not_sent(interval, uuid[], integer) is
  'Heads of line whose request has been waiting in pg_net for this long, or that could not be given to it because it is '
  'not installed. Without locks: the handler needs these rows while it is called.';

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
  status integer;
  content text;
begin
  -- Dynamic, because the types are the extension's, which may be absent when this function is created.
  execute format('select %s.http_set_curlopt(''CURLOPT_TIMEOUT_MS'', $1)', http) using timeout_ms::text;
  execute format(
    'select r.status, r.content from %1$s.http(row(''POST'', $1, array[row(''webhook-id'', $2), '
      'row(''webhook-timestamp'', $3), row(''webhook-signature'', $4)]::%1$s.http_header[], ''application/json'', $5'
      ')::%1$s.http_request) as r', http
  )
  into status, content
  using function_url, delivery, unix_seconds::text, pause_status.sign(delivery, unix_seconds, body, secrets), body;
  return jsonb_build_object(
    'status', status,
    'text', 'the handler answered ' || status || coalesce(': ' || left(content, 400), ''),
    'content', content
  );
exception when others then
  return jsonb_build_object('text', replace(sqlerrm, function_url, '<pause_status_function_url>'));
end
$$;
comment on function pause_status.call_handler(uuid[], jsonb, text, text, integer) is
  'Sends events in one signed request and waits for the answer: status, text to be shown, and content. Never raises.';

create or replace function pause_status.end_direct(calls jsonb)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
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
  )
  select jsonb_agg(jsonb_build_object(
    'event_id', s.event_id,
    'http_status', case when s.is_rejected then s.answer -> 'result' -> 'status' else s.answer -> 'status' end,
    'outcome', case when s.is_rejected then 'rejected' else 'unacknowledged' end,
    'message', 'sent without pg_net: ' || (s.answer ->> 'text')
  ))
  into endings
  from silent s;

  ended := array(select e.event_id from pause_status.end_attempts(endings) e where e.verdict = 'released');
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

create or replace function pause_status.send_directly()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  settings pause_status.settings;
  deadline timestamptz := clock_timestamp() + interval '20 seconds';
  function_url text;
  secrets text;
  patience interval;
  waiting interval;
  proof bigint;
  size integer;
  batch pause_status.webhook_queue[];
  event_ids uuid[];
  answer jsonb;
  tried uuid[] := '{}';
  calls jsonb := '[]';
begin
  select s.* into settings from pause_status.settings s;
  patience := make_interval(secs => settings.acknowledge_timeout_seconds);
  waiting := patience;
  if pause_status.http_schema() is null
    or not exists (select from pause_status.not_sent(waiting, tried, 1))
    or not pg_try_advisory_xact_lock(hashtext('pause_status.send_directly'))
  then
    return 0;
  end if;

  begin
    function_url := pause_status.vault_secret('pause_status_function_url');
    secrets := pause_status.vault_secret('pause_status_webhook_secret');
    -- What makes every event fail is no failure of the events, so it must show before they are called.
    perform pause_status.sign('check', 0, '', secrets);
  exception when others then
    raise warning 'nothing is sent without pg_net: %', sqlerrm;
    return 0;
  end;

  -- Nothing is locked and nothing is written before the last call: a claim would wait for this transaction.
  while clock_timestamp() < deadline loop
    batch := array(select n from pause_status.not_sent(waiting, tried, settings.events_per_request) n);
    exit when cardinality(batch) = 0;
    size := pause_status.request_size(batch[1].event_id, batch[1].failures, settings.events_per_request);
    batch := (array(
      select b
      from unnest(batch) b
      where pause_status.request_size(b.event_id, b.failures, settings.events_per_request) = size
    ))[:size];

    event_ids := array(select b.event_id from unnest(batch) b);
    answer := pause_status.call_handler(
      event_ids, (select jsonb_agg(pause_status.payload_of(b)) from unnest(batch) b), function_url, secrets, settings.request_timeout_ms
    );
    tried := tried || event_ids;
    calls := calls || (
      select jsonb_agg(jsonb_build_object(
        'event_id', b.event_id,
        'delivery_id', b.delivery_id,
        'claim_token', b.claim_token,
        'answer', (answer - 'content') || jsonb_build_object('result', case cardinality(event_ids)
          when 1 then jsonb_build_object('status', answer -> 'status')
          else pause_status.result_of(answer ->> 'content', b.event_id)
        end)
      ))
      from unnest(batch) b
    );

    -- pg_net takes the oldest first: while a request that is overdue is still there, no other has to become overdue.
    proof := coalesce(proof, (select min(b.request_id) from unnest(batch) b));
    if to_regclass('net.http_request_queue') is not null then
      waiting := case when exists (select from net.http_request_queue r where r.id = proof) then '0' else patience end;
    end if;
    -- A handler that is away would use up the time limit of each request: the others keep their turn for the next run.
    exit when answer -> 'status' is null;
  end loop;

  perform pause_status.end_direct(calls);
  return cardinality(tried);
end
$$;
comment on function pause_status.send_directly() is
  'Calls the handler for what pg_net does not send, until nothing is left or 20 seconds are over; returns how many '
  'events it sent. Does nothing without the extension http, or while another run is under way.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select pause_status.schedule_often('pause-status-direct', 'select pause_status.send_directly()');
