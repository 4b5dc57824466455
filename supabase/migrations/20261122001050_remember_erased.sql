-- Purpose: tombstones: what is left of an erased event, so that it is not told again.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.refuse_erased(uuid), pause_status.erased_as(uuid, text),
--          pause_status.conceal(text); drop table pause_status.erased_events.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create table if not exists pause_status.erased_events (
  event_id uuid,
  fingerprint text not null,
  erased_at timestamptz not null default clock_timestamp(),
  constraint erased_events_pkey primary key (event_id),
  constraint erased_events_fingerprint_is_concealed check (fingerprint ~ '^sha256:[0-9a-f]{64}$')
);
create index if not exists erased_events_erased_at_idx on pause_status.erased_events (erased_at);
alter table pause_status.erased_events enable row level security;
revoke all on table pause_status.erased_events from public, anon, authenticated, service_role;
comment on table pause_status.erased_events is
  'Tombstones: the identity of events that a person erased, so that a later delivery of one is a duplicate.';
comment on column pause_status.erased_events.fingerprint is
  'Concealed: a fingerprint names the mentor and the time, which is what was to be erased.';

create or replace function pause_status.conceal(fingerprint text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return 'sha256:' || encode(sha256(convert_to(fingerprint, 'UTF8')), 'hex');
end
$$;
comment on function pause_status.conceal(text) is 'A fingerprint that can still be compared, but no longer read.';

create or replace function pause_status.erased_as(event_id uuid, fingerprint text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select case e.fingerprint when pause_status.conceal(erased_as.fingerprint) then 'completed' else 'payload_mismatch' end
    from pause_status.erased_events e
    where e.event_id = erased_as.event_id
  );
end
$$;
comment on function pause_status.erased_as(uuid, text) is
  'What a claim of an erased event is answered: completed, or payload_mismatch. Null for any other event.';

-- Volatile, so that it sees what was committed after the statement that calls it began.
create or replace function pause_status.refuse_erased(event_id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from pause_status.erased_events e where e.event_id = refuse_erased.event_id) then
    raise exception 'the event % was erased in this moment', event_id
      using errcode = 'unique_violation', hint = 'Claim it again: it is answered as completed.';
  end if;
end
$$;
comment on function pause_status.refuse_erased(uuid) is
  'Undoes a claim that saw neither the row, which is gone, nor the tombstone, which was not there yet.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
