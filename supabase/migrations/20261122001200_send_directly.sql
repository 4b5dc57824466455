-- Purpose: the fallback if pg_net does not send: Postgres calls the handler itself, with the extension http.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

do $$
begin
  create extension if not exists http with schema extensions;
exception when others then
  raise notice 'no extension http (%): while pg_net does not send, events wait; alert oldest_unnotified', sqlerrm;
end
$$;

create or replace function outbox.net_refuses() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  perform net.http_post(url := 'http://127.0.0.1:9/', body := '{}'::jsonb, timeout_milliseconds := 1000);
  -- Undoes the request, which was only a test.
  raise exception using errcode = 'PS000';
exception
  when sqlstate 'PS000' then
    return false;
  when others then
    return true;
end
$$;
comment on function outbox.net_refuses() is 'Whether pg_net is missing, not loaded, not granted or locked.';

create or replace function outbox.not_sent(refuses boolean, patience interval, tried uuid[], at_most integer)
returns setof outbox.events
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if refuses then
    return query
    select q.*
    from outbox.events q
    left join outbox.deliveries d on d.id = q.delivery_id
    where q.status = 'pending' and q.event_id <> all(tried) and q.next_attempt_at < 'infinity'
      and case
        when q.delivery_id is not null then d.error is not null
        -- The words with which dispatch() postpones what pg_net refuses. Other events keep waiting.
        else q.next_attempt_at <= clock_timestamp() or q.last_error like 'could not be sent: %'
      end
      and outbox.is_first_in_line(q.topic, q.key, q.version)
    order by q.next_attempt_at
    limit at_most;
  end if;

  return query
  select q.*
  from (
    select d.id, min(d.dispatched_at) over () as oldest
    from outbox.net_queue() as r (id)
    join outbox.deliveries d on d.request_id = r.id
  ) as kept
  join outbox.events q on q.delivery_id = kept.id
  -- pg_net takes the oldest first: once that one is overdue, the others need not be.
  where kept.oldest <= clock_timestamp() - patience
    and q.status = 'pending' and q.event_id <> all(tried) and outbox.is_first_in_line(q.topic, q.key, q.version)
  order by q.next_attempt_at
  limit at_most;
end
$$;
comment on function outbox.not_sent(boolean, interval, uuid[], integer) is
  'Heads of line that pg_net has refused or does not send. Locks nothing.';

