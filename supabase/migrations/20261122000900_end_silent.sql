-- Purpose: ends the attempts that nobody ended: leases that ran out, deliveries that nobody claimed.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.end_unacknowledged(integer), outbox.take_back(bigint[]),
--          outbox.ending_of(uuid, outbox.net_answer), outbox.answers_to(uuid[]), outbox.sort_silent(integer),
--          outbox.postpone_refused(integer), outbox.withdraw(uuid[]), outbox.undo_future(), outbox.end_leases(integer);
--          drop type outbox.net_answer; drop function outbox.describe_answer(integer, text, boolean, jsonb), outbox.result_of(text, uuid), outbox.parse_object(text),
--          outbox.has_key_twice(json).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.has_key_twice(part json) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if json_typeof(part) is distinct from 'object' then
    return false;
  end if;
  return (select count(*) > count(distinct key) from json_object_keys(part) key);
end
$$;
comment on function outbox.has_key_twice(json) is
  'Whether it is an object with a key twice, of which jsonb would keep the last. Objects inside it are not looked at.';

create or replace function outbox.parse_object(value text) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if json_typeof(value::json) = 'object' and not outbox.has_key_twice(value::json) then
    return value::jsonb;
  end if;
  return null;
exception when others then
  -- Also what is nested too deeply to be read.
  return null;
end
$$;
comment on function outbox.parse_object(text) is
  'The JSON object; null when it is no JSON, no object, has a key twice itself, or holds what jsonb cannot.';

create or replace function outbox.result_of(content text, event_id uuid) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Whoever answered may not have been the handler: nothing is taken for granted.
  results jsonb := outbox.parse_object(content) -> 'results';
  own record;
  own_text json;
begin
  if jsonb_typeof(results) is distinct from 'array' then
    return null;
  end if;
  select r.result, r.place::integer - 1 as place into own
  from jsonb_array_elements(results) with ordinality as r (result, place)
  where r.result ->> 'eventId' = result_of.event_id::text
  order by r.place
  limit 1;
  -- What is read of it must not be there twice. The whole answer is not searched: it may be nested without end.
  own_text := content::json -> 'results' -> own.place;
  if outbox.has_key_twice(own_text) or outbox.has_key_twice(own_text -> 'problem') then
    return null;
  end if;
  return own.result;
end
$$;
comment on function outbox.result_of(text, uuid) is
  'The handler''s result for one event out of its answer to a delivery of several; null when it has none for it. The '
  'answer to a delivery of one is no list: there its HTTP status is the result.';

create or replace function outbox.describe_answer(http_status integer, content text, alone boolean, result jsonb)
returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  quote text;
begin
  -- What is said of one event stays when another one is erased, so it must not name that one.
  if alone then
    quote := left(content, 400);
  elsif result is not null then
    return 'the handler answered for this event: ' || left(result::text, 400);
  else
    quote := substring(outbox.parse_object(content) ->> 'code' from '^[a-z_]{1,40}$');
  end if;
  return 'the handler answered ' || http_status || coalesce(': ' || quote, '');
end
$$;
comment on function outbox.describe_answer(integer, text, boolean, jsonb) is
  'What the history of an event says of the handler''s answer: all of it if the event was alone in its request, else '
  'the result for the event, else the problem''s code. Null without a status and a result.';

