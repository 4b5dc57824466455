-- Purpose: ends the attempts that nobody ended, and sends everything that is due.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-sweep'); drop function pause_status.sweep(),
--          pause_status.end_unacknowledged(integer), pause_status.end_leases(integer),
--          pause_status.requests_waiting(integer), pause_status.schedule_often(text, text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create extension if not exists pg_cron with schema pg_catalog;

create or replace function pause_status.schedule_often(job text, command text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return cron.schedule(job, '5 seconds', command);
exception when others then
  -- pg_cron before 1.5 knows no seconds.
  return cron.schedule(job, '* * * * *', command);
end
$$;
comment on function pause_status.schedule_often(text, text) is
  'Schedules a job every five seconds, or every minute where pg_cron knows no seconds; returns its id.';

create or replace function pause_status.requests_waiting(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select count(*) from (select from net.http_request_queue limit at_most) as waiting);
exception when others then
  -- Without pg_net nothing waits; dispatch() says what to do about it.
  return 0;
end
$$;
comment on function pause_status.requests_waiting(integer) is
  'How many requests pg_net has not finished yet, counted no further than at_most.';

create or replace function pause_status.end_leases(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  endings jsonb;
begin
  with expired as materialized (
    select q.event_id
    from pause_status.webhook_queue q
    where q.status = 'processing' and q.lease_expires_at <= clock_timestamp()
    order by q.lease_expires_at
    limit at_most
    for update skip locked
  )
  select jsonb_agg(jsonb_build_object(
    'event_id', e.event_id, 'outcome', 'lease', 'message', 'it ran out before the handler settled the event'
  ))
  into endings
  from expired e;

  if endings is null then
    return 0;
  end if;
  return (select count(*) from pause_status.end_attempts(endings));
end
$$;
comment on function pause_status.end_leases(integer) is
  'Takes events back from claimants whose lease ran out; returns how many.';

create or replace function pause_status.end_unacknowledged(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  -- Taken once: an index is searched for a time that is given, not for one that may differ from row to row.
  moment timestamptz := clock_timestamp();
  silent pause_status.webhook_queue[];
  waiting_ids uuid[] := '{}';
  answers jsonb := '{}';
  endings jsonb;
begin
  silent := array(
    select q
    from pause_status.webhook_queue q
    where q.status = 'pending' and q.delivery_id is not null and q.next_attempt_at <= moment
    order by q.next_attempt_at
    limit at_most
    for update skip locked
  );
  if cardinality(silent) = 0 then
    return 0;
  end if;

  begin
    -- What still waits in pg_net is slow, not lost: it would be sent twice, and its event must not die of it.
    waiting_ids := array(
      select s.event_id from unnest(silent) s join net.http_request_queue r on r.id = s.request_id
    );
    -- The answer must be younger than the dispatch, and name the delivery if it can: after a crash pg_net gives the
    -- same request ids again.
    select coalesce(jsonb_object_agg(s.event_id, jsonb_build_object(
      'status', r.status_code,
      'entry', case
        when s.delivery_id = s.event_id then jsonb_build_object('status', r.status_code)
        else pause_status.result_of(r.content, s.event_id)
      end,
      'text', coalesce(
        'the handler answered ' || r.status_code || coalesce(': ' || left(r.content, 400), ''), r.error_msg
      )
    )), '{}')
    into answers
    from unnest(silent) s
    cross join lateral (
      select r.*
      from net._http_response r
      where r.id = s.request_id
        and r.created >= s.last_dispatched_at - interval '1 second'
        and coalesce(
          (
            select lower(header.value) = s.delivery_id::text
            from jsonb_each_text(r.headers) as header
            where lower(header.key) = 'webhook-id'
            limit 1
          ),
          true
        )
      order by r.created desc
      limit 1
    ) as r;
  exception when others then
    -- Without pg_net there are no answers; dispatch() says what to do about it.
    null;
  end;

  update pause_status.webhook_queue q
  set next_attempt_at = clock_timestamp() + make_interval(secs => s.acknowledge_timeout_seconds)
  from pause_status.settings s
  where q.event_id = any(waiting_ids);

  select jsonb_agg(
    jsonb_build_object('event_id', s.event_id, 'http_status', (answer.value ->> 'status')::integer) || case
      when answer.value -> 'entry' -> 'status' in ('400', '422') then jsonb_build_object(
        'outcome', 'rejected',
        'message', case
          when s.delivery_id = s.event_id then answer.value ->> 'text'
          else 'the handler answered for this event: ' || left(answer.value ->> 'entry', 400)
        end,
        'http_status', (answer.value -> 'entry' ->> 'status')::integer
      )
      when answer.value -> 'status' = '401' then jsonb_build_object(
        'outcome', 'transient',
        'message', 'unauthorized: the handler''s WEBHOOK_SECRETS and the Vault secret pause_status_webhook_secret must '
          || 'have a secret in common; ' || (answer.value ->> 'text')
      )
      else jsonb_build_object(
        'outcome', 'unacknowledged',
        'message', coalesce(answer.value ->> 'text', 'pg_net has no answer: the request or the answer was lost')
      )
    end
  )
  into endings
  from unnest(silent) s
  left join jsonb_each(answers) as answer on answer.key = s.event_id::text
  where s.event_id <> all(waiting_ids);
  return (select count(*) from pause_status.end_attempts(endings));
end
$$;
comment on function pause_status.end_unacknowledged(integer) is
  'Ends the deliveries that nobody claimed in time, with the handler''s answer as the reason; returns how many.';

create or replace function pause_status.sweep()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  batch integer;
  sent integer;
begin
  select s.sweep_batch_size into batch from pause_status.settings s;
  perform pause_status.end_leases(batch);
  perform pause_status.end_unacknowledged(batch);

  -- One is always sent, so that other users of pg_net cannot silence the sweep.
  sent := pause_status.dispatch_due('sweep', greatest(1, batch - pause_status.requests_waiting(batch)));

  update pause_status.heartbeats h
  set last_at = clock_timestamp()
  where h.job = (select b.job from pause_status.heartbeats b where b.job = 'sweep' for update skip locked);
  return sent;
end
$$;
comment on function pause_status.sweep() is
  'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many it '
  'sent.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select pause_status.schedule_often('pause-status-sweep', 'select pause_status.sweep()');
