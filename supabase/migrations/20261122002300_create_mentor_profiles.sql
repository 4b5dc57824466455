-- Purpose: the mentors whose status is watched, and the coordinators who are told about them. A project that has
--          these tables already keeps its own: they are checked, never altered, and their security stays theirs.
--          What would make capture or notify fail later is refused here, before anything is installed.
-- Locks:   none on existing tables.
-- Undo:    drop table public.mentor_coordinators, public.coordinators, public.peer_mentor_profiles (only if made here);
--          drop function outbox.touch(), outbox.has_unique_key(regclass, text[]).

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
select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Here and not where it is first used: where it cannot be had, nothing may be captured, because nothing would be swept.
create extension if not exists pg_cron with schema pg_catalog;

create schema if not exists outbox;
revoke all on schema outbox from public, anon, authenticated, service_role;

create or replace function outbox.touch()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- clock_timestamp(): two changes of one transaction have two times.
  if new.updated_at is not distinct from old.updated_at then
    new.updated_at := clock_timestamp();
  end if;
  return new;
exception when others then
  -- Somebody renamed or retyped the column. Their updates must not fail for it.
  return new;
end
$$;
comment on function outbox.touch() is 'Keeps updated_at current, unless the update itself changes it.';

create or replace function outbox.has_unique_key(relation regclass, columns text[])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select
    from pg_index i
    where i.indrelid = relation
      and i.indisunique
      and i.indisvalid
      and i.indimmediate
      and i.indpred is null
      and i.indexprs is null
      and array(
        select a.attname::text collate "C"
        from unnest(i.indkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where k.place <= i.indnkeyatts
        order by 1
      ) = array(select c collate "C" from unnest(columns) c order by 1)
  )
$$;
comment on function outbox.has_unique_key(regclass, text[]) is
  'Whether exactly these columns are unique, in all rows and at every moment: a key that may be deferred lets an id be '
  'there twice until the commit, and capture would fail the statement that does it.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;

do $$
begin
  if to_regclass('public.peer_mentor_profiles') is null then
    create table public.peer_mentor_profiles (
      id uuid default gen_random_uuid(),
      status text not null default 'active',
      full_name text,
      updated_at timestamptz not null default now(),
      constraint peer_mentor_profiles_pkey primary key (id)
    );
    -- A stock webhook is told apart from the next one by it.
    create trigger peer_mentor_profiles_touch
      before update on public.peer_mentor_profiles
      for each row
      execute function outbox.touch();
    comment on trigger peer_mentor_profiles_touch on public.peer_mentor_profiles is 'Keeps updated_at current.';
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
end
$$;

-- The columns that are read.
do $$
declare
  wanted record;
  found record;
begin
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
    select
      format_type(a.atttypid, a.atttypmod) || case t.typtype
        when 'd' then ', a domain over ' || format_type(t.typbasetype, null)
        else ''
      end as type_name,
      case wanted.type_name
        when 'uuid' then a.atttypid = 'pg_catalog.uuid'::regtype
        -- Two values of a domain over an enum cannot be compared.
        else t.typcategory = 'S' or t.typtype = 'e'
      end as fits
    into found
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    where a.attrelid = to_regclass(wanted.table_name)
      and a.attname = wanted.column_name
      and a.attnum > 0
      and not a.attisdropped;

    if found.fits is not true then
      raise exception '%.% must be of type %, but %', wanted.table_name, wanted.column_name, wanted.type_name,
        coalesce('it is of type ' || found.type_name, 'there is no such column')
        using errcode = 'datatype_mismatch',
        hint = 'Change or rename the column, then apply the migrations again.';
    elsif not has_table_privilege(wanted.table_name, 'select') then
      raise exception '% may not read %', current_user, wanted.table_name
        using errcode = 'insufficient_privilege',
        hint = format('Run: grant select on %s to %I', wanted.table_name, current_user);
    end if;
  end loop;
end
$$;

-- The profiles: they get triggers, and a change is found by the id.
do $$
declare
  relation constant regclass := 'public.peer_mentor_profiles';
  found record;
  labels text[];
  problem text;
  cure text;
