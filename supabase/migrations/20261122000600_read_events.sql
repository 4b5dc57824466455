-- Purpose: reads the JSON form of an event, so that a malformed one is refused before anything is written.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.read_event(jsonb), pause_status.parse_time(text);

create or replace function pause_status.parse_time(raw text)
returns timestamptz
language sql
stable
set search_path = ''
set timezone = 'UTC'
set datestyle = 'ISO, MDY'
as $$
  -- The pattern keeps out words such as now and infinity, which Postgres takes for timestamps.
  select case
    when raw ~ '^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}' and pg_input_is_valid(raw, 'timestamptz') then raw::timestamptz
  end
$$;
comment on function pause_status.parse_time(text) is 'The instant a sender''s text names, or null if it names none.';

create or replace function pause_status.read_event(event jsonb)
returns pause_status.webhook_queue
language plpgsql
stable
set search_path = ''
as $$
declare
  result pause_status.webhook_queue;
  problems text[] := '{}';
  field text;
begin
  if jsonb_typeof(event) is distinct from 'object' then
    raise exception 'event must be a JSON object, but it is %', coalesce(jsonb_typeof(event), 'null')
      using errcode = 'invalid_parameter_value';
  end if;

  foreach field in array array['eventId', 'mentorId', 'transition', 'oldStatus', 'newStatus', 'occurredAt', 'source']
  loop
    if jsonb_typeof(event -> field) is distinct from 'string' or event ->> field = '' then
      problems := problems || format('%s must be a non-empty string', field);
    elsif field in ('eventId', 'mentorId') and not pg_input_is_valid(event ->> field, 'uuid') then
      problems := problems || format('%s must be a uuid', field);
    end if;
  end loop;
  if (event ->> 'transition', event ->> 'oldStatus', event ->> 'newStatus')
    not in (('PAUSE', 'active', 'paused'), ('RESUME', 'paused', 'active'))
  then
    problems := problems || 'transition must be PAUSE (active to paused) or RESUME (paused to active)'::text;
  end if;
  if event ->> 'source' not in ('outbox', 'webhook') then
    problems := problems || 'source must be outbox or webhook'::text;
  end if;
  if coalesce(jsonb_typeof(event -> 'version'), 'null') <> 'null'
    and (jsonb_typeof(event -> 'version') <> 'number' or event ->> 'version' !~ '^[1-9]\d{0,17}$')
  then
    problems := problems || 'version must be a whole number from 1'::text;
  elsif event ->> 'source' = 'outbox' and event ->> 'version' is null then
    problems := problems || 'version must be given when source is outbox'::text;
  end if;
  if cardinality(problems) > 0 then
    raise exception 'event is malformed: %', array_to_string(problems, '; ')
      using errcode = 'invalid_parameter_value';
  end if;

  result.event_id := event ->> 'eventId';
  result.mentor_id := event ->> 'mentorId';
  result.transition := event ->> 'transition';
  result.old_status := event ->> 'oldStatus';
  result.new_status := event ->> 'newStatus';
  result.occurred_at := pause_status.parse_time(event ->> 'occurredAt');
  result.source := event ->> 'source';
  result.fingerprint := pause_status.fingerprint(
    result.mentor_id, result.transition, event ->> 'occurredAt', (event ->> 'version')::bigint
  );
  -- Only our trigger gives versions; a number from elsewhere would take a place in the mentor's line.
  result.version := case result.source when 'outbox' then (event ->> 'version')::bigint end;
  result.payload := pause_status.payload(
    result.event_id, result.mentor_id, result.old_status, result.new_status, result.version, event ->> 'occurredAt'
  );
  return result;
end
$$;
comment on function pause_status.read_event(jsonb) is
  'A PauseEvent as a row of the queue, or one error (22023) that lists everything wrong with it.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
