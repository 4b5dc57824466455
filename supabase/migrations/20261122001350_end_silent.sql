-- Purpose: ends the attempts that nobody ended: leases that ran out, deliveries that nobody claimed.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.end_unacknowledged(integer), pause_status.take_back(bigint[]),
--          pause_status.ending_of(uuid, pause_status.net_answer), pause_status.answers_to(uuid[]),
--          pause_status.sort_silent(integer), pause_status.postpone_refused(integer), pause_status.withdraw(uuid[]),
--          pause_status.undo_future(), pause_status.end_leases(integer); drop type pause_status.net_answer.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

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
  return (select count(*) from pause_status.end_attempts_each(endings));
end
$$;
comment on function pause_status.end_leases(integer) is
  'Takes events back from claimants whose lease ran out; returns how many.';

create or replace function pause_status.undo_future()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  moment timestamptz := clock_timestamp();
  settings pause_status.settings;
  latest timestamptz;
  changed integer;
  total integer;
begin
  select s.* into settings from pause_status.settings s;
  -- No wait of ours is longer, and no lease.
  latest := moment + interval '1 minute'
    + greatest(interval '1 hour', make_interval(secs => settings.retry_cap_seconds));
  update pause_status.webhook_queue q
  set next_attempt_at = moment
  where q.event_id = any(
    -- One look into each of the two indexes.
    array(
      select late.event_id
      from pause_status.webhook_queue late
      where late.status = 'pending' and late.delivery_id is null
        and late.next_attempt_at > latest and late.next_attempt_at < 'infinity'
      limit settings.sweep_batch_size
      for update skip locked
    ) || array(
      select late.event_id
      from pause_status.webhook_queue late
      where late.status = 'pending' and late.delivery_id is not null and late.next_attempt_at > latest
      limit settings.sweep_batch_size
      for update skip locked
    )
  );
  get diagnostics total = row_count;
  update pause_status.webhook_queue q
  set lease_expires_at = moment
  where q.event_id = any(array(
    select late.event_id
    from pause_status.webhook_queue late
    where late.status = 'processing' and late.lease_expires_at > moment + interval '61 seconds'
    limit settings.sweep_batch_size
    for update skip locked
  ));
  get diagnostics changed = row_count;
  return total + changed;
end
$$;
comment on function pause_status.undo_future() is
  'Ends waits and leases that are longer than any that we give: the clock was set back meanwhile. Returns how many.';