begin
  select c.relkind, c.relowner, id.attnotnull as id_is_not_null, status.attgenerated, status.atttypid as status_type
  into strict found
  from pg_class c
  join pg_attribute id on id.attrelid = c.oid and id.attname = 'id'
  join pg_attribute status on status.attrelid = c.oid and status.attname = 'status'
  where c.oid = relation;
  select array_agg(e.enumlabel order by e.enumsortorder) into labels
  from pg_enum e
  where e.enumtypid = found.status_type;

  if found.relkind = 'p' then
    problem := 'must be an ordinary table, but it is partitioned';
    cure := 'An update that names a partition, or moves a row to another one, would go unnoticed: keep the profiles in one '
      || 'table.';
  elsif found.relkind <> 'r' then
    problem := 'must be a table, but it is a view or a foreign table';
    cure := 'Row triggers need a table: rename the view and give the table behind it this name.';
  elsif not pg_has_role(found.relowner, 'usage') then
    problem := format('must belong to %s, but it belongs to %s', current_user, pg_get_userbyid(found.relowner));
    cure := format('Run: alter table public.peer_mentor_profiles owner to %I', current_user);
  elsif exists (
    select from pg_inherits i where i.inhrelid = relation or i.inhparent = relation
  ) then
    problem := 'must stand for itself, but it is a partition, or it inherits, or it is inherited';
    cure := 'Changes by the other table''s name would go unnoticed: give this name to the table that is written to.';
  elsif not (found.id_is_not_null and outbox.has_unique_key(relation, array['id'])) then
    problem := 'must have a key of id alone, but an id may be null, or may be there twice';
    cure := 'Run: alter table public.peer_mentor_profiles alter id set not null, add unique (id)';
  elsif found.attgenerated = 'v' then
    problem := 'must store its status, but the column is a virtual one, which no trigger can read';
    cure := 'Generate it as stored.';
  elsif not labels @> array['active', 'paused'] then
    problem := 'has a status that cannot be both active and paused, only ' || array_to_string(labels, ', ');
    cure := 'Add the missing ones with alter type, or rename those that mean the same.';
  end if;

  if problem is not null then
    raise exception 'public.peer_mentor_profiles %', problem using errcode = 'wrong_object_type', hint = cure;
  end if;
end
$$;

-- Notifications that are there already: they get a row for each event and coordinator.
do $$
declare
  relation constant regclass := to_regclass('public.notifications');
  ours constant text[] := '{id,event_id,mentor_id,coordinator_id,transition,version}';
  types constant regtype[] := '{uuid,uuid,uuid,uuid,text,bigint}';
  lacks text;
  obliged text;
  problem text;
  cure text;
begin
  if relation is null then
    return;
  end if;

  select string_agg(format('%s %s', wanted.name, wanted.type), ', ') into lacks
  from unnest(ours, types) as wanted (name, type)
  where not exists (
    select
    from pg_attribute a
    where a.attrelid = relation
      and a.attname = wanted.name
      and a.atttypid = wanted.type
      and a.attgenerated = ''
      and not a.attisdropped
  );
  -- A stock webhook has no version.
  select string_agg(a.attname, ', ' order by a.attnum) into obliged
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  where a.attrelid = relation
    and a.attnum > 0
    and not a.attisdropped
    and (a.attnotnull or t.typnotnull)
    and case
      when a.attname = any(ours) then a.attname = 'version'
      else not a.atthasdef and a.attidentity = '' and t.typdefault is null
    end;

  if lacks is not null then
    problem := 'is a table of another purpose: it lacks ' || lacks;
    cure := 'Rename that table or move it to another schema, then try again.';
  elsif (select c.relkind not in ('r', 'p') or c.relhasrules from pg_class c where c.oid = relation) then
    problem := 'must be a table without rules, but it has some, or is a view';
    cure := 'Rename it or move it to another schema, then try again.';
  elsif obliged is not null then
    problem := 'asks for what is not always known: ' || obliged;
    cure := 'Give these columns a default, or drop their not null.';
  elsif not outbox.has_unique_key(relation, array['event_id', 'coordinator_id']) then
    problem := 'does not keep a coordinator from being told twice';
    cure := 'Run: alter table public.notifications add unique (event_id, coordinator_id)';
  elsif exists (
    select
    from pg_constraint k
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = any(k.conkey)
    where k.conrelid = relation and k.contype = 'f' and a.attname in ('id', 'event_id', 'mentor_id')
  ) then
    problem := 'refers to other tables, but a mentor or an event may be gone when coordinators are told';
    cure := 'Drop the foreign keys of id, event_id and mentor_id.';
  elsif not (has_table_privilege(relation, 'select') and has_table_privilege(relation, 'insert')) then
    problem := format('may not be written by %s', current_user);
    cure := format('Run: grant select, insert on public.notifications to %I', current_user);
  end if;

  if problem is not null then
    raise exception 'public.notifications %', problem using errcode = 'wrong_object_type', hint = cure;
  end if;
end
$$;
