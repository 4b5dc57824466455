-- Purpose: the orchestrator's transaction: one notification per coordinator, once per event.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_notify(jsonb); drop table public.notifications,
--          pause_status.orchestrations.

do $$
declare
  missing text;
begin
  if to_regclass('public.notifications') is null then
    create table public.notifications (
      id uuid default gen_random_uuid(),
      event_id uuid not null,
      mentor_id uuid not null,
      coordinator_id uuid not null,
      transition text not null,
      version bigint,
      created_at timestamptz not null default clock_timestamp(),
      constraint notifications_pkey primary key (id),
      constraint notifications_tell_a_coordinator_once unique (event_id, coordinator_id),
      constraint notifications_transition_is_known check (transition in ('PAUSE', 'RESUME'))
    );
    alter table public.notifications enable row level security;
    revoke all on table public.notifications from public, anon, authenticated, service_role;
    comment on table public.notifications is 'What the orchestrator told to whom: one row per event and coordinator.';
    comment on column public.notifications.coordinator_id is
      'No foreign key: that somebody was told stays true after the coordinator is gone.';
    comment on column public.notifications.version is 'The mentor''s version; null for a webhook from elsewhere.';
  end if;

  select string_agg(format('%s %s', column_name, type_name), ', ')
  into missing
  from (
    values
      ('id', 'uuid'), ('event_id', 'uuid'), ('mentor_id', 'uuid'), ('coordinator_id', 'uuid'),
      ('transition', 'text'), ('version', 'bigint')
  ) as wanted (column_name, type_name)
  where not exists (
    select
    from pg_attribute a
    where a.attrelid = to_regclass('public.notifications')
      and a.attname = wanted.column_name
      and a.atttypid = to_regtype(wanted.type_name)
      and not a.attisdropped
  );
  if missing is not null then
    raise exception 'public.notifications is a table of another purpose: it lacks %', missing
      using errcode = 'duplicate_table', hint = 'Rename that table or move it to another schema, then try again.';
  end if;
end
$$;

create table if not exists pause_status.orchestrations (
  event_id uuid,
  fingerprint text not null,
  receipt jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint orchestrations_pkey primary key (event_id)
);
alter table pause_status.orchestrations enable row level security;
revoke all on table pause_status.orchestrations from public, anon, authenticated, service_role;
comment on table pause_status.orchestrations is
  'The orchestrator''s idempotency keys: what was answered to each event, so that a repetition gets the same answer.';

create or replace function public.pause_status_notify(event jsonb)
returns jsonb
language plpgsql
security definer
set search_path = ''
as $$
declare
  given pause_status.webhook_queue := pause_status.read_event(event);
  kept pause_status.orchestrations;
  notification_ids jsonb;
  answer jsonb;
begin
  -- A second caller with the same key waits here for the first one's commit, and then reads its receipt below.
  insert into pause_status.orchestrations (event_id, fingerprint, receipt)
  values (given.event_id, given.fingerprint, '{}')
  on conflict do nothing;

  if not found then
    select o.* into kept from pause_status.orchestrations o where o.event_id = given.event_id;
    if kept.fingerprint is distinct from given.fingerprint then
      return jsonb_build_object('outcome', 'payload_mismatch');
    end if;
    return jsonb_build_object('outcome', 'notified', 'receipt', kept.receipt, 'replayed', true);
  end if;

  with told as (
    insert into public.notifications (event_id, mentor_id, coordinator_id, transition, version)
    select given.event_id, given.mentor_id, c.id, given.transition, given.version
    from public.mentor_coordinators mc
    join public.coordinators c on c.id = mc.coordinator_id
    where mc.mentor_id = given.mentor_id
    group by c.id
    returning id
  )
  select coalesce(jsonb_agg(told.id order by told.id), '[]') into notification_ids from told;

  answer := jsonb_build_object(
    'eventId', given.event_id,
    'mentorId', given.mentor_id,
    'transition', given.transition,
    'notified', jsonb_array_length(notification_ids),
    'notificationIds', notification_ids
  );
  update pause_status.orchestrations o set receipt = answer where o.event_id = given.event_id;
  return jsonb_build_object('outcome', 'notified', 'receipt', answer, 'replayed', false);
end
$$;
comment on function public.pause_status_notify(jsonb) is
  'Tells a mentor''s coordinators about a PauseEvent, all in one transaction and once per event id: notified (receipt, '
  'replayed) or payload_mismatch (same key, other payload).';

revoke all on function public.pause_status_notify(jsonb) from public, anon, authenticated;
grant execute on function public.pause_status_notify(jsonb) to service_role;

notify pgrst, 'reload schema';
