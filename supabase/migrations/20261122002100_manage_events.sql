-- Purpose: redrive and resolve for those who have no SQL.
-- Locks:   none on existing tables.
-- Undo:    drop function public.outbox_resolve(text, uuid, text, boolean),
--          public.outbox_redrive(text, uuid, boolean, boolean), outbox.require_boolean(boolean, text),
--          outbox.answer_with_event(jsonb, uuid).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.require_boolean(value boolean, name text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- As a condition null is neither: a dry run would become a real one.
  if value is null then
    raise exception '% must be true or false, but it is null', name
      using errcode = 'invalid_parameter_value', hint = 'Leave it out, or give true or false.';
  end if;
end
$$;
comment on function outbox.require_boolean(boolean, text) is 'Refuses an argument that is null.';

create or replace function outbox.answer_with_event(answer jsonb, event_id uuid) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select answer || jsonb_build_object('event', (
    select outbox.describe_event(q)
    from outbox.events q
    where q.event_id = answer_with_event.event_id
  ))
$$;
comment on function outbox.answer_with_event(jsonb, uuid) is
  'An answer and the event as it is after it; null when there is none.';

create or replace function public.outbox_redrive(
  topic text,
  event_id uuid,
  force boolean default false,
  dry_run boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  answer jsonb;
begin
  perform outbox.require_boolean(force, 'force');
  perform outbox.require_boolean(dry_run, 'dry_run');
  if not outbox.is_of(topic, event_id) then
    return '{"outcome": "unknown"}';
  end if;
  answer := outbox.redrive(event_id, force, dry_run);
  return outbox.answer_with_event(answer, event_id);
end
$$;
comment on function public.outbox_redrive(text, uuid, boolean, boolean) is
  'outbox.redrive(), with the event after it: redriven, would_redrive, already_pending, superseded, not_failed or '
  'unknown.';

create or replace function public.outbox_resolve(
  topic text,
  event_id uuid,
  notes text default null,
  dry_run boolean default false
) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  answer jsonb;
begin
  perform outbox.require_boolean(dry_run, 'dry_run');
  if octet_length(notes) > 8192 then
    raise exception 'notes must be at most 8192 bytes, but they are %', octet_length(notes)
      using errcode = 'invalid_parameter_value', hint = 'Shorten them, or keep them elsewhere and give a link.';
  end if;
  if not outbox.is_of(topic, event_id) then
    return '{"outcome": "unknown"}';
  end if;
  answer := outbox.resolve(event_id, notes, dry_run);
  return outbox.answer_with_event(answer, event_id);
end
$$;
comment on function public.outbox_resolve(text, uuid, text, boolean) is
  'outbox.resolve(), with the event after it: resolved, cancelled, would_resolve, would_cancel, in_flight, '
  'already_resolved, not_failed or unknown.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.outbox_redrive(text, uuid, boolean, boolean) from public, anon, authenticated;
revoke all on function public.outbox_resolve(text, uuid, text, boolean) from public, anon, authenticated;
grant execute on function public.outbox_redrive(text, uuid, boolean, boolean) to service_role;
grant execute on function public.outbox_resolve(text, uuid, text, boolean) to service_role;

notify pgrst, 'reload schema';