create or replace function outbox.call_http(
  http text, url text, headers jsonb, body text, timeout_ms integer,
  out http_status integer, out content text, out problem text
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  begin
    -- If this is set, it overrides the option.
    perform set_config('http.timeout_msec', timeout_ms::text, true);
    execute format('select %s.http_set_curlopt(''CURLOPT_TIMEOUT_MS'', $1)', http) using timeout_ms::text;
    -- Dynamic SQL, because the extension may be missing.
    execute format(
      'select r.status, r.content from %1$s.http(row(''POST'', $1, '
        'array(select row(h.key, h.value)::%1$s.http_header from jsonb_each_text($2) h), ''application/json'', $3'
        ')::%1$s.http_request) as r', http
    )
    into http_status, content
    using url, headers, body;
    -- Resets the option: others use the session afterwards.
    raise exception using errcode = 'PS000';
  exception
    when sqlstate 'PS000' then
      null;
    when others then
      problem := sqlerrm;
  end;
  execute format('select %s.http_reset_curlopt()', http);
end
$$;
comment on function outbox.call_http(text, text, jsonb, text, integer) is
  'Posts JSON with the extension http, which is in the given schema. Returns status and content, or the problem, which '
  'quotes the URL.';

create or replace function outbox.call_handler(
  http text, batch outbox.events[], function_url text, secrets text, timeout_ms integer
) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  alone boolean := cardinality(batch) = 1;
  bodies jsonb := (select jsonb_agg(outbox.body(b)) from unnest(batch) b);
  body text := case when alone then bodies -> 0 else bodies end;
  delivery text := case when alone then batch[1].event_id else gen_random_uuid() end;
  sent_at timestamptz := clock_timestamp();
  unix_seconds bigint := floor(extract(epoch from sent_at));
  reply record;
begin
  select c.* into reply
  from outbox.call_http(http, function_url, jsonb_build_object(
    'webhook-id', delivery, 'webhook-timestamp', unix_seconds::text,
    'webhook-signature', outbox.sign(delivery, unix_seconds, body, secrets)
  ), body, timeout_ms) c;
  return (
    select jsonb_agg(jsonb_build_object(
      'event_id', b.event_id, 'delivery_id', b.delivery_id, 'claim_token', b.claim_token, 'sent_at', sent_at,
      'outcome', case when answer.refused_with is null then 'unacknowledged' else 'rejected' end,
      'http_status', coalesce(answer.refused_with, reply.http_status),
      'message', 'sent without pg_net: ' || coalesce(replace(reply.problem, function_url, '<function_url>'), answer.message)
    ))
    from unnest(batch) b
    cross join lateral outbox.read_answer(reply.http_status, reply.content, b.event_id, alone) as answer
  );
end
$$;
comment on function outbox.call_handler(text, outbox.events[], text, text, integer) is
  'Sends events in one signed request; returns how each attempt ends if nobody has claimed it.';

create or replace function outbox.end_direct(calls jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  endings jsonb;
begin
  with silent as materialized (
    select q.event_id, c.call
    from jsonb_array_elements(calls) as c (call)
    join outbox.events q on q.event_id = (c.call ->> 'event_id')::uuid
    -- Unchanged since it was sent: nobody has claimed it or ended that attempt.
    where q.status = 'pending' and q.claim_token = (c.call ->> 'claim_token')::bigint
      and q.delivery_id is not distinct from (c.call ->> 'delivery_id')::uuid
    order by q.event_id
    for update of q skip locked
  ), counted as (
    update outbox.events q
    set
      -- If pg_net never got it, no dispatch has counted it.
      attempts = q.attempts + (q.delivery_id is null)::integer,
      last_dispatched_at = (s.call ->> 'sent_at')::timestamptz,
      dispatch_reason = coalesce(q.dispatch_reason, 'sweep')
    from silent s
    where q.event_id = s.event_id
  )
  select jsonb_agg(s.call) into endings from silent s;
  perform from outbox.end_attempts_each(endings);
end
$$;
comment on function outbox.end_direct(jsonb) is 'Ends attempts that were sent directly and not claimed.';

create or replace function outbox.send_directly() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  settings outbox.settings := (select s from outbox.settings s);
  patience interval := make_interval(secs => settings.acknowledge_timeout_seconds);
  http text := (select e.extnamespace::regnamespace from pg_extension e where e.extname = 'http');
  deadline timestamptz := clock_timestamp() + interval '20 seconds';
  refuses boolean := outbox.net_refuses();
  size integer;
  batch outbox.events[];
  tried uuid[] := '{}';
  handler record;
  problem text;
  calls jsonb;
  ended jsonb := '[]';
begin
  perform outbox.beat('direct');
  -- One run at a time. Any role can take an advisory lock, but only we can lock this row.
  perform from outbox.heartbeats h where h.job = 'direct' for update skip locked;
  if not found or http is null then
    return 0;
  end if;

  -- Locks and writes no event before the last call, because the handler claims them meanwhile.
  while clock_timestamp() < deadline loop
    batch := array(select n from outbox.not_sent(refuses, patience, tried, settings.events_per_request) n);
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
      select a.* into handler from outbox.handler_address(batch[1].topic) a;
      -- Found out before the calls, because a fault that affects every event is no event's failure.
      perform outbox.sign('check', 0, '', handler.secrets);
    exception when others then
      problem := sqlerrm;
      continue;
    end;
    calls := outbox.call_handler(http, batch, handler.function_url, handler.secrets, settings.request_timeout_ms);
    ended := ended || calls;
    -- If the handler is unreachable, each request would use up its time limit, so the others wait for the next run.
    exit when calls -> 0 ->> 'http_status' is null;
  end loop;

  perform outbox.end_direct(ended);
  perform outbox.beat('direct', problem);
  return jsonb_array_length(ended);
end
$$;
comment on function outbox.send_directly() is 'Sends the events that pg_net does not send; returns how many.';

select outbox.pace('outbox-direct', 'select outbox.send_directly()', '5 seconds');
