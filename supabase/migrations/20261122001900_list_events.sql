-- Purpose: lists events, newest first, in pages that stay where they are while events come and go.
-- Locks:   outbox.events, share: writers wait while an index is built.
-- Undo:    drop function public.outbox_list_events(jsonb), outbox.find_events(jsonb, boolean), outbox.visible_keys(text, uuid),
--          outbox.list_problem(jsonb);
--          drop index outbox.events_untimely_idx.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Hardly any row is in it: what we capture is created as it occurs.
create index if not exists events_untimely_idx on outbox.events (topic, created_at, event_id)
  where greatest(created_at - occurred_at, occurred_at - created_at) > interval '1 hour';

create or replace function outbox.list_problem(query jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
declare
  -- With an offset, or else in UTC. Also keeps out words such as now and infinity.
  time_pattern constant text :=
    '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))?$';
  after jsonb := coalesce(query -> 'after', 'null');
begin
  if jsonb_typeof(query) is distinct from 'object' then
    return 'it must be a JSON object';
  end if;
  return nullif(concat_ws('; ',
    case when coalesce(query -> 'status', 'null')
      not in ('null', '"pending"', '"processing"', '"completed"', '"failed"')
      then 'status must be pending, processing, completed or failed' end,
    case when jsonb_typeof(query -> 'topic') is distinct from 'string' then 'topic must be a string' end,
    case when coalesce(jsonb_typeof(query -> 'key'), 'null') not in ('string', 'null') then 'key must be a string' end,
    case when coalesce(jsonb_typeof(query -> 'record'), 'null') not in ('object', 'null')
      then 'record must be a JSON object' end,
    -- Null for a user would show everything to somebody who may see little.
    case when query ? 'userId'
      and not (jsonb_typeof(query -> 'userId') = 'string' and outbox.is_uuid(query ->> 'userId'))
      then 'userId must be a uuid' end,
    (
      select string_agg(name || ' must be an ISO 8601 timestamp', '; ')
      from unnest(array['occurredFrom', 'occurredTo']) as name
      where coalesce(jsonb_typeof(query -> name), 'null') <> 'null'
        and not (
          jsonb_typeof(query -> name) = 'string'
          and query ->> name ~ time_pattern
          and outbox.parse_timestamp(query ->> name) is not null
        )
    ),
    case when after <> 'null' and not coalesce(
      jsonb_typeof(after) = 'object'
        and jsonb_typeof(after -> 'createdAt') = 'string'
        and jsonb_typeof(after -> 'eventId') = 'string'
        and after ->> 'createdAt' ~ time_pattern
        and outbox.parse_timestamp(after ->> 'createdAt') is not null
        and outbox.is_uuid(after ->> 'eventId')
        and after - array['createdAt', 'eventId'] = '{}',
      false
    ) then 'after must be the next of an earlier answer: createdAt and eventId' end,
    case when case jsonb_typeof(query -> 'limit') when 'number' then
        (query ->> 'limit')::numeric not between 1 and 100 or (query ->> 'limit')::numeric % 1 <> 0
      else true end then 'limit must be a whole number from 1 to 100' end,
    case when query - array[
      'topic', 'status', 'key', 'record', 'occurredFrom', 'occurredTo', 'after', 'limit', 'userId'
    ] <> '{}' then 'it has a key that is not known' end
  ), '');
end
$$;
comment on function outbox.list_problem(jsonb) is 'All that is wrong with a query of events, or null.';

create or replace function outbox.visible_keys(topic text, user_id uuid) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  visible_to text := (select t.visible_to from outbox.topics t where t.topic = visible_keys.topic);
  keys text[] := '{}';
begin
  if visible_to is not null then
    execute format('select array(select distinct k from %s($1) as k where k is not null)', visible_to) into keys using user_id;
  end if;
  return keys;
end
$$;
comment on function outbox.visible_keys(text, uuid) is
  'The keys whose events a user may look at, by the function that the topic names; none if it names none.';

create or replace function outbox.find_events(query jsonb, timely boolean)
returns setof outbox.events
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, MDY'
-- Filters that are not given are null: only a plan for these values leaves them out and picks the index of the others.
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  wanted_status text := query ->> 'status';
  wanted_key text := query ->> 'key';
  wanted_record jsonb := nullif(query -> 'record', 'null');
  occurred_from timestamptz := query ->> 'occurredFrom';
  occurred_to timestamptz := query ->> 'occurredTo';
  after_created_at timestamptz := query -> 'after' ->> 'createdAt';
  after_event_id uuid := query -> 'after' ->> 'eventId';
  -- One more than asked for, which tells whether there is another page.
  size integer := (query ->> 'limit')::numeric + 1;
  is_settled boolean := coalesce(wanted_status, 'completed') = 'completed';
  visible text[];
begin
  -- An array, not a subquery: the plan must know how many they are.
  if query ? 'userId' then
    visible := outbox.visible_keys(query ->> 'topic', (query ->> 'userId')::uuid);
  end if;

  return query
  select q.*
  from outbox.events q
  where q.topic = query ->> 'topic'
    and (wanted_status is null or q.status = wanted_status)
    -- The same in the words of an index.
    and (wanted_status is distinct from 'failed' or q.dead_letter_id is not null)
    and (wanted_key is null or q.key = wanted_key)
    and (wanted_record is null or q.record @> wanted_record)
    and (occurred_from is null or q.occurred_at >= occurred_from)
    and (occurred_to is null or q.occurred_at < occurred_to)
    and (visible is null or q.key = any(visible))
    and (after_event_id is null or (q.created_at, q.event_id) < (after_created_at, after_event_id))
    and (
      timely is not false or greatest(q.created_at - q.occurred_at, q.occurred_at - q.created_at) > interval '1 hour'
    )
    and (
      timely is not true or greatest(q.created_at - q.occurred_at, q.occurred_at - q.created_at) <= interval '1 hour'
    )
    and (timely is not true or occurred_from is null or q.created_at >= occurred_from - interval '1 hour')
    and (timely is not true or occurred_to is null or q.created_at <= occurred_to + interval '1 hour')
  -- What is not completed is little, but may be old: the planner, which does not know that, would go through everything
  -- that is newer. An expression is in no index, so it has to take the few and sort them.
  order by case when is_settled then q.created_at else q.created_at + interval '0' end desc, q.event_id desc
  limit size;
end
$$;
comment on function outbox.find_events(jsonb, boolean) is
  'The events that a query asks for, newest first, and one more: those created within an hour of when they occurred '
  '(timely), the others, or all (null). Between two times of occurrence the timely ones are found by when they were '
  'created, so that a day long ago is found at once.';

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

  if coalesce(query ->> 'occurredFrom', query ->> 'occurredTo') is null then
    page := array(select q from outbox.find_events(query, null) q order by q.created_at desc, q.event_id desc);
  else
    page := array(
      select q
      from (
        select * from outbox.find_events(query, true)
        union all
        select * from outbox.find_events(query, false)
      ) as q
      order by q.created_at desc, q.event_id desc
    );
  end if;

  return jsonb_build_object(
    'events', coalesce(
      (
        select jsonb_agg(outbox.describe_event(p) order by p.created_at desc, p.event_id desc)
        from unnest(page[:size]) p
      ),
      '[]'
    ),
    'next', case when cardinality(page) > size then
      jsonb_build_object('createdAt', outbox.iso(page[size].created_at), 'eventId', page[size].event_id)
    end
  );
end
$$;
comment on function public.outbox_list_events(jsonb) is
  'A page of events, newest first: events, and next (to be given as after) when there are more. Filters: topic, '
  'status, key, record (by containment), occurredFrom (inclusive), occurredTo (exclusive), and userId (only what they may '
  'see).';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_list_events(jsonb) from public, anon, authenticated;
grant execute on function public.outbox_list_events(jsonb) to service_role;

notify pgrst, 'reload schema';
