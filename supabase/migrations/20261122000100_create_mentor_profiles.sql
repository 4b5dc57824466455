-- Purpose: the mentors whose status is watched, and the coordinators who are told about them. A project that has
--          these tables already keeps its own: they are checked, never altered, and their security stays theirs.
-- Locks:   none on existing tables.
-- Undo:    drop table public.mentor_coordinators, public.coordinators, public.peer_mentor_profiles (only if made here).

-- Before anything is installed: the first half without the second would capture, and send nothing again.
do $$
begin
  if current_setting('server_version_num')::integer < 150000 then
    raise exception 'PostgreSQL 15 or later is needed, but this is PostgreSQL %', current_setting('server_version')
      using errcode = 'feature_not_supported',
      hint = 'Nothing has been installed. Upgrade the database, then apply the migrations.';
  end if;
end
$$;

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

do $$
declare
  wanted record;
  found_type text;
  found_category "char";
begin
  if to_regclass('public.peer_mentor_profiles') is null then
    create table public.peer_mentor_profiles (
      id uuid default gen_random_uuid(),
      status text not null default 'active',
      full_name text,
      updated_at timestamptz not null default now(),
      constraint peer_mentor_profiles_pkey primary key (id)
    );
    alter table public.peer_mentor_profiles enable row level security;
    revoke all on table public.peer_mentor_profiles from public, anon, authenticated, service_role;
    comment on table public.peer_mentor_profiles is
      'Mentor profiles. A change of status between active and paused is told to the mentor''s coordinators.';
    comment on column public.peer_mentor_profiles.status is
      'active, paused, or a word of the project''s own; only changes between active and paused are told.';
  end if;

  if to_regclass('public.coordinators') is null then
    create table public.coordinators (
      id uuid default gen_random_uuid(),
      name text,
      email text,
      constraint coordinators_pkey primary key (id)
    );
    alter table public.coordinators enable row level security;
    revoke all on table public.coordinators from public, anon, authenticated, service_role;
    comment on table public.coordinators is 'The people who are told about a pause or a resume.';
  end if;

  if to_regclass('public.mentor_coordinators') is null then
    -- No foreign keys: the tables on the other side may be the project's own, and a foreign key would forbid their
    -- truncate. A row that names somebody who is gone tells nobody.
    create table public.mentor_coordinators (
      mentor_id uuid,
      coordinator_id uuid,
      constraint mentor_coordinators_pkey primary key (mentor_id, coordinator_id)
    );
    create index mentor_coordinators_coordinator_id_idx on public.mentor_coordinators (coordinator_id);
    alter table public.mentor_coordinators enable row level security;
    revoke all on table public.mentor_coordinators from public, anon, authenticated, service_role;
    comment on table public.mentor_coordinators is 'Which coordinators are told about which mentor.';
  end if;

  for wanted in
    select *
    from (
      values
        ('public.peer_mentor_profiles', 'id', 'uuid'),
        ('public.peer_mentor_profiles', 'status', 'text, varchar or an enum'),
        ('public.coordinators', 'id', 'uuid'),
        ('public.mentor_coordinators', 'mentor_id', 'uuid'),
        ('public.mentor_coordinators', 'coordinator_id', 'uuid')
    ) as requirement (table_name, column_name, type_name)
  loop
    select format_type(a.atttypid, a.atttypmod), t.typcategory
    into found_type, found_category
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    where a.attrelid = to_regclass(wanted.table_name)
      and a.attname = wanted.column_name
      and a.attnum > 0
      and not a.attisdropped;

    if found_type is null
      or (wanted.type_name = 'uuid' and found_type <> 'uuid')
      or (wanted.type_name <> 'uuid' and found_category not in ('S', 'E'))
    then
      raise exception '%.% must be of type %, but %', wanted.table_name, wanted.column_name, wanted.type_name,
        coalesce('it is of type ' || found_type, 'there is no such column')
        using errcode = 'datatype_mismatch',
        hint = 'Change or rename the column, then apply the migrations again.';
    end if;
  end loop;

  if (select relkind from pg_class where oid = to_regclass('public.peer_mentor_profiles')) not in ('r', 'p') then
    raise exception 'public.peer_mentor_profiles must be a table, but it is a view or a foreign table'
      using errcode = 'wrong_object_type',
      hint = 'Row triggers need a table: rename the view and give the table behind it this name.';
  end if;
end
$$;
