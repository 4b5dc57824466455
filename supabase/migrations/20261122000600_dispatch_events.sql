-- Purpose: sends events: hands them to pg_net, several in one signed request.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.dispatch_due(text, integer), pause_status.park(uuid[]),
--          pause_status.dispatch(uuid[], text), pause_status.post(uuid, jsonb), pause_status.handler_address(),
--          pause_status.request_size(uuid, integer, integer), pause_status.is_first_in_line(uuid, bigint),
--          pause_status.postpone(uuid[], text, text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.postpone(event_ids uuid[], why text, reason text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  error constant text := pause_status.shorten('could not be sent: ' || reason);
begin
  with waiting as materialized (
    select q.*
    from pause_status.webhook_queue q
    where q.event_id = any(event_ids) and q.status = 'pending'
    order by q.event_id
    for update skip locked
  ), noted as (
    -- Only what is new: a week without pg_net would fill the table with one sentence.
    insert into pause_status.webhook_attempts (event_id, attempt, why, outcome, error)
    select w.event_id, w.attempts, why, 'dispatch', error
    from waiting w
    where w.last_error is distinct from error
  )
  update pause_status.webhook_queue q
  set
    last_error = error,
    attempts = q.attempts - (q.delivery_id is not null)::integer,
    delivery_id = null,
    -- As long again as it has waited already: exponential without a counter, because this is no failure of the event.
    next_attempt_at = clock_timestamp() + (0.5 + random() / 2) * least(
      greatest(
        clock_timestamp() - coalesce(w.last_failed_at, w.created_at),
        coalesce((select make_interval(secs => s.retry_base_seconds) from pause_status.settings s), interval '1 minute')
      ),
      coalesce((select make_interval(secs => s.retry_cap_seconds) from pause_status.settings s), interval '1 minute')
    )
  from waiting w
  where q.event_id = w.event_id;
exception when others then
  raise warning '% event(s) stay due: %', cardinality(event_ids), sqlerrm;
end
$$;
comment on function pause_status.postpone(uuid[], text, text) is
  'Keeps events that could not be sent at all. This is never the event''s fault, so it counts as no failure. Never '
  'raises.';

-- With a plan of its own: inside a statement over many events the planner compares each event with each.
create or replace function pause_status.is_first_in_line(mentor uuid, candidate bigint)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
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

create or replace function pause_status.request_size(event_id uuid, failures integer, largest integer)
returns integer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
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
  'How many events may travel with this one. Halved by every request that was answered with an error of its own, so '
  'that an event that spoils requests soon travels alone. An outage (no answer, 429, 502, 503) changes nothing.';

create or replace function pause_status.handler_address(out function_url text, out secrets text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  function_url := pause_status.vault_secret('pause_status_function_url');
  if function_url !~* '^https?://[^/?#[:space:]]' then
    raise exception 'the Vault secret pause_status_function_url is no absolute http(s) URL: update it'
      using errcode = 'invalid_parameter_value';
  end if;
  secrets := pause_status.vault_secret('pause_status_webhook_secret');
end
$$;
comment on function pause_status.handler_address() is
  'Where events are sent, and the secrets to sign them with; or an error that says what is missing.';

create or replace function pause_status.post(delivery_id uuid, body jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
-- Any role may lock pg_net's queue, and nobody waits for that.
set lock_timeout = '100ms'
as $$
declare
  function_url text;
  secrets text;
  timeout_ms integer;
  -- clock_timestamp(): now() is the start of a transaction that may have taken longer than a signature is good for.
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
begin
  if to_regproc('net.http_post') is null then
    raise exception 'pg_net is not installed: run create extension pg_net with schema extensions'
      using errcode = 'undefined_object';
  end if;
  select s.request_timeout_ms into timeout_ms from pause_status.settings s;
  if not found then
    raise exception 'the settings are gone: run insert into pause_status.settings default values'
      using errcode = 'no_data_found';
  end if;
  select a.* into function_url, secrets from pause_status.handler_address() a;

  insert into pause_status.deliveries (id, request_id)
  values (delivery_id, net.http_post(
    url := function_url,
    body := body,
    headers := jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', delivery_id,
      'webhook-timestamp', unix_seconds::text,
      'webhook-signature', pause_status.sign(delivery_id::text, unix_seconds, body::text, secrets)
    ),
    timeout_milliseconds := timeout_ms
  ))
  on conflict (id) do update
  set request_id = excluded.request_id, error = null, dispatched_at = clock_timestamp();
exception when others then
  -- An error of pg_net quotes the URL, which may hold a key.
  raise exception '%', replace(sqlerrm, coalesce(function_url, ''), '<pause_status_function_url>')
    using errcode = sqlstate;
end
$$;
comment on function pause_status.post(uuid, jsonb) is
  'Hands pg_net one signed request, to be sent when the transaction has committed, and notes its id in '
  'pause_status.deliveries.';

create or replace function pause_status.dispatch(event_ids uuid[], why text)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- A plan that is kept may be from when the tables were empty, so it must not be one that reads them from end to end.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
declare
  settings pause_status.settings;
  request record;
  delivery uuid;
  sent integer := 0;
  reason text;
begin
  if coalesce(cardinality(event_ids), 0) = 0 then
    return 0;
  end if;

  begin
    select s.* into settings from pause_status.settings s;
    for request in
      with due as materialized (
        select
          q.event_id,
          pause_status.payload_of(q) as payload,
          q.next_attempt_at,
          pause_status.request_size(q.event_id, q.failures, coalesce(settings.events_per_request, 1)) as size
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
      perform pause_status.post(delivery, request.payloads);
      update pause_status.webhook_queue q
      set
        attempts = q.attempts + 1,
        last_dispatched_at = clock_timestamp(),
        dispatch_reason = coalesce(case q.attempts when 0 then q.dispatch_reason end, why),
        delivery_id = delivery,
        next_attempt_at = clock_timestamp() + make_interval(secs => settings.acknowledge_timeout_seconds)
      where q.event_id = any(request.event_ids);
      sent := sent + cardinality(request.event_ids);
    end loop;
    return sent;
  exception when others then
    reason := sqlerrm;
  end;

  raise warning '% event(s) wait for the sweep: %', cardinality(event_ids), reason;
  perform pause_status.postpone(event_ids, why, reason);
  return 0;
end
$$;
comment on function pause_status.dispatch(uuid[], text) is
  'Hands those of the events to pg_net that are due and their mentor''s lowest unsettled version; returns how many. '
  'Never raises.';

create or replace function pause_status.park(event_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
begin
  update pause_status.webhook_queue q
  set next_attempt_at = 'infinity'
  from unnest(event_ids) as blocked (event_id)
  join pause_status.webhook_queue b on b.event_id = blocked.event_id
  -- Held until the commit. Whoever settles it afterwards sees what was parked behind it, and releases it.
  cross join lateral (
    select earlier.event_id
    from pause_status.webhook_queue earlier
    where earlier.mentor_id = b.mentor_id
      and earlier.version < b.version
      and earlier.status in ('pending', 'processing')
    order by earlier.version
    limit 1
    for share skip locked
  ) as held
  -- In a case, or else the planner may go through all that is due.
  where q.event_id = blocked.event_id and case q.status when 'pending' then q.delivery_id is null end;
end
$$;
comment on function pause_status.park(uuid[]) is
  'Takes events that wait behind an earlier one of their mentor out of what is due, until release_next() puts them back.';

create or replace function pause_status.dispatch_due(why text, at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
-- What is due comes in order out of its index, up to the limit; else all of it would be sorted first.
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  -- Taken once: an index is searched for a time that is given, not for one that may differ from row to row.
  moment timestamptz := clock_timestamp();
  heads uuid[] := '{}';
  blocked uuid[];
  found_heads uuid[];
begin
  -- Each round parks what waits behind others, so the next one sees further. Ten keep a sweep short.
  for round in 1 .. 10 loop
    with due as materialized (
      select q.event_id, q.mentor_id, q.version
      from pause_status.webhook_queue q
      where q.status = 'pending'
        and q.delivery_id is null
        and q.next_attempt_at <= moment
        and q.event_id <> all(heads)
      order by q.next_attempt_at
      limit at_most
      for update skip locked
    )
    select
      coalesce(array_agg(d.event_id) filter (where pause_status.is_first_in_line(d.mentor_id, d.version)), '{}'),
      array_agg(d.event_id) filter (where not pause_status.is_first_in_line(d.mentor_id, d.version))
    into found_heads, blocked
    from due d;
    heads := heads || found_heads;
    exit when blocked is null;
    perform pause_status.park(blocked);
    exit when cardinality(heads) >= at_most;
  end loop;
  return pause_status.dispatch(heads[:at_most], why);
end
$$;
comment on function pause_status.dispatch_due(text, integer) is
  'Dispatches the heads of line that have been due for longest; returns how many.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
