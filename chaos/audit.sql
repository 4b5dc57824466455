-- The harness's own record, which takes nothing from the outbox: what was committed, and what coordinators were told.
create schema chaos;

create table chaos.changes (
  place bigint generated always as identity primary key,
  mentor_id uuid not null,
  is_insert boolean not null,
  -- Where the mentor had another id before.
  old_mentor_id uuid,
  old_status text,
  new_status text,
  transaction text not null default pg_current_xact_id()::text,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_change() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.changes (mentor_id, is_insert, old_mentor_id, old_status, new_status)
  values (
    new.id, tg_op = 'INSERT', case tg_op when 'UPDATE' then nullif(old.id, new.id) end,
    case tg_op when 'UPDATE' then old.status end, new.status
  );
  return null;
end
$$;

create trigger chaos_records_inserts after insert on public.peer_mentor_profiles
  for each row execute function chaos.record_change();
create trigger chaos_records_updates after update on public.peer_mentor_profiles
  for each row when ((old.id, old.status) is distinct from (new.id, new.status)) execute function chaos.record_change();

create table chaos.told (
  place bigint generated always as identity primary key,
  event_id uuid not null,
  mentor_id uuid not null,
  coordinator_id uuid not null,
  transition text not null,
  version bigint,
  created_at timestamptz not null,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_told() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.told (event_id, mentor_id, coordinator_id, transition, version, created_at)
  values (new.event_id, new.mentor_id, new.coordinator_id, new.transition, new.version, new.created_at);
  return null;
end
$$;

create trigger chaos_records_told after insert on public.notifications
  for each row execute function chaos.record_told();
