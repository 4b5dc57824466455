-- Purpose: tombstones: what is left of an erased event, so that it is not told again.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.erased_as(uuid, text), pause_status.is_concealed_as(text, text),
--          pause_status.conceal(text); drop table pause_status.erased_events.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create table if not exists pause_status.erased_events (
  event_id uuid,
  fingerprint text not null,
  erased_at timestamptz not null default clock_timestamp(),
  constraint erased_events_pkey primary key (event_id),
  constraint erased_events_fingerprint_is_concealed check (fingerprint ~ '^sha256:[0-9a-f]{32}:[0-9a-f]{64}$')
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
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- From the strong generator of random numbers: no table of hashes helps, and no two rows can be told to be alike.
  salt constant text := encode(uuid_send(gen_random_uuid()), 'hex');
begin
  return 'sha256:' || salt || ':' || encode(sha256(convert_to(salt || fingerprint, 'UTF8')), 'hex');
end
$$;
comment on function pause_status.conceal(text) is
  'A fingerprint that can no longer be read, only compared: sha256:<salt>:<hash>.';

create or replace function pause_status.is_concealed_as(fingerprint text, concealed text)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return concealed like 'sha256:%'
    and encode(sha256(convert_to(split_part(concealed, ':', 2) || fingerprint, 'UTF8')), 'hex')
      = split_part(concealed, ':', 3);
end
$$;
comment on function pause_status.is_concealed_as(text, text) is 'Whether this is the fingerprint that was concealed.';

create or replace function pause_status.erased_as(event_id uuid, fingerprint text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select case
      when pause_status.is_concealed_as(erased_as.fingerprint, e.fingerprint) then 'completed'
      else 'payload_mismatch'
    end
    from pause_status.erased_events e
    where e.event_id = erased_as.event_id
  );
end
$$;
comment on function pause_status.erased_as(uuid, text) is
  'What a claim of an erased event is answered: completed, or payload_mismatch. Null for any other event.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
