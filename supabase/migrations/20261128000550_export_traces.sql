-- Purpose: exports settled events as traces, off the hot path: OTLP as JSON, straight from Postgres.
-- Undo:    select cron.unschedule('outbox-traces'); delete from outbox.heartbeats where job = 'traces'; drop the functions
--          that this file creates.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

insert into outbox.heartbeats (job)
select 'traces' where not exists (select from outbox.heartbeats h where h.job = 'traces');

create or replace function outbox.otlp_attributes(attributes jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('key', a.key, 'value', jsonb_build_object(
      case jsonb_typeof(a.value) when 'number' then 'intValue' else 'stringValue' end, a.value #>> '{}'
    )) order by a.key), '[]')
    from jsonb_each(jsonb_strip_nulls(attributes)) a
  );
end
$$;
comment on function outbox.otlp_attributes(jsonb) is 'An object''s texts and whole numbers, as OTLP lists attributes.';

create or replace function outbox.span(
  trace_id text, span_id text, parent_id text, name text, kind integer, started_at timestamptz, ended_at timestamptz,
  failed boolean, attributes jsonb
) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'traceId', trace_id, 'spanId', span_id, 'parentSpanId', parent_id, 'name', name, 'kind', kind,
    'startTimeUnixNano', (extract(epoch from least(started_at, ended_at)) * 1000000)::bigint || '000',
    'endTimeUnixNano', (extract(epoch from ended_at) * 1000000)::bigint || '000',
    'attributes', outbox.otlp_attributes(attributes),
    'status', case when failed then jsonb '{"code": 2}' else '{"code": 1}' end
  ));
end
$$;
comment on function outbox.span(text, text, text, text, integer, timestamptz, timestamptz, boolean, jsonb) is
  'A span of OTLP/JSON. Kinds: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.';

create or replace function outbox.spans_of(event outbox.events, settled_at timestamptz, failed boolean) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  traceparent constant text := outbox.traceparent(event.event_id, event.traceparent);
  trace_id constant text := substr(traceparent, 4, 32);
  event_span constant text := substr(traceparent, 37, 16);
begin
  return jsonb_build_array(outbox.span(
    trace_id, event_span, substr(event.traceparent, 37, 16), event.topic, 4,
    case event.source when 'outbox' then event.occurred_at else event.created_at end, settled_at, failed,
    jsonb_build_object(
      'outbox.event_id', event.event_id, 'outbox.topic', event.topic, 'outbox.version', event.version,
      'outbox.type', event.type, 'outbox.source', event.source, 'outbox.attempts', event.attempts,
      'outbox.redrives', event.redrives
    )
  )) || (
    -- Without the error, which may quote personal data.
    select coalesce(jsonb_agg(s.span order by s.started_at), '[]')
    from (
      select
        a.id, translate(a.id::text, '-', '') as hex, a.outcome, a.ended_at, a.duration_ms,
        coalesce(a.dispatched_at, worked.since, a.ended_at) as sent_at, worked.since,
        jsonb_build_object(
          'outbox.attempt', a.attempt, 'outbox.outcome', a.outcome, 'outbox.reason', a.why,
          'http.response.status_code', a.http_status
        ) as attributes
      from outbox.attempts a
      cross join lateral (select a.ended_at - make_interval(secs => a.duration_ms / 1000.0) as since) worked
      where a.event_id = event.event_id
    ) a
    cross join lateral (
      select a.sent_at as started_at, outbox.span(
        trace_id, left(a.hex, 16), event_span, 'attempt', 3, a.sent_at, a.ended_at, a.outcome <> 'completed', a.attributes
      ) as span
      union all
      select a.since, outbox.span(
        trace_id, right(a.hex, 16), left(a.hex, 16), 'handle', 5, a.since, a.ended_at, a.outcome <> 'completed', '{}'
      )
      where a.duration_ms is not null
    ) s
  );
end
$$;
comment on function outbox.spans_of(outbox.events, timestamptz, boolean) is
  'The spans of an event: one from the change to the settlement; below it one for each attempt, from the dispatch to its '
  'end; below that one for the handler''s work. The ids are always the same.';

create or replace function outbox.settled_between(after timestamptz, until timestamptz, at_most integer)
returns table (event_id uuid, settled_at timestamptz, failed boolean)
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  return query
  select s.*
  from (
    select c.*
    from outbox.topics t
    cross join lateral (
      select q.event_id, q.completed_at as settled_at, false as failed
      from outbox.events q
      where q.topic = t.topic and q.status = 'completed' and q.completed_at > after and q.completed_at <= until
      order by q.completed_at
      fetch first (at_most) rows with ties
    ) c
    union all (
      select d.event_id, d.created_at, true
      from outbox.dead_letters d
      where d.created_at > after and d.created_at <= until
      order by d.created_at
      fetch first (at_most) rows with ties
    )
  ) as s
  order by s.settled_at
  fetch first (at_most) rows with ties;
