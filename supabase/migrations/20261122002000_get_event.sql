-- Purpose: one event with its attempts and its dead letter.
-- Locks:   none on existing tables.
-- Undo:    drop function public.outbox_get_event(text, uuid, uuid).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function public.outbox_get_event(topic text, event_id uuid, user_id uuid default null) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select outbox.describe_event(q) || jsonb_build_object(
    'attempts', coalesce(
      (
        select jsonb_agg(outbox.describe_attempt(latest) order by latest.ended_at, latest.id)
        from (
          select a.*
          from outbox.attempts a
          where a.event_id = q.event_id
          order by a.ended_at desc, a.id desc
          -- An outage that is not the event's fault adds attempts without end.
          limit 1000
        ) as latest
      ),
      '[]'
    ),
    'deadLetter', (
      select outbox.describe_dead_letter(d)
      from outbox.dead_letters d
      where d.event_id = q.event_id
      -- That of a failed event is known, even if the clock was set back.
      order by d.id is not distinct from q.dead_letter_id desc, d.created_at desc
      limit 1
    )
  )
  from outbox.events q
  where q.event_id = outbox_get_event.event_id
    and q.topic = outbox_get_event.topic
    and (outbox_get_event.user_id is null or q.key = any(outbox.visible_keys(q.topic, outbox_get_event.user_id)))
$$;
comment on function public.outbox_get_event(text, uuid, uuid) is
  'An event with its attempts (the last 1000, oldest first) and its newest dead letter. Null when there is none, or '
  'when a user is given who may not see it.';

revoke all on function public.outbox_get_event(text, uuid, uuid) from public, anon, authenticated;
grant execute on function public.outbox_get_event(text, uuid, uuid) to service_role;

notify pgrst, 'reload schema';