create or replace function pause_status.withdraw(event_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  update pause_status.webhook_queue q
  set delivery_id = null, leads = null, attempts = greatest(q.attempts - 1, 0), next_attempt_at = clock_timestamp()
  where q.event_id = any(event_ids);
end
$$;
comment on function pause_status.withdraw(uuid[]) is
  'Makes events due again whose delivery came to nothing through no fault of anybody: it counts as no attempt.';

create or replace function pause_status.postpone_refused(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  refused record;
  total integer := 0;
begin
  for refused in
    with gone as (
      delete from pause_status.deliveries d
      where d.id = any(array(
        select old.id
        from pause_status.deliveries old
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
    perform pause_status.postpone(refused.event_ids, 'commit', refused.error);
    total := total + cardinality(refused.event_ids);
  end loop;
  return total;
end
$$;
comment on function pause_status.postpone_refused(integer) is
  'Postpones the events of requests that their commits could not hand to pg_net; returns how many.';

create or replace function pause_status.sort_silent(at_most integer)
returns pause_status.webhook_queue[]
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
set lock_timeout = '100ms'
as $$
declare
  -- Taken once: an index is searched for a time that is given, not for one that may differ from row to row.
  moment timestamptz := clock_timestamp();
  patience interval := (select make_interval(secs => s.acknowledge_timeout_seconds) from pause_status.settings s);
  silent pause_status.webhook_queue[];
  early uuid[];
  withdrawn uuid[];
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
    return silent;
  end if;

  -- The commit of a long transaction posts later than its statement said.
  early := array(
    select s.event_id
    from unnest(silent) s
    join pause_status.deliveries d on d.id = s.delivery_id
    where d.dispatched_at > moment - patience and d.dispatched_at > s.last_dispatched_at + interval '1 second'
  );
  update pause_status.webhook_queue q set next_attempt_at = moment + patience where q.event_id = any(early);

  -- Posted at its commit, but an earlier event is not settled: it was answered so, and waits its turn.
  withdrawn := array(
    select s.event_id
    from unnest(silent) s
    where s.event_id <> all(early) and not pause_status.is_first_in_line(s.mentor_id, s.version)
  );
  perform pause_status.withdraw(withdrawn);
  return array(select s from unnest(silent) s where s.event_id <> all(early || withdrawn));
end
$$;
comment on function pause_status.sort_silent(integer) is
  'The events whose delivery nobody claimed in time, locked. Deliveries that were posted late or came before '
  'their turn are dealt with here, and left out.';

do $$
begin
  if to_regtype('pause_status.net_answer') is null then
    create type pause_status.net_answer as (
      event_id uuid,
      request_id bigint,
      is_waiting boolean,
      held interval,
      http_status integer,
      code text,
      entry jsonb,
      message text
    );
    comment on type pause_status.net_answer is
      'What pg_net knows of a delivery: is_waiting while it has not sent it, held is how long it kept it. Code is the '
      'problem''s, entry the handler''s result for the event.';
  end if;
end
$$;

create or replace function pause_status.answers_to(event_ids uuid[])
returns setof pause_status.net_answer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
set lock_timeout = '100ms'
as $$
begin
  return query
  select
    q.event_id,
    d.request_id,
    exists (select from net.http_request_queue r where r.id = d.request_id),
    coalesce(answer.created, clock_timestamp()) - d.dispatched_at,
    answer.status_code,
    coalesce(result.entry -> 'problem' ->> 'code', pause_status.parse_object(answer.content) ->> 'code'),
    case when q.delivery_id = q.event_id then jsonb_build_object('status', answer.status_code) else result.entry end,
    coalesce(
      pause_status.describe_answer(answer.status_code, answer.content, q.delivery_id = q.event_id, result.entry),
      answer.error_msg
    )
  from pause_status.webhook_queue q
  join pause_status.deliveries d on d.id = q.delivery_id
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
    select case when q.delivery_id <> q.event_id then pause_status.result_of(answer.content, q.event_id) end as entry
  ) as result on true
  where q.event_id = any(answers_to.event_ids);
exception when undefined_table or undefined_column or invalid_schema_name or insufficient_privilege or lock_not_available then
  -- Without pg_net there are no answers; dispatch() says what to do about it.
  return;
end
$$;
comment on function pause_status.answers_to(uuid[]) is 'What pg_net knows of the deliveries of these events.';

create or replace function pause_status.ending_of(event_id uuid, answer pause_status.net_answer)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
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
      'message', 'unauthorized: the handler''s WEBHOOK_SECRETS and the Vault secret pause_status_webhook_secret must '
        || 'have a secret in common; ' || answer.message
    )
    else jsonb_build_object(
      'outcome', 'unacknowledged',
      'message', coalesce(answer.message, 'pg_net has no answer: the request or the answer was lost')
    )
  end;
end
$$;
comment on function pause_status.ending_of(uuid, pause_status.net_answer) is
  'How an attempt ends that the handler did not claim.';

create or replace function pause_status.take_back(request_ids bigint[])
returns bigint[]
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
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
comment on function pause_status.take_back(bigint[]) is
  'Takes requests out of pg_net''s queue that it has not begun to send; returns their ids.';

create or replace function pause_status.end_unacknowledged(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A signature is good for five minutes.
  stale_after constant interval := '4 minutes';
  silent pause_status.webhook_queue[] := pause_status.sort_silent(at_most);
  answers pause_status.net_answer[];
  taken bigint[];
  withdrawn uuid[];
  waiting uuid[];
  skewed integer;
  endings jsonb;
begin
  if cardinality(silent) = 0 then
    return 0;
  end if;
  answers := array(select a from pause_status.answers_to(array(select s.event_id from unnest(silent) s)) a);

  -- What still waits in pg_net is slow, not lost. Kept too long, it is signed again.
  taken := pause_status.take_back(array(
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
  perform pause_status.withdraw(withdrawn);
  update pause_status.webhook_queue q
  set next_attempt_at = clock_timestamp() + make_interval(secs => s.acknowledge_timeout_seconds)
  from pause_status.settings s
  where q.event_id = any(waiting);

  select jsonb_agg(pause_status.ending_of(s.event_id, a)), count(*) filter (where a.code = 'stale_signature')
  into endings, skewed
  from unnest(silent) s
  left join unnest(answers) a on a.event_id = s.event_id
  where s.event_id <> all(waiting || withdrawn);
  if skewed > 0 then
    perform pause_status.raise_alert(
      'clock_skew', skewed, 'the clocks of Postgres and of the handler differ by minutes: correct the one that is wrong'
    );
  end if;
  if endings is null then
    return 0;
  end if;
  return (select count(*) from pause_status.end_attempts_each(endings));
end
$$;
comment on function pause_status.end_unacknowledged(integer) is
  'Ends the deliveries that nobody claimed in time, with the handler''s answer as the reason; returns how many.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
