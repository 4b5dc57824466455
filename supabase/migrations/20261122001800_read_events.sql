-- Purpose: events as the REST contract shows them: a list, newest first, and one event with its details.
-- Locks:   outbox.events, share: writers wait while an index is built.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Has hardly any rows: captured events are created when they occur.
create index if not exists events_untimely_idx on outbox.events (topic, created_at, event_id)
  where greatest(created_at - occurred_at, occurred_at - created_at) > interval '1 hour';

create or replace function outbox.describe_event(event outbox.events) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object(
    'eventId', event.event_id, 'topic', event.topic, 'key', event.key, 'version', event.version,
    'type', event.type, 'record', event.record, 'oldRecord', event.old_record, 'source', event.source,
    'status', event.status, 'attemptCount', event.attempts, 'failures', event.failures, 'lastError', event.last_error,
    'receipt', event.receipt, 'reachedNobody', outbox.reached_nobody(event),
    'occurredAt', outbox.iso(event.occurred_at), 'createdAt', outbox.iso(event.created_at),
    'completedAt', outbox.iso(event.completed_at),
    -- While it waits behind another event, this is infinity, which is no time.
    'nextAttemptAt', outbox.iso(nullif(event.next_attempt_at, 'infinity'))
  );
end
$$;
comment on function outbox.describe_event(outbox.events) is 'An event as the REST contract shows it.';

create or replace function outbox.visible_keys(topic text, user_id uuid) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  visible_to text := (select t.visible_to from outbox.topics t where t.topic = visible_keys.topic);
  keys text[] := '{}';
begin
  if visible_to is not null then
    execute format('select array(select k from %s($1) k where k is not null)', visible_to) into keys using user_id;
  end if;
  return keys;
end
$$;
comment on function outbox.visible_keys(text, uuid) is
  'The keys whose events a user may see, from the topic''s visible_to function; none without one.';

