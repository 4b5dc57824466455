-- Purpose: ends attempts that nobody ended: expired leases, and deliveries that nobody claimed.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.parse_object(value text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- jsonb would keep the last of two equal keys. Nested objects are not checked.
  return case when (select count(*) = count(distinct key) from json_object_keys(value::json) key) then value::jsonb end;
exception when others then
  return null;
end
$$;
comment on function outbox.parse_object(text) is 'The JSON object; null for anything else, also if a key is repeated.';

create or replace function outbox.result_of(content text, event_id uuid) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  result json;
begin
  if jsonb_typeof(outbox.parse_object(content) -> 'results') is distinct from 'array' then
    return null;
  end if;
  select r.result into result
  from json_array_elements(content::json -> 'results') as r (result)
  where r.result ->> 'eventId' = result_of.event_id::text
  limit 1;
  if result ->> 'problem' is not null and outbox.parse_object(result ->> 'problem') is null then
    return null;
  end if;
  return outbox.parse_object(result::text);
end
$$;
comment on function outbox.result_of(text, uuid) is 'The handler''s result for one event of a batch.';

create or replace function outbox.read_answer(
  http_status integer, content text, event_id uuid, alone boolean,
  out refused_with integer, out code text, out message text
)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  result jsonb := case when not alone then outbox.result_of(content, event_id) end;
  status jsonb := case when alone then to_jsonb(http_status) else result -> 'status' end;
begin
  refused_with := case when status in ('400', '422') then status::integer end;
  code := coalesce(result -> 'problem' ->> 'code', outbox.parse_object(content) ->> 'code');
  -- The text stays when another event is erased, so it must not name that event.
  message := case
    when result is not null then 'the handler answered for this event: ' || left(result::text, 400)
    else 'the handler answered ' || http_status || coalesce(
      ': ' || case when alone then left(content, 400) else substring(code from '^[a-z_]{1,40}$') end, ''
    )
  end;
end
$$;
comment on function outbox.read_answer(integer, text, uuid, boolean) is 'What an answer says about one event.';

create or replace function outbox.end_leases(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from outbox.end_attempts_each((
    select jsonb_agg(jsonb_build_object(
      'event_id', expired.event_id, 'outcome', 'lease', 'message', 'it ran out before the handler settled the event'
    ))
    from (
      select q.event_id
      from outbox.events q
      where q.status = 'processing' and q.lease_expires_at <= clock_timestamp()
      order by q.lease_expires_at
      limit at_most
      for update skip locked
    ) as expired
  ));
end
$$;
comment on function outbox.end_leases(integer) is 'Takes back events whose lease has expired.';

create or replace function outbox.undo_future(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
  -- The longest wait that we ever set.
  longest interval := greatest('1 hour', (select make_interval(secs => s.retry_cap_seconds) from outbox.settings s));
  latest timestamptz := moment + longest + interval '1 minute';
begin
  update outbox.events q
  set
    next_attempt_at = case q.status when 'pending' then moment end,
    lease_expires_at = case q.status when 'processing' then moment end
  where q.event_id = any(
    -- One lookup in each of three indexes.
    array(
      select due.event_id
      from outbox.events due
      where due.status = 'pending' and due.delivery_id is null
        and due.next_attempt_at > latest and due.next_attempt_at < 'infinity'
      limit at_most
      for update skip locked
    ) || array(
      select sent.event_id
      from outbox.events sent
      where sent.status = 'pending' and sent.delivery_id is not null and sent.next_attempt_at > latest
      limit at_most
      for update skip locked
    ) || array(
      select claimed.event_id
      from outbox.events claimed
      where claimed.status = 'processing' and claimed.lease_expires_at > moment + interval '61 seconds'
      limit at_most
      for update skip locked
    )
  );
end
$$;
comment on function outbox.undo_future(integer) is 'Ends waits that began before the clock was set back.';

create or replace function outbox.postpone_refused(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  refused record;
begin
  for refused in
    delete from outbox.deliveries d
    where d.id = any(array(
      select old.id
      from outbox.deliveries old
      where old.error is not null
      order by old.dispatched_at
      limit at_most
      for update skip locked
    ))
    returning d.event_ids, d.error
  loop
    perform outbox.postpone(refused.event_ids, 'commit', refused.error);
  end loop;
end
$$;
comment on function outbox.postpone_refused(integer) is 'Postpones what commits could not hand to pg_net.';

create or replace function outbox.withdraw(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  update outbox.events q
  set delivery_id = null, leads = null, attempts = greatest(q.attempts - 1, 0), next_attempt_at = clock_timestamp()
  where q.event_id = any(event_ids);
end
$$;
comment on function outbox.withdraw(uuid[]) is 'Makes events due again and does not count their delivery.';

create or replace function outbox.net_queue(at_most integer default null) returns setof bigint
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  return query select r.id from net.http_request_queue r limit at_most;
exception when others then
  -- Not installed, not granted, or locked, which any role can do. dispatch() reports it.
  return;
end
$$;
comment on function outbox.net_queue(integer) is 'The requests that pg_net has not finished.';

create or replace function outbox.take_back(silent uuid[]) returns setof bigint
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  return query
  delete from net.http_request_queue r
  where r.id = any(array(
    select idle.id
    from net.http_request_queue idle
    join outbox.deliveries d on d.request_id = idle.id
    join outbox.events q on q.delivery_id = d.id
    -- A signature is valid for five minutes.
    where q.event_id = any(silent) and d.dispatched_at < clock_timestamp() - interval '4 minutes'
    for update of idle skip locked
  ))
  returning r.id;
exception when others then
  -- As in net_queue().
  return;
end
$$;
comment on function outbox.take_back(uuid[]) is 'Removes requests with expired signatures from pg_net''s queue.';

create or replace function outbox.net_answers(silent uuid[])
returns table (event_id uuid, created timestamptz, http_status integer, code text, message text)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  return query
  select distinct on (q.event_id)
    q.event_id, r.created, coalesce(a.refused_with, r.status_code), a.code, coalesce(a.message, r.error_msg)
  from outbox.events q
  join outbox.deliveries d on d.id = q.delivery_id
  -- pg_net's request ids start again after a crash, so the answer must be newer and name no other delivery.
  join net._http_response r on r.id = d.request_id and r.created >= d.dispatched_at - interval '1 second'
  cross join lateral outbox.read_answer(r.status_code, r.content, q.event_id, q.delivery_id = q.event_id) as a
  where q.event_id = any(silent)
    -- Any role can write anything here.
    and isfinite(r.created)
    and not exists (
      select
      from jsonb_each_text(case jsonb_typeof(r.headers) when 'object' then r.headers end) as h (name, value)
      where lower(h.name) = 'webhook-id' and lower(h.value) <> q.delivery_id::text
    )
  order by q.event_id, r.created desc;
exception when others then
  -- As in net_queue().
  return;
end
$$;
comment on function outbox.net_answers(uuid[]) is 'The answers that pg_net got to the deliveries of these events.';

create or replace function outbox.ending_of(event_id uuid, http_status integer, code text, message text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  unauthorized boolean := coalesce(http_status = 401, false);
  cause text := case
    when unauthorized and code = 'stale_signature' then 'clock skew: the clocks of Postgres and of the handler differ; '
    when unauthorized then 'unauthorized: the handler''s WEBHOOK_SECRETS and the Vault secret outbox_webhook_secret '
      || 'must have a secret in common; '
  end;
begin
  if code = 'stale_signature' then
    perform outbox.raise_alert(
      'clock_skew', 1, 'the clocks of Postgres and of the handler differ by minutes: correct the one that is wrong'
    );
  end if;
  return jsonb_build_object(
    'event_id', event_id,
    -- Never rejected, which is final: any role can forge pg_net's answers.
    'outcome', case when unauthorized then 'transient' else 'unacknowledged' end,
    'message', concat(cause, coalesce(message, 'pg_net has no answer: the request or the answer was lost')),
    'http_status', http_status
  );
end
$$;
comment on function outbox.ending_of(uuid, integer, text, text) is 'How an unclaimed attempt ends.';

create or replace function outbox.end_unacknowledged(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  -- A variable, because an index cannot be searched with a volatile function.
  moment timestamptz := clock_timestamp();
  patience interval := (select make_interval(secs => s.acknowledge_timeout_seconds) from outbox.settings s);
  silent uuid[] := array(
    select q.event_id
    from outbox.events q
    where q.status = 'pending' and q.delivery_id is not null and q.next_attempt_at <= moment
    order by q.next_attempt_at
    limit at_most
    for update skip locked
  );
  taken bigint[];
  waiting uuid[];
  withdrawn uuid[];
  endings jsonb;
begin
  if cardinality(silent) = 0 then
    return;
  end if;
  taken := array(select outbox.take_back(silent));

  with delivery as materialized (
    select q.event_id, a.http_status, a.code, a.message, case
      -- Sent too early, or kept by pg_net until its signature had expired.
      when d.request_id = any(taken) or a.code = 'out_of_order'
        or a.code = 'stale_signature' and a.created - d.dispatched_at > interval '4 minutes' then 'is withdrawn'
      -- Posted at the commit of a long transaction, later than the statement recorded.
      when d.dispatched_at > greatest(moment - patience, q.last_dispatched_at + interval '1 second') then 'waits'
      when not outbox.is_first_in_line(q.topic, q.key, q.version) then 'is withdrawn'
      -- Slow, not lost.
      when d.request_id in (select outbox.net_queue()) then 'waits'
      else 'ends'
    end as fate
    from outbox.events q
    left join outbox.deliveries d on d.id = q.delivery_id
    left join outbox.net_answers(silent) as a on a.event_id = q.event_id
    where q.event_id = any(silent)
  )
  select
    array_agg(d.event_id) filter (where d.fate = 'waits'),
    array_agg(d.event_id) filter (where d.fate = 'is withdrawn'),
    jsonb_agg(outbox.ending_of(d.event_id, d.http_status, d.code, d.message)) filter (where d.fate = 'ends')
  into waiting, withdrawn, endings
  from delivery d;

  update outbox.events q set next_attempt_at = moment + patience where q.event_id = any(waiting);
  perform outbox.withdraw(withdrawn);
  perform from outbox.end_attempts_each(endings);
end
$$;
comment on function outbox.end_unacknowledged(integer) is 'Ends deliveries that nobody claimed in time.';
