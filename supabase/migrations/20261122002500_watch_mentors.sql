-- Purpose: the topic pause-status: a mentor is paused, or is active again.
-- Locks:   the table of the mentors, share row exclusive: writers wait while its rows are read once.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.touch() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- Not now(): two changes in one transaction need two times.
  if new.updated_at is not distinct from old.updated_at then
    new.updated_at := clock_timestamp();
  end if;
  return new;
exception when others then
  -- The column was renamed or retyped, which must not make updates fail.
  return new;
end
$$;
comment on function outbox.touch() is 'Keeps updated_at current, unless the update itself changes it.';

do $$
declare
  -- Put your own table, key, column and words here: see docs/topics.md. If you name a table, none is created.
  mentors constant text := 'public.peer_mentor_profiles';
begin
  if mentors = 'public.peer_mentor_profiles' and to_regclass(mentors) is null then
    create table public.peer_mentor_profiles (
      id uuid default gen_random_uuid() constraint peer_mentor_profiles_pkey primary key,
      status text not null default 'active',
      full_name text,
      updated_at timestamptz not null default now()
    );
    -- Distinguishes one stock webhook from the next.
    create trigger peer_mentor_profiles_touch before update on public.peer_mentor_profiles
      for each row execute function outbox.touch();
    comment on trigger peer_mentor_profiles_touch on public.peer_mentor_profiles is 'Keeps updated_at current.';
    alter table public.peer_mentor_profiles enable row level security;
    revoke all on table public.peer_mentor_profiles from public, anon, authenticated, service_role;
    comment on table public.peer_mentor_profiles is
      'Mentor profiles. A change of status between active and paused is told to the mentor''s coordinators.';
    comment on column public.peer_mentor_profiles.status is
      'active, paused, or a word of the project''s own; only changes between active and paused are told.';
  end if;

  perform outbox.watch(
    topic => 'pause-status',
    relation => mentors,
    key => 'id',
    columns => '{status}',
    words => '{"status": {"active": ["active"], "paused": ["paused"]}}',
    visible_to => 'outbox.mentors_of'
  );
  if (select t.key_type from outbox.topics t where t.topic = 'pause-status') <> pg_typeof(outbox.mentor_id(null))::text then
    raise exception 'public.mentor_coordinators.mentor_id must be of the type of the key of %', mentors
      using errcode = 'datatype_mismatch',
      hint = 'Change it, in public.notifications too, then apply the migrations again from create_coordinators on.';
  end if;
end
$$;