create or replace function outbox.end_leases(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  endings jsonb;
begin
  with expired as materialized (
    select q.event_id
    from outbox.events q
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
  return (select count(*) from outbox.end_attempts_each(endings));
end
$$;
comment on function outbox.end_leases(integer) is
  'Takes events back from claimants whose lease ran out; returns how many.';

create or replace function outbox.undo_future() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  moment timestamptz := clock_timestamp();
  settings outbox.settings;
  latest timestamptz;
  changed integer;
  total integer;
begin
  select s.* into settings from outbox.settings s;
  -- No wait of ours is longer, and no lease.
  latest := moment + interval '1 minute'
    + greatest(interval '1 hour', make_interval(secs => settings.retry_cap_seconds));
  update outbox.events q
  set next_attempt_at = moment
  where q.event_id = any(
    -- One look into each of the two indexes.
    array(
      select late.event_id
      from outbox.events late
      where late.status = 'pending' and late.delivery_id is null
        and late.next_attempt_at > latest and late.next_attempt_at < 'infinity'
      limit settings.sweep_batch_size
      for update skip locked
    ) || array(
      select late.event_id
      from outbox.events late
      where late.status = 'pending' and late.delivery_id is not null and late.next_attempt_at > latest
      limit settings.sweep_batch_size
      for update skip locked
    )
  );
  get diagnostics total = row_count;
  update outbox.events q
  set lease_expires_at = moment
  where q.event_id = any(array(
    select late.event_id
    from outbox.events late
    where late.status = 'processing' and late.lease_expires_at > moment + interval '61 seconds'
    limit settings.sweep_batch_size
    for update skip locked
  ));
  get diagnostics changed = row_count;
  return total + changed;
end
$$;
comment on function outbox.undo_future() is
  'Ends waits and leases that are longer than any that we give: the clock was set back meanwhile. Returns how many.';

create or replace function outbox.withdraw(event_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  update outbox.events q
  set delivery_id = null, leads = null, attempts = greatest(q.attempts - 1, 0), next_attempt_at = clock_timestamp()
  where q.event_id = any(event_ids);
end
$$;
comment on function outbox.withdraw(uuid[]) is
  'Makes events due again whose delivery came to nothing through no fault of anybody: it counts as no attempt.';

create or replace function outbox.postpone_refused(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  refused record;
  total integer := 0;
begin
  for refused in
    with gone as (
      delete from outbox.deliveries d
      where d.id = any(array(
        select old.id
        from outbox.deliveries old
        where old.error is not null
        order by old.dispatched_at
        limit at_most
        for update skip locked
      ))
      returning d.error, d.event_ids
    )
    select g.error, array_agg(distinct e.id) as event_ids
    from gone g
    cross join unnest(g.event_ids) as e (id)
    group by g.error
  loop
    perform outbox.postpone(refused.event_ids, 'commit', refused.error);
    total := total + cardinality(refused.event_ids);
  end loop;
  return total;
end
$$;
comment on function outbox.postpone_refused(integer) is
  'Postpones the events of requests that their commits could not hand to pg_net; returns how many.';

create or replace function outbox.sort_silent(at_most integer) returns outbox.events[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off
set lock_timeout = '100ms' as $$
declare
  -- Taken once: an index is searched for a time that is given, not for one that may differ from row to row.
  moment timestamptz := clock_timestamp();
  patience interval := (select make_interval(secs => s.acknowledge_timeout_seconds) from outbox.settings s);
  silent outbox.events[];
  early uuid[];
  withdrawn uuid[];
begin
  silent := array(
    select q
    from outbox.events q
    where q.status = 'pending' and q.delivery_id is not null and q.next_attempt_at <= moment
    order by q.next_attempt_at
    limit at_most
    for update skip locked
  );

  if cardinality(silent) = 0 then
    return silent;
  end if;

  -- The commit of a long transaction posts later than its statement said.
  early := array(
    select s.event_id
    from unnest(silent) s
    join outbox.deliveries d on d.id = s.delivery_id
    where d.dispatched_at > moment - patience and d.dispatched_at > s.last_dispatched_at + interval '1 second'
  );
  update outbox.events q set next_attempt_at = moment + patience where q.event_id = any(early);

  -- Posted at its commit, but an earlier event is not settled: it was answered so, and waits its turn.
  withdrawn := array(
    select s.event_id
    from unnest(silent) s
    where s.event_id <> all(early) and not outbox.is_first_in_line(s.topic, s.key, s.version)
  );
  perform outbox.withdraw(withdrawn);
  return array(select s from unnest(silent) s where s.event_id <> all(early || withdrawn));
end
$$;
comment on function outbox.sort_silent(integer) is
  'The events whose delivery nobody claimed in time, locked. Deliveries that were posted late or came before '
  'their turn are dealt with here, and left out.';

do $$
begin
  if to_regtype('outbox.net_answer') is null then
    create type outbox.net_answer as (
      event_id uuid,
      request_id bigint,
      is_waiting boolean,
      held interval,
      http_status integer,
      code text,
      entry jsonb,
      message text
    );
    comment on type outbox.net_answer is
      'What pg_net knows of a delivery: is_waiting while it has not sent it, held is how long it kept it. Code is the '
      'problem''s, entry the handler''s result for the event.';
  end if;
end
$$;

create or replace function outbox.answers_to(event_ids uuid[]) returns setof outbox.net_answer
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off
set lock_timeout = '100ms' as $$
begin
  return query
  select
    q.event_id,
    d.request_id,
    exists (select from net.http_request_queue r where r.id = d.request_id),
    coalesce(answer.created, clock_timestamp()) - d.dispatched_at,
    answer.status_code,
    coalesce(result.entry -> 'problem' ->> 'code', outbox.parse_object(answer.content) ->> 'code'),
    case when q.delivery_id = q.event_id then jsonb_build_object('status', answer.status_code) else result.entry end,
    coalesce(
      outbox.describe_answer(answer.status_code, answer.content, q.delivery_id = q.event_id, result.entry),
      answer.error_msg
    )
  from outbox.events q
  join outbox.deliveries d on d.id = q.delivery_id
  left join lateral (
    -- The request ids of pg_net start again after a crash, so the answer must be younger and name no other delivery.
    select r.*
    from net._http_response r
    where r.id = d.request_id
      and r.created >= d.dispatched_at - interval '1 second'
      -- Any role may write anything here.
      and isfinite(r.created)
      and coalesce(
        (
          select lower(header.value) = q.delivery_id::text
          from jsonb_each_text(case jsonb_typeof(r.headers) when 'object' then r.headers end) as header
          where lower(header.key) = 'webhook-id'
          limit 1
        ),
        true
      )
    order by r.created desc
    limit 1
  ) as answer on true
  left join lateral (
    select case when q.delivery_id <> q.event_id then outbox.result_of(answer.content, q.event_id) end as entry
  ) as result on true
  where q.event_id = any(answers_to.event_ids);
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  -- Without pg_net there are no answers; dispatch() says what to do about it.
  return;
end
$$;
comment on function outbox.answers_to(uuid[]) is 'What pg_net knows of the deliveries of these events.';

create or replace function outbox.ending_of(event_id uuid, answer outbox.net_answer) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object('event_id', event_id, 'http_status', answer.http_status) || case
    -- Not 'rejected', which is final: any role can write such an answer. So it does no more than a lost delivery.
    when answer.entry -> 'status' in ('400', '422') then jsonb_build_object(
      'outcome', 'unacknowledged', 'message', answer.message, 'http_status', (answer.entry -> 'status')::integer
    )
    when answer.http_status = 401 and answer.code = 'stale_signature' then jsonb_build_object(
      'outcome', 'transient',
      'message', 'clock skew: the clocks of Postgres and of the handler differ; ' || answer.message
    )
    when answer.http_status = 401 then jsonb_build_object(
      'outcome', 'transient',
      'message', 'unauthorized: the handler''s WEBHOOK_SECRETS and the Vault secret outbox_webhook_secret must '
        || 'have a secret in common; ' || answer.message
    )
    else jsonb_build_object(
      'outcome', 'unacknowledged',
      'message', coalesce(answer.message, 'pg_net has no answer: the request or the answer was lost')
    )
  end;
end
$$;
comment on function outbox.ending_of(uuid, outbox.net_answer) is
  'How an attempt ends that the handler did not claim.';

create or replace function outbox.take_back(request_ids bigint[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  taken bigint[];
begin
  with idle as (
    select r.id from net.http_request_queue r where r.id = any(request_ids) for update skip locked
  ), gone as (
    delete from net.http_request_queue r using idle where r.id = idle.id returning r.id
  )
  select array_agg(g.id) into taken from gone g;
  return coalesce(taken, '{}');
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  return '{}';
end
$$;
comment on function outbox.take_back(bigint[]) is
  'Takes requests out of pg_net''s queue that it has not begun to send; returns their ids.';

create or replace function outbox.end_unacknowledged(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  -- A signature is good for five minutes.
  stale_after constant interval := '4 minutes';
  silent outbox.events[] := outbox.sort_silent(at_most);
  answers outbox.net_answer[];
  taken bigint[];
  withdrawn uuid[];
  waiting uuid[];
  skewed integer;
  endings jsonb;
begin
  if cardinality(silent) = 0 then
    return 0;
  end if;
  answers := array(select a from outbox.answers_to(array(select s.event_id from unnest(silent) s)) a);

  -- What still waits in pg_net is slow, not lost. Kept too long, it is signed again.
  taken := outbox.take_back(array(
    select distinct a.request_id from unnest(answers) a where a.is_waiting and a.held > stale_after
  ));
  waiting := array(select a.event_id from unnest(answers) a where a.is_waiting and a.request_id <> all(taken));
  withdrawn := array(
    select a.event_id
    from unnest(answers) a
    where a.request_id = any(taken)
      or a.code = 'out_of_order'
      or a.code = 'stale_signature' and a.held > stale_after
  );
  perform outbox.withdraw(withdrawn);
  update outbox.events q
  set next_attempt_at = clock_timestamp() + make_interval(secs => s.acknowledge_timeout_seconds)
  from outbox.settings s
  where q.event_id = any(waiting);

  select jsonb_agg(outbox.ending_of(s.event_id, a)), count(*) filter (where a.code = 'stale_signature')
  into endings, skewed
  from unnest(silent) s
  left join unnest(answers) a on a.event_id = s.event_id
  where s.event_id <> all(waiting || withdrawn);
  if skewed > 0 then
    perform outbox.raise_alert(
      'clock_skew', skewed, 'the clocks of Postgres and of the handler differ by minutes: correct the one that is wrong'
    );
  end if;
  if endings is null then
    return 0;
  end if;
  return (select count(*) from outbox.end_attempts_each(endings));
end
$$;
comment on function outbox.end_unacknowledged(integer) is
  'Ends the deliveries that nobody claimed in time, with the handler''s answer as the reason; returns how many.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
