-- Purpose: reads what comes as JSON: events, so that a malformed one is refused before anything is written, and the
--          handler's results.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.describe_answer(integer, text, boolean, jsonb),
--          pause_status.result_of(text, uuid), pause_status.read_events(jsonb);
--          drop type pause_status.reading; drop function pause_status.require_array(jsonb, text),
--          pause_status.parse_object(text), pause_status.has_key_twice(json), pause_status.parse_timestamp(text),
--          pause_status.is_bigint(text), pause_status.is_uuid(text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

do $$
begin
  if to_regtype('pause_status.reading') is null then
    create type pause_status.reading as (
      place integer,
      event_id_as_given jsonb,
      problem text,
      event_id uuid,
      mentor_id uuid,
      transition text,
      old_status text,
      new_status text,
      occurred_at timestamptz,
      source text,
      version bigint,
      fingerprint text,
      payload jsonb,
      forced boolean
    );
    comment on type pause_status.reading is 'What an element of an array of events says, or what is wrong with it.';
  end if;
end
$$;

create or replace function pause_status.require_array(elements jsonb, name text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(elements) is distinct from 'array' then
    raise exception '% must be a JSON array, but it is %', name, coalesce(jsonb_typeof(elements), 'null')
      using errcode = 'invalid_parameter_value';
  elsif jsonb_array_length(elements) > 5000 then
    raise exception '% must hold at most 5000 elements, but it holds %', name, jsonb_array_length(elements)
      using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function pause_status.require_array(jsonb, text) is
  'Refuses an argument that is no array, or one so long that its locks would be held for seconds.';

-- What PostgreSQL asks of a text before it takes it for a value, because pg_input_is_valid() came with 16 only.

create or replace function pause_status.is_uuid(value text)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(value ~* '^([0-9a-f]{4}-?){7}[0-9a-f]{4}$|^[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}]$', false);
end
$$;
comment on function pause_status.is_uuid(text) is 'Whether the text can be cast to uuid.';

create or replace function pause_status.is_bigint(value text)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(
    case when value ~ '^-?[0-9]{1,19}$' then value::numeric between -9223372036854775808 and 9223372036854775807 end,
    false
  );
end
$$;
comment on function pause_status.is_bigint(text) is 'Whether the text is a whole number that can be cast to bigint.';

create or replace function pause_status.parse_timestamp(value text)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, MDY'
as $$
declare
  moment timestamptz;
begin
  moment := value;
  return moment;
exception when data_exception then
  return null;
end
$$;
comment on function pause_status.parse_timestamp(text) is
  'The point in time, in UTC without an offset; null when the text is none.';

create or replace function pause_status.has_key_twice(part json)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if json_typeof(part) is distinct from 'object' then
    return false;
  end if;
  return (select count(*) > count(distinct key) from json_object_keys(part) key);
end
$$;
comment on function pause_status.has_key_twice(json) is
  'Whether it is an object with a key twice, of which jsonb would keep the last. Objects inside it are not looked at.';

create or replace function pause_status.parse_object(value text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if json_typeof(value::json) = 'object' and not pause_status.has_key_twice(value::json) then
    return value::jsonb;
  end if;
  return null;
exception when others then
  -- Also what is nested too deeply to be read.
  return null;
end
$$;
comment on function pause_status.parse_object(text) is
  'The JSON object; null when it is no JSON, no object, has a key twice itself, or holds what jsonb cannot.';

create or replace function pause_status.read_events(events jsonb)
returns pause_status.reading[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO, MDY'
as $$
begin
  perform pause_status.require_array(events, 'events');
  return array(
    with judged as materialized (
      select
        e.place::integer as place,
        e.event,
        case when jsonb_typeof(e.event) <> 'object' then 'it must be a JSON object' else nullif(concat_ws('; ',
          case when jsonb_typeof(e.event -> 'eventId') is distinct from 'string'
            or not pause_status.is_uuid(e.event ->> 'eventId') then 'eventId must be a uuid' end,
          case when jsonb_typeof(e.event -> 'mentorId') is distinct from 'string'
            or not pause_status.is_uuid(e.event ->> 'mentorId') then 'mentorId must be a uuid' end,
          case when (e.event -> 'transition', e.event -> 'oldStatus', e.event -> 'newStatus') not in (
            ('"PAUSE"', '"active"', '"paused"'), ('"RESUME"', '"paused"', '"active"')
          ) is not false then 'transition must be PAUSE (active to paused) or RESUME (paused to active)' end,
          case when jsonb_typeof(e.event -> 'occurredAt') is distinct from 'string' or e.event ->> 'occurredAt' = ''
            then 'occurredAt must be a non-empty string' end,
          case when coalesce(e.event -> 'source' not in ('"outbox"', '"webhook"'), true)
            then 'source must be outbox or webhook' end,
          case
            when coalesce(jsonb_typeof(e.event -> 'version'), 'null') = 'null' then
              case when e.event ->> 'source' = 'outbox' then 'version must be given when source is outbox' end
            when jsonb_typeof(e.event -> 'version') <> 'number' or e.event ->> 'version' !~ '^[1-9][0-9]{0,17}$'
              then 'version must be a whole number from 1'
          end,
          case when coalesce(jsonb_typeof(e.event -> 'force'), 'null') not in ('boolean', 'null')
            then 'force must be true or false' end
        ), '') end as problem
      from jsonb_array_elements(events) with ordinality as e (event, place)
    ), read as materialized (
      select
        j.place,
        j.event,
        j.event ->> 'occurredAt' as occurred_at_text,
        (j.event ->> 'eventId')::uuid as event_id,
        (j.event ->> 'mentorId')::uuid as mentor_id,
        (j.event ->> 'version')::bigint as version
      from judged j
      where j.problem is null
    )
    select (
      j.place,
      j.event -> 'eventId',
      'the event is malformed: ' || j.problem,
      r.event_id,
      r.mentor_id,
      j.event ->> 'transition',
      j.event ->> 'oldStatus',
      j.event ->> 'newStatus',
      -- The pattern keeps out words such as now and infinity, which Postgres takes for timestamps.
      case
        when r.occurred_at_text ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}'
        then pause_status.parse_timestamp(r.occurred_at_text)
      end,
      j.event ->> 'source',
      -- Only our trigger gives versions; a number from elsewhere would take a place in the mentor's line.
      case j.event ->> 'source' when 'outbox' then r.version end,
      case when r.place is not null then
        pause_status.fingerprint(r.mentor_id, j.event ->> 'transition', r.occurred_at_text, r.version)
      end,
      case when r.place is not null then
        pause_status.payload(
          r.event_id, r.mentor_id, j.event ->> 'oldStatus', j.event ->> 'newStatus', r.version, r.occurred_at_text
        )
      end,
      coalesce(j.event -> 'force' = 'true', false)
    )::pause_status.reading
    from judged j
    left join read r on r.place = j.place
    order by j.place
  );
end
$$;
comment on function pause_status.read_events(jsonb) is
  'The elements of an array of events in their order. One that is malformed has a problem, which lists all of it.';

create or replace function pause_status.result_of(content text, event_id uuid)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- Whoever answered may not have been the handler: nothing is taken for granted.
  results jsonb := pause_status.parse_object(content) -> 'results';
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
  if pause_status.has_key_twice(own_text) or pause_status.has_key_twice(own_text -> 'problem') then
    return null;
  end if;
  return own.result;
end
$$;
comment on function pause_status.result_of(text, uuid) is
  'The handler''s result for one event out of its answer to a delivery of several; null when it has none for it. The '
  'answer to a delivery of one is no list: there its HTTP status is the result.';

create or replace function pause_status.describe_answer(http_status integer, content text, alone boolean, result jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  quote text;
begin
  -- What is said of one event stays when another one is erased, so it must not name that one.
  if alone then
    quote := left(content, 400);
  elsif result is not null then
    return 'the handler answered for this event: ' || left(result::text, 400);
  else
    quote := substring(pause_status.parse_object(content) ->> 'code' from '^[a-z_]{1,40}$');
  end if;
  return 'the handler answered ' || http_status || coalesce(': ' || quote, '');
end
$$;
comment on function pause_status.describe_answer(integer, text, boolean, jsonb) is
  'What the history of an event says of the handler''s answer: all of it if the event was alone in its request, else '
  'the result for the event, else the problem''s code. Null without a status and a result.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