create or replace function outbox.list_problem(query jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  given jsonb;
begin
  if jsonb_typeof(query) is distinct from 'object' then
    return 'it must be a JSON object';
  end if;
  given := jsonb_strip_nulls(query);
  return (
    select string_agg(rule.otherwise, '; ')
    from (values
      (jsonb_typeof(given -> 'topic') = 'string', 'topic must be a string'),
      (not given ? 'status' or given ->> 'status' in ('pending', 'processing', 'completed', 'failed'),
        'status must be pending, processing, completed or failed'),
      (not given ? 'key' or jsonb_typeof(given -> 'key') = 'string', 'key must be a string'),
      (not given ? 'record' or jsonb_typeof(given -> 'record') = 'object', 'record must be a JSON object'),
      (not given ? 'occurredFrom' or outbox.parse_timestamp(given ->> 'occurredFrom') is not null,
        'occurredFrom must be an ISO 8601 timestamp'),
      (not given ? 'occurredTo' or outbox.parse_timestamp(given ->> 'occurredTo') is not null,
        'occurredTo must be an ISO 8601 timestamp'),
      (not given ? 'after' or jsonb_typeof(query #> '{after,eventId}') = 'string'
          and outbox.is_uuid(query #>> '{after,eventId}')
          and outbox.parse_timestamp(query #>> '{after,createdAt}') is not null
          and (query -> 'after') - array['createdAt', 'eventId'] = '{}',
        'after must be the next of an earlier answer: createdAt and eventId'),
      ((query -> 'limit')::text ~ '^([1-9][0-9]?|100)([.]0+)?$', 'limit must be a whole number from 1 to 100'),
      -- Null as a user would show everything to somebody with few rights.
      (not query ? 'userId' or jsonb_typeof(query -> 'userId') = 'string' and outbox.is_uuid(query ->> 'userId'),
        'userId must be a uuid'),
      (query - array[
        'topic', 'status', 'key', 'record', 'occurredFrom', 'occurredTo', 'after', 'limit', 'userId'
      ] = '{}', 'it has a key that is not known')
    ) as rule (holds, otherwise)
    where rule.holds is not true
  );
end
$$;
comment on function outbox.list_problem(jsonb) is 'Everything wrong with a query of events, or null.';

create or replace function outbox.find_events(query jsonb, only_untimely boolean) returns setof outbox.events
-- Missing filters are null: only a plan for these values drops them and picks the right index.
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set jit = off
as $$
declare
  wanted_status text := query ->> 'status';
  occurred_from timestamptz := outbox.parse_timestamp(query ->> 'occurredFrom');
  occurred_to timestamptz := outbox.parse_timestamp(query ->> 'occurredTo');
  after_created_at timestamptz := outbox.parse_timestamp(query #>> '{after,createdAt}');
  after_event_id uuid := query #>> '{after,eventId}';
  visible text[];
begin
  -- An array, not a subquery, so that the planner knows how many there are.
  if query ? 'userId' then
    visible := outbox.visible_keys(query ->> 'topic', (query ->> 'userId')::uuid);
  end if;

  return query
  select q.*
  from outbox.events q
  where q.topic = query ->> 'topic'
    and (wanted_status is null or q.status = wanted_status)
    -- The same condition, as the index spells it.
    and (wanted_status is distinct from 'failed' or q.dead_letter_id is not null)
    and (query ->> 'key' is null or q.key = query ->> 'key')
    and (query ->> 'record' is null or q.record @> (query -> 'record'))
    and (visible is null or q.key = any(visible))
    and (after_event_id is null or (q.created_at, q.event_id) < (after_created_at, after_event_id))
    and (occurred_from is null or q.occurred_at >= occurred_from)
    and (occurred_to is null or q.occurred_at < occurred_to)
    and (
      not only_untimely or greatest(q.created_at - q.occurred_at, q.occurred_at - q.created_at) > interval '1 hour'
    )
    and (only_untimely or occurred_from is null or q.created_at >= occurred_from - interval '1 hour')
    and (only_untimely or occurred_to is null or q.created_at <= occurred_to + interval '1 hour')
  -- What is not completed is little, but may be old: the planner, which does not know that, would go through everything
  -- that is newer. An expression is in no index, so it has to take the few and sort them.
  order by
    case when wanted_status <> 'completed' then q.created_at + interval '0' else q.created_at end desc, q.event_id desc
  -- One more than the limit, to know whether there is another page.
  limit (query ->> 'limit')::numeric + 1;
end
$$;
comment on function outbox.find_events(jsonb, boolean) is
  'The events of a query, newest first, and one more. A range of event times uses the time of creation, within an hour; '
  'or finds only the events created at another time.';

create or replace function public.outbox_list_events(query jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  problem text := outbox.list_problem(query);
  size integer;
  page outbox.events[];
begin
  if problem is not null then
    raise exception 'the query is malformed: %', problem
      using errcode = 'invalid_parameter_value',
      hint = 'Known are topic, status, key, record, occurredFrom, occurredTo, after, limit and userId.';
  end if;
  size := (query ->> 'limit')::numeric;
  page := array(
    select q
    from (select * from outbox.find_events(query, false) union select * from outbox.find_events(query, true)) as q
    order by q.created_at desc, q.event_id desc
    limit size + 1
  );
  return jsonb_build_object(
    'events', (
      select coalesce(jsonb_agg(outbox.describe_event(p) order by p.created_at desc, p.event_id desc), '[]')
      from unnest(page[:size]) p
    ),
    'next', case when cardinality(page) > size then
      jsonb_build_object('createdAt', outbox.iso(page[size].created_at), 'eventId', page[size].event_id)
    end
  );
end
$$;
comment on function public.outbox_list_events(jsonb) is
  'A page of events, newest first, and next (pass it as after) if there are more.';

create or replace function public.outbox_get_event(topic text, event_id uuid, user_id uuid default null) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select outbox.describe_event(q) || jsonb_build_object(
    'attempts', (
      select coalesce(jsonb_agg(
        jsonb_build_object(
          'attempt', a.attempt, 'why', a.why, 'outcome', a.outcome, 'httpStatus', a.http_status, 'error', a.error,
          'dispatchedAt', outbox.iso(a.dispatched_at), 'endedAt', outbox.iso(a.ended_at), 'durationMs', a.duration_ms
        ) order by a.ended_at, a.id
      ), '[]')
      from (
        select * from outbox.attempts l where l.event_id = q.event_id order by l.ended_at desc, l.id desc
        -- A long outage adds attempts without limit.
        limit 1000
      ) as a
    ),
    'deadLetter', (
      select jsonb_build_object(
        'id', d.id, 'reason', d.reason, 'attempts', d.attempts, 'lastError', d.last_error, 'notes', d.notes,
        'firstFailedAt', outbox.iso(d.first_failed_at), 'lastFailedAt', outbox.iso(d.last_failed_at),
        'createdAt', outbox.iso(d.created_at), 'resolution', d.resolution, 'resolvedAt', outbox.iso(d.resolved_at)
      )
      from outbox.dead_letters d
      where d.event_id = q.event_id
      -- A failed event names its dead letter, even if the clock was set back.
      order by d.id is not distinct from q.dead_letter_id desc, d.created_at desc
      limit 1
    )
  )
  from outbox.events q
  where q.event_id = outbox_get_event.event_id and q.topic = outbox_get_event.topic
    and (user_id is null or q.key = any(outbox.visible_keys(q.topic, user_id)))
$$;
comment on function public.outbox_get_event(text, uuid, uuid) is
  'An event with its last attempts and its newest dead letter; null if the user may see no such event.';

revoke all on function public.outbox_list_events(jsonb) from public, anon, authenticated;
revoke all on function public.outbox_get_event(text, uuid, uuid) from public, anon, authenticated;
grant execute on function public.outbox_list_events(jsonb) to service_role;
grant execute on function public.outbox_get_event(text, uuid, uuid) to service_role;
