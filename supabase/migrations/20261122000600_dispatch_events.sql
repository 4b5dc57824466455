-- Purpose: sends events: hands them to pg_net, several in one signed request.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.dispatch_rest(uuid[]), pause_status.dispatch_due(text, integer),
--          pause_status.dispatch(uuid[], text),
--          pause_status.hand_over(jsonb[]), pause_status.post(uuid, jsonb, text, text, integer),
--          pause_status.handler_address(), pause_status.request_size(uuid, integer, integer),
--          pause_status.is_first_in_line(uuid, bigint), pause_status.postpone(uuid[], text, text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.postpone(event_ids uuid[], why text, reason text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with waiting as materialized (
    select q.*
    from pause_status.webhook_queue q
    where q.event_id = any(event_ids) and q.status = 'pending' and q.delivery_id is null
    order by q.event_id
    for update skip locked
  ), noted as (
    -- A mistake of a week would fill the table with its repetitions.
    insert into pause_status.webhook_attempts (event_id, attempt, why, outcome, error)
    select w.event_id, w.attempts, why, 'dispatch', pause_status.shorten(reason)
    from waiting w
    where w.last_error is distinct from pause_status.shorten(reason)
  )
  update pause_status.webhook_queue q
  set
    last_error = pause_status.shorten(reason),
    -- As long again as it has waited already: exponential without a counter, because this is no failure of the event.
    next_attempt_at = clock_timestamp() + (0.5 + random() / 2) * least(
      greatest(
        clock_timestamp() - coalesce(w.last_failed_at, w.created_at),
        coalesce((select make_interval(secs => s.retry_base_seconds) from pause_status.settings s), interval '1 minute')
      ),
      coalesce((select make_interval(secs => s.retry_cap_seconds) from pause_status.settings s), interval '1 minute')
    )
  from waiting w
  where q.event_id = w.event_id
$$;
comment on function pause_status.postpone(uuid[], text, text) is
  'Keeps events that could not be sent at all: it is our mistake, so it counts as no failure and kills no event.';

-- In plpgsql, with a plan of its own: inside a statement over many events the planner takes the few unsettled rows that
-- it remembers for all there are, and compares each event with each.
create or replace function pause_status.is_first_in_line(mentor uuid, candidate bigint)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  return not exists (
    select
    from pause_status.webhook_queue q
    where q.mentor_id = mentor and q.version < candidate and q.status in ('pending', 'processing')
  );
end
$$;
comment on function pause_status.is_first_in_line(uuid, bigint) is
  'Whether no lower version of the mentor is unsettled. An event without a version waits for nobody.';

-- In plpgsql, because it asks for the history only of those few events that have failed.
create or replace function pause_status.request_size(event_id uuid, failures integer, largest integer)
returns integer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  if failures = 0 then
    return largest;
  end if;
  return greatest(1, largest >> (
    select least(count(*), 8)::integer
    from pause_status.webhook_attempts a
    where a.event_id = request_size.event_id
      and a.outcome in ('unacknowledged', 'lease')
      and a.http_status >= 400
      and a.http_status not in (401, 429, 502, 503)
  ));
end
$$;
comment on function pause_status.request_size(uuid, integer, integer) is
  'With how many events at most this one travels: halved by every request that was answered with an error of its own, '
  'so that what spoils a request for its neighbours soon travels alone. An outage (no answer, 429, 502, 503) is no '
  'reason for more requests.';

create or replace function pause_status.handler_address(out function_url text, out secrets text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regproc('net.http_post') is null then
    raise exception 'pg_net is not installed: run create extension pg_net with schema extensions'
      using errcode = 'undefined_object';
  end if;
  function_url := pause_status.vault_secret('pause_status_function_url');
  if function_url !~* '^https?://[^/?#\s]' then
    raise exception 'the Vault secret pause_status_function_url is no absolute http(s) URL: update it'
      using errcode = 'invalid_parameter_value';
  end if;
  secrets := pause_status.vault_secret('pause_status_webhook_secret');
end
$$;
comment on function pause_status.handler_address() is
  'Where pg_net is to send events, and the secrets to sign them with; or an error that says what is missing.';

create or replace function pause_status.post(
  delivery_id uuid, body jsonb, function_url text, secrets text, timeout_ms integer
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  -- clock_timestamp(): now() is the start of a transaction that may have taken longer than a signature is good for.
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
begin
  return net.http_post(
    url := function_url,
    body := body,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', delivery_id,
      'webhook-timestamp', unix_seconds::text,
      'webhook-signature', pause_status.sign(delivery_id::text, unix_seconds, body::text, secrets)
    ),
    timeout_milliseconds := timeout_ms
  );
end
$$;
comment on function pause_status.post(uuid, jsonb, text, text, integer) is
  'Hands pg_net one signed request, to be sent when the transaction has committed; returns pg_net''s id of it.';

create or replace function pause_status.hand_over(bodies jsonb[])
returns table (request bigint, delivery_id uuid, request_id bigint)
language plpgsql
strict
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select b.request - 1, b.id, pause_status.post(b.id, b.body, a.function_url, a.secrets, s.request_timeout_ms)
  from pause_status.settings s
  cross join pause_status.handler_address() a
  cross join (
    select gen_random_uuid() as id, u.body, u.request from unnest(bodies) with ordinality as u (body, request)
  ) as b;
exception when others then
  -- What is wrong will be said at the commit, which tries again.
  return;
end
$$;
comment on function pause_status.hand_over(jsonb[]) is
  'Hands pg_net a request for each of the bodies, which it numbers from 0, or none at all. Never raises.';

create or replace function pause_status.dispatch(event_ids uuid[], why text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- Here and in all that is called for each delivery: planning one event costs more than settling it. A plan that is kept
-- may be from when the tables were empty, so it must not be one that reads them from end to end.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  settings pause_status.settings;
  function_url text;
  secrets text;
  request record;
  delivery uuid;
  posted bigint;
  sent integer := 0;
  reason text;
begin
  if coalesce(cardinality(event_ids), 0) = 0 then
    return 0;
  end if;

  -- Whatever goes wrong in here must not fail the transaction that changed the profile: the sweep will try again.
  begin
    select s.* into settings from pause_status.settings s;
    if not found then
      raise exception 'the settings are gone: run insert into pause_status.settings default values'
        using errcode = 'no_data_found';
    end if;
    select a.* into function_url, secrets from pause_status.handler_address() a;

    for request in
      with due as materialized (
        select
          q.event_id,
          pause_status.payload_of(q) as payload,
          q.next_attempt_at,
          pause_status.request_size(q.event_id, q.failures, settings.events_per_request) as size
        from pause_status.webhook_queue q
        where q.event_id = any(event_ids)
          -- Only pending events have one. To name their status would offer the planner an index of all that is due.
          and q.next_attempt_at <= clock_timestamp()
          and q.delivery_id is null
          and pause_status.is_first_in_line(q.mentor_id, q.version)
        order by q.event_id
        for update of q skip locked
      ), placed as (
        select
          d.*,
          (row_number() over (partition by d.size order by d.next_attempt_at, d.event_id) - 1) / d.size as place
        from due d
      )
      select
        array_agg(p.event_id) as event_ids,
        jsonb_agg(p.payload order by p.next_attempt_at, p.event_id) as payloads
      from placed p
      group by p.size, p.place
      order by min(p.next_attempt_at)
    loop
      delivery := gen_random_uuid();
      if cardinality(request.event_ids) = 1 then
        delivery := request.event_ids[1];
        request.payloads := request.payloads -> 0;
      end if;
      posted := pause_status.post(
        delivery, request.payloads, function_url, secrets, settings.request_timeout_ms
      );
      -- clock_timestamp(): now() is the start of a transaction that may have taken longer than the timeout.
      update pause_status.webhook_queue q
      set
        attempts = q.attempts + 1,
        last_dispatched_at = clock_timestamp(),
        dispatch_reason = coalesce(case q.attempts when 0 then q.dispatch_reason end, why),
        delivery_id = delivery,
        request_id = posted,
        next_attempt_at = clock_timestamp() + make_interval(secs => settings.acknowledge_timeout_seconds)
      where q.event_id = any(request.event_ids);
      sent := sent + cardinality(request.event_ids);
    end loop;
    return sent;
  exception when others then
    reason := replace(sqlerrm, coalesce(function_url, ''), '<pause_status_function_url>');
  end;

  raise warning '% event(s) wait for the sweep: %', cardinality(event_ids), reason;
  perform pause_status.postpone(event_ids, why, reason);
  return 0;
end
$$;
comment on function pause_status.dispatch(uuid[], text) is
  'Hands those of the events to pg_net that are due and their mentor''s lowest unsettled version; returns how many. '
  'Never raises.';

create or replace function pause_status.dispatch_due(why text, at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- What is due comes in order out of its index, up to the limit; else all of it would be looked at before it is sorted.
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  -- Taken once: an index is searched for a time that is given, not for one that may differ from row to row.
  moment timestamptz := clock_timestamp();
begin
  return pause_status.dispatch(
    array(
      select q.event_id
      from pause_status.webhook_queue q
      where q.status = 'pending'
        and q.next_attempt_at <= moment
        and q.delivery_id is null
        -- As is_first_in_line(), whose call costs several times the look into the index: many may wait behind events
        -- that are under way. With a limit it stays a look for each, whatever the planner remembers of the table.
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
      limit at_most
    ),
    why
  );
end
$$;
comment on function pause_status.dispatch_due(text, integer) is
  'Dispatches the heads of line that have been due for longest; returns how many.';

create or replace function pause_status.dispatch_rest(event_ids uuid[])
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  -- Ten for one: a hundred thousand events need five rounds, and nobody who settles has much to hand over.
  most integer := (select 10 * s.events_per_request from pause_status.settings s);
begin
  return pause_status.dispatch(
    array(
      select rest.event_id
      from (
        select distinct q.occurred_at from pause_status.webhook_queue q where q.event_id = any(event_ids)
      ) as large_update
      cross join lateral (
        select q.event_id
        from pause_status.webhook_queue q
        where q.status = 'pending'
          and q.delivery_id is null
          -- As a range in order: for one equal value any index would do, if the queue was empty when this was planned.
          and q.next_attempt_at between large_update.occurred_at and large_update.occurred_at
          and q.queued_by is null
        order by q.next_attempt_at
        limit most
        for update skip locked
      ) as rest
      limit most
    ),
    'settled'
  );
end
$$;
comment on function pause_status.dispatch_rest(uuid[]) is
  'Dispatches some more of the large updates that these events, settled now, are from; returns how many.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