end
$$;
comment on function outbox.settled_between(timestamptz, timestamptz, integer) is
  'The events that were completed or became dead letters, the earliest first; a few more than at_most if times are equal.';

create or replace function outbox.otlp_headers() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  headers jsonb;
begin
  begin
    headers := outbox.parse_object(outbox.vault_secret('outbox_otlp_headers'));
  exception when undefined_object then
    return '{}';
  end;
  if headers is null then
    raise exception 'the Vault secret outbox_otlp_headers is no JSON object: update it'
      using errcode = 'invalid_parameter_value';
  end if;
  return headers;
end
$$;
comment on function outbox.otlp_headers() is 'The headers for the receiver of traces, such as Authorization.';

create or replace function outbox.export_traces() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  moment constant timestamptz := clock_timestamp();
  deadline constant timestamptz := moment + interval '20 seconds';
  -- Without the extension http, pg_net takes the requests, from the queue that the deliveries use.
  most_requests constant integer := case when not exists (select from pg_extension e where e.extname = 'http') then 5 end;
  requests integer := 0;
  -- A settlement that has not committed yet may have an earlier time.
  until constant timestamptz := moment - interval '10 seconds';
  url text;
  exported_until timestamptz;
  spans jsonb;
  settled_until timestamptz;
  settled integer;
  answer record;
  problem text;
  sent integer := 0;
begin
  begin
    url := outbox.vault_secret('outbox_otlp_url');
  exception when undefined_object then
    return 0;
  end;
  -- After an outage of the receiver, or if the clock was set back, events older than an hour are not sent.
  select least(greatest(h.last_at, moment - interval '1 hour'), until) into exported_until
  from outbox.heartbeats h
  where h.job = 'traces'
  for update skip locked;
  if not found then
    return 0;
  end if;

  begin
    loop
      select
        count(distinct s.event_id), max(s.settled_at),
        coalesce(jsonb_agg(e.span) filter (where e.span is not null), '[]')
      into settled, settled_until, spans
      from outbox.settled_between(exported_until, until, 200) s
      join outbox.events q on q.event_id = s.event_id
      cross join lateral (select outbox.spans_of(q, s.settled_at, s.failed) as spans) own
      -- The caller may have decided not to sample this trace: the last bit of its flags.
      left join lateral jsonb_array_elements(own.spans) as e (span)
        on q.traceparent is null or right(q.traceparent, 1) ~ '[13579bdf]';
      exit when settled = 0;
      if spans = '[]' then
        exported_until := settled_until;
        continue;
      end if;
      select p.* into answer
      from outbox.post_json(url, outbox.otlp_headers(), jsonb_build_object('resourceSpans', jsonb_build_array(
        jsonb_build_object(
          'resource', jsonb_build_object('attributes', outbox.otlp_attributes(jsonb_build_object(
            'service.name', 'outbox', 'service.namespace', outbox.project_host()
          ))),
          'scopeSpans', jsonb_build_array(jsonb_build_object(
            'scope', jsonb_build_object('name', 'outbox'), 'spans', spans
          ))
        )
      ))) p;
      if answer.http_status is null or answer.http_status not between 200 and 299 then
        problem := coalesce(answer.problem, 'the answer was ' || answer.http_status);
        exit;
      end if;
      sent := sent + jsonb_array_length(spans);
      exported_until := settled_until;
      requests := requests + 1;
      exit when clock_timestamp() > deadline or requests = most_requests;
    end loop;
  exception when others then
    problem := replace(sqlerrm, url, '<url>');
  end;

  -- Not with beat(): until is not now, and a missing trace must not open an alert.
  update outbox.heartbeats h
  set
    last_at = case when problem is null and settled = 0 then until else exported_until end,
    failed_at = case when problem is not null then clock_timestamp() end,
    last_error = left('outbox_otlp_url: ' || problem, 512)
  where h.job = 'traces';
  return sent;
end
$$;
comment on function outbox.export_traces() is
  'Sends the spans of events settled since the last run to the URL in the Vault secret outbox_otlp_url, if there is one; '
  'returns how many. last_at of the job traces in outbox.heartbeats says up to when.';

select cron.schedule('outbox-traces', '* * * * *', 'select outbox.export_traces()');

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
