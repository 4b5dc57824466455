-- A stand-in for pg_cron 1.6.4, which is a C background worker and cannot be built here.
--
-- The same: names, arguments, tables, row security, upsert by job name and user, "N seconds" from 1 to 59, five-field
-- schedules in UTC, one run of a job at a time, run details, and hosted Supabase's grants (role postgres reads cron.job
-- and writes it through the functions only).
-- Not the same:
--   * the jobs are run by an ordinary process (local/cron/ticker.ts) that looks once a second, so a job starts up to a
--     second late and knows of a new job only after its commit;
--   * "$" (last day of the month) and "@hourly"-like names are refused; cron.* settings do not exist.
\echo Use "create extension pg_cron" to load this file. \quit

create schema cron;
create sequence cron.jobid_seq;
create sequence cron.runid_seq;

create table cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport int not null default coalesce(inet_server_port(), 5432),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);
alter table cron.job enable row level security;
create policy cron_job_policy on cron.job using (username = current_user);

create table cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);
alter table cron.job_run_details enable row level security;
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

create function cron._field_is_valid(field text, low int, high int) returns bool
language plpgsql immutable set standard_conforming_strings = on as $$
declare
  item text;
  bounds text[];
begin
  foreach item in array string_to_array(field, ',') loop
    bounds := regexp_match(item, '^(?:(\d{1,2})|(?:\*|(\d{1,2})-(\d{1,2}))(?:/(\d{1,2}))?)$');
    if bounds is null
      or bounds[1]::int not between low and high
      or bounds[2]::int not between low and bounds[3]::int
      or bounds[3]::int > high
      or bounds[4]::int = 0
    then
      return false;
    end if;
  end loop;
  return field <> '';
end
$$;

create function cron._number_names(field text, names text[], low int) returns text
language plpgsql immutable set standard_conforming_strings = on as $$
begin
  for position in 1 .. cardinality(names) loop
    field := regexp_replace(field, '\m' || names[position] || '\M', (low + position - 1)::text, 'gi');
  end loop;
  return field;
end
$$;

create function cron._require_schedule(schedule text) returns void
language plpgsql immutable set standard_conforming_strings = on as $$
declare
  fields text[] := regexp_split_to_array(trim(schedule, E' \t'), '\s+');
  seconds int := substring(lower(schedule) from '^\s*(\d{1,9})\s+seconds?\s*$');
