-- Lets the tour observe every step of an event, with the time of PostgreSQL's own clock. Only npm start creates this,
-- after the migrations. An announcement arrives only once its transaction has committed.

create schema demo;

create function demo.announce(kind text, event_id uuid, facts jsonb)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  select pg_notify(
    'demo',
    (
      jsonb_build_object('kind', kind, 'eventId', event_id, 'at', extract(epoch from clock_timestamp()) * 1000) || facts
    )::text
  )
$$;

create function demo.observe_commit()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform demo.announce('committed', new.event_id, '{}');
  return null;
end
$$;

create function demo.observe_queue()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform demo.announce('queue', new.event_id, jsonb_build_object(
    'mentor', coalesce(
      (select p.full_name from public.peer_mentor_profiles p where p.id::text = new.key),
      'mentor ' || new.key
    ),
    'transition', case new.record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end,
    'version', new.version,
    'source', new.source,
    'before', case when tg_op = 'UPDATE' then old.status end,
    'status', new.status,
    'attempts', new.attempts,
    'sent', new.last_dispatched_at is distinct from case when tg_op = 'UPDATE' then old.last_dispatched_at end,
    'error', left(new.last_error, 200),
    'waitSeconds', extract(epoch from new.next_attempt_at - clock_timestamp())
  ));
  return null;
end
$$;

create function demo.observe_orchestration()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform demo.announce('accepted', new.event_id, '{}');
  return null;
end
$$;

create function demo.observe_notification()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform demo.announce('notified', new.event_id, jsonb_build_object(
    'coordinator', coalesce(
      (select c.name from public.coordinators c where c.id = new.coordinator_id),
      'coordinator ' || new.coordinator_id
    )
  ));
  return null;
end
$$;

-- Deferred, and named to sort last, so that it is the last thing before the commit.
create constraint trigger zz_demo_commit
  after insert on outbox.events
  deferrable initially deferred
  for each row
  when (new.source = 'outbox' and new.topic = 'pause-status')
  execute function demo.observe_commit();

create trigger zz_demo_queue
  after insert or update on outbox.events
  for each row
  when (new.topic = 'pause-status')
  execute function demo.observe_queue();

create trigger zz_demo_orchestration
  after insert on outbox.receipts
  for each row
  when (new.fingerprint <> 'notification-mail')
  execute function demo.observe_orchestration();

create trigger zz_demo_notification
  after insert on public.notifications
  for each row
  execute function demo.observe_notification();
