-- Purpose: the coordinators who are notified of pauses and resumes. A project that has these tables already keeps its
--          own: they are checked, never altered, and their security stays theirs.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

do $$
declare
  -- Has the type of the mentors' key in this project.
  mentor_type constant text := coalesce((
    select format_type(a.atttypid, null)
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    where a.attrelid = to_regclass('public.peer_mentor_profiles') and a.attname = 'id' and not a.attisdropped
      and t.typname in ('uuid', 'int2', 'int4', 'int8', 'text', 'varchar')
  ), 'uuid');
begin
  if to_regclass('public.coordinators') is null then
    create table public.coordinators (
      id uuid default gen_random_uuid() constraint coordinators_pkey primary key,
      name text,
      email text
    );
    alter table public.coordinators enable row level security;
    revoke all on table public.coordinators from public, anon, authenticated, service_role;
    comment on table public.coordinators is 'The people who are told about a pause or a resume.';
  end if;

  if to_regclass('public.mentor_coordinators') is null then
    -- No foreign keys: the tables on the other side may be the project's own, and a foreign key would forbid their
    -- truncate. A row that names somebody who is gone tells nobody.
    execute format($sql$
      create table public.mentor_coordinators (
        mentor_id %s,
        coordinator_id uuid,
        constraint mentor_coordinators_pkey primary key (mentor_id, coordinator_id)
      )
    $sql$, mentor_type);
    create index mentor_coordinators_coordinator_id_idx on public.mentor_coordinators (coordinator_id);
    alter table public.mentor_coordinators enable row level security;
    revoke all on table public.mentor_coordinators from public, anon, authenticated, service_role;
    comment on table public.mentor_coordinators is 'Which coordinators are told about which mentor.';
  end if;
end
$$;

-- Checks the columns that are read.
do $$
declare
  wanted record;
begin
  for wanted in
    select w.relation, w.name, w.meaning, format_type(a.atttypid, a.atttypmod) as type, t.typname = any(w.types) as fits
    from (
      values
        ('public.coordinators', 'id', 'uuid', '{uuid}'::name[]),
        ('public.mentor_coordinators', 'mentor_id', 'uuid, a whole number or text', '{uuid,int2,int4,int8,text,varchar}'),
        ('public.mentor_coordinators', 'coordinator_id', 'uuid', '{uuid}')
    ) as w (relation, name, meaning, types)
    left join pg_attribute a on a.attrelid = to_regclass(w.relation) and a.attname = w.name and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid and t.typnamespace = 'pg_catalog'::regnamespace
  loop
    if wanted.fits is not true then
      raise exception '%.% must be of type %, but %', wanted.relation, wanted.name, wanted.meaning,
        coalesce('it is of type ' || wanted.type, 'there is no such column')
        using errcode = 'datatype_mismatch', hint = 'Change or rename the column, then apply the migrations again.';
    elsif not has_table_privilege(wanted.relation, 'select') then
      raise exception '% may not read %', current_user, wanted.relation
        using errcode = 'insufficient_privilege',
        hint = format('Run: grant select on %s to %I', wanted.relation, current_user);
    end if;
  end loop;
end
$$;

drop function if exists outbox.mentor_id(text);
create function outbox.mentor_id(value text) returns public.mentor_coordinators.mentor_id%type
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  id public.mentor_coordinators.mentor_id%type;
begin
  -- The result is cast only after the block that catches the error.
  id := value;
  return id;
exception when data_exception then
  return null;
end
$$;
comment on function outbox.mentor_id(text) is 'A key of the topic pause-status as a mentor id; null if it is none.';

do $$
declare
  relation constant regclass := to_regclass('public.notifications');
  mentor_type constant regtype := pg_typeof(outbox.mentor_id(null));
  lacks text;
  obliged text;
  problem text;
  cure text;
begin
  if relation is null then
    execute format($sql$
      create table public.notifications (
        id uuid default gen_random_uuid() constraint notifications_pkey primary key,
        event_id uuid not null,
        mentor_id %s not null,
        coordinator_id uuid not null,
        transition text not null
          constraint notifications_transition_is_known check (transition in ('PAUSE', 'RESUME')),
        version bigint,
        created_at timestamptz not null default clock_timestamp(),
        constraint notifications_tell_a_coordinator_once unique (event_id, coordinator_id)
      )
    $sql$, mentor_type);
    alter table public.notifications enable row level security;
    revoke all on table public.notifications from public, anon, authenticated, service_role;
    comment on table public.notifications is 'What the orchestrator told to whom: one row per event and coordinator.';
    comment on column public.notifications.coordinator_id is
      'No foreign key: that somebody was told stays true after the coordinator is gone.';
    comment on column public.notifications.version is 'The mentor''s version; null for a webhook from elsewhere.';
    return;
  end if;

  select string_agg(format('%s %s', wanted.name, wanted.type), ', ') into lacks
  from (
    values
      ('id', 'uuid'::regtype), ('event_id', 'uuid'), ('mentor_id', mentor_type), ('coordinator_id', 'uuid'),
      ('transition', 'text'), ('version', 'bigint')
  ) as wanted (name, type)
  where not exists (
    select
    from pg_attribute a
    where a.attrelid = relation and a.attname = wanted.name and a.atttypid = wanted.type and a.attgenerated = ''
  );
  -- A stock webhook has no version.
  select string_agg(a.attname, ', ' order by a.attnum) into obliged
  from pg_attribute a
  join pg_type t on t.oid = a.atttypid
  where a.attrelid = relation
    and a.attnum > 0
    and (a.attnotnull or t.typnotnull)
    and a.attname not in ('id', 'event_id', 'mentor_id', 'coordinator_id', 'transition')
    and (a.attname = 'version' or not a.atthasdef and a.attidentity = '' and t.typdefault is null);

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