begin
  if seconds between 1 and 59 then
    return;
  end if;
  if cardinality(fields) = 5
    and cron._field_is_valid(fields[1], 0, 59)
    and cron._field_is_valid(fields[2], 0, 23)
    and cron._field_is_valid(fields[3], 1, 31)
    and cron._field_is_valid(
      cron._number_names(fields[4], '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}', 1), 1, 12
    )
    and cron._field_is_valid(cron._number_names(fields[5], '{sun,mon,tue,wed,thu,fri,sat}', 0), 0, 7)
  then
    return;
  end if;
  raise exception using
    errcode = '22023',
    message = format('invalid schedule: %s', schedule),
    hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''';
end
$$;

create function cron._require_superuser_for(username text) returns void
language plpgsql as $$
begin
  if username is not null and not (select role.rolsuper from pg_roles as role where role.rolname = current_user) then
    raise exception 'must be superuser to create or alter a job for another role';
  end if;
end
$$;

-- The public functions run as their caller, so that current_user is the job's owner; the tables, which the caller may
-- not write, are written by the helpers, which believe what they are told. C code needs no such detour.
create function cron._save_job(
  job_name text, schedule text, command text, database text, username text, active boolean
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  saved bigint;
begin
  perform cron._require_schedule(schedule);
  insert into cron.job as job (jobname, schedule, command, database, username, active)
  values (job_name, schedule, command, coalesce(database, current_database()), username, active)
  on conflict on constraint jobname_username_uniq do update set
    schedule = excluded.schedule, command = excluded.command, database = excluded.database
  returning job.jobid into saved;
  return saved;
end
$$;

create function cron.schedule(schedule text, command text) returns bigint
language sql strict as $$
  select cron._save_job(null, schedule, command, null, current_user, true)
$$;
comment on function cron.schedule(text, text) is 'schedules a job without a name';

create function cron.schedule(job_name text, schedule text, command text) returns bigint
language plpgsql as $$
begin
  if job_name is null or schedule is null or command is null then
    raise exception 'job_name, schedule and command can not be NULL';
  end if;
  return cron._save_job(job_name, schedule, command, null, current_user, true);
end
$$;
comment on function cron.schedule(text, text, text) is 'schedules a job, or replaces the job of that name and user';

create function cron.schedule_in_database(
  job_name text,
  schedule text,
  command text,
  database text,
  username text default null,
  active boolean default true
) returns bigint
language plpgsql as $$
begin
  perform cron._require_superuser_for(username);
  return cron._save_job(job_name, schedule, command, database, coalesce(username, current_user), active);
end
$$;
comment on function cron.schedule_in_database(text, text, text, text, text, boolean)
  is 'schedules a job in another database; a superuser also as another role';

create function cron._may_change(owner text, caller text) returns bool
language sql stable as $$
  select owner = caller or (select role.rolsuper from pg_catalog.pg_roles as role where role.rolname = caller)
$$;

create function cron._delete_job(job_id bigint, job_name text, caller text) returns bool
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from cron.job as job
  where (job.jobid = job_id and cron._may_change(job.username, caller))
    or (job.jobname = job_name and job.username = caller);
  if not found then
    raise exception 'could not find valid entry for job %', coalesce(job_id::text, quote_literal(job_name));
  end if;
  return true;
end
$$;

create function cron.unschedule(job_id bigint) returns bool
language sql strict as $$
  select cron._delete_job(job_id, null, current_user)
$$;
comment on function cron.unschedule(bigint) is 'removes a job';

create function cron.unschedule(job_name text) returns bool
language sql strict as $$
  select cron._delete_job(null, job_name, current_user)
$$;
comment on function cron.unschedule(text) is 'removes the caller''s job of that name';

create function cron._update_job(
  job_id bigint, schedule text, command text, database text, username text, active boolean, caller text
) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  if num_nonnulls(schedule, command, database, username, active) = 0 then
    raise exception 'no updates specified'
      using hint = 'You must specify at least one job attribute to change when calling alter_job';
  end if;
  if schedule is not null then
    perform cron._require_schedule(schedule);
  end if;
  update cron.job as job set
    schedule = coalesce(schedule, job.schedule),
    command = coalesce(command, job.command),
    database = coalesce(database, job.database),
    username = coalesce(username, job.username),
    active = coalesce(active, job.active)
  where job.jobid = job_id and cron._may_change(job.username, caller);
  if not found then
    raise exception 'Job % does not exist or you don''t own it', job_id;
  end if;
end
$$;

create function cron.alter_job(
  job_id bigint,
  schedule text default null,
  command text default null,
  database text default null,
  username text default null,
  active boolean default null
) returns void
language plpgsql as $$
begin
  perform cron._require_superuser_for(username);
  perform cron._update_job(job_id, schedule, command, database, username, active, current_user);
end
$$;
comment on function cron.alter_job(bigint, text, text, text, text, boolean)
  is 'changes a job; what is null stays as it is';

select pg_extension_config_dump('cron.job', '');
select pg_extension_config_dump('cron.jobid_seq', '');
select pg_extension_config_dump('cron.job_run_details', '');
select pg_extension_config_dump('cron.runid_seq', '');

grant select on cron.job to public;
grant select, delete on cron.job_run_details to public;
grant select on all sequences in schema cron to public;
revoke all on function cron.alter_job(bigint, text, text, text, text, boolean) from public;
revoke all on function cron.schedule_in_database(text, text, text, text, text, boolean) from public;

grant usage on schema cron to postgres with grant option;
grant all on all functions in schema cron to postgres with grant option;
grant select on cron.job to postgres with grant option;
grant select, insert, update, delete on cron.job_run_details to postgres with grant option;
