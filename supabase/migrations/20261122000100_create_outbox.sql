-- Purpose: the private schema of the outbox, its settings, the heartbeats of its jobs, and small helpers.

-- Checked first, because half an installation would capture changes and send nothing.
do $$
begin
  if current_setting('server_version_num')::integer < 150000 then
    raise exception 'PostgreSQL 15 or later is needed, but this is PostgreSQL %', current_setting('server_version')
      using errcode = 'feature_not_supported',
      hint = 'Nothing has been installed. Upgrade the database, then apply the migrations.';
  end if;
end
$$;

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create extension if not exists pg_cron with schema pg_catalog;
create schema if not exists extensions;
create schema if not exists vault;
create extension if not exists pgcrypto with schema extensions;
create extension if not exists pg_net with schema extensions;
create extension if not exists supabase_vault with schema vault;

do $$
begin
  if to_regprocedure('extensions.hmac(bytea,bytea,text)') is null then
    raise exception 'pgcrypto must be in the schema extensions, but it is somewhere else'
      using errcode = 'undefined_function', hint = 'Run: alter extension pgcrypto set schema extensions';
  end if;
end
$$;

create schema if not exists outbox;
revoke all on schema outbox from public, anon, authenticated, service_role;
comment on schema outbox is 'The outbox. Private: other roles use it only through the functions public.outbox_*.';

create table if not exists outbox.settings (
  singleton boolean not null default true
    constraint settings_pkey primary key constraint settings_is_one_row check (singleton),
  lease_seconds integer not null default 30
    constraint settings_lease_is_1_to_60_seconds check (lease_seconds between 1 and 60),
  acknowledge_timeout_seconds integer not null default 15
    constraint settings_acknowledge_timeout_is_1_to_3600_seconds check (acknowledge_timeout_seconds between 1 and 3600),
  max_attempts integer not null default 10
    constraint settings_max_attempts_is_1_to_100 check (max_attempts between 1 and 100),
  retry_for_seconds integer not null default 86400
    constraint settings_retry_for_is_at_most_30_days check (retry_for_seconds between 0 and 2592000),
  hold_up_seconds integer not null default 14400
    constraint settings_hold_up_is_at_most_30_days check (hold_up_seconds between 0 and 2592000),
  retry_base_seconds integer not null default 2
    constraint settings_retry_base_is_1_to_3600_seconds check (retry_base_seconds between 1 and 3600),
  retry_cap_seconds integer not null default 300
    constraint settings_retry_cap_is_at_least_the_base check (retry_cap_seconds between retry_base_seconds and 86400),
  request_timeout_ms integer not null default 5000
    constraint settings_request_timeout_is_100_to_60000_ms check (request_timeout_ms between 100 and 60000),
  events_per_request integer not null default 100
    constraint settings_request_holds_1_to_200_events check (events_per_request between 1 and 200),
  sweep_batch_size integer not null default 1000
    constraint settings_sweep_batch_is_1_to_5000_events check (sweep_batch_size between 1 and 5000),
  reconcile_batch_size integer not null default 500
    constraint settings_reconcile_batch_is_1_to_5000_keys check (reconcile_batch_size between 1 and 5000),
  retention_days integer not null default 30
    constraint settings_retention_is_1_to_3650_days check (retention_days between 1 and 3650),
  retention_batch_size integer not null default 5000
    constraint settings_retention_batch_is_1_to_100000_rows check (retention_batch_size between 1 and 100000),
  alert_unnotified_seconds integer not null default 300,
  alert_dead_letters integer not null default 1,
  alert_failure_percent integer not null default 50
    constraint settings_alert_failure_is_1_to_100_percent check (alert_failure_percent between 1 and 100),
  alert_failure_least_attempts integer not null default 10,
  alert_expired_leases integer not null default 1,
  alert_unauthorized integer not null default 1,
  alert_sweep_silent_seconds integer not null default 180,
  constraint settings_alerts_start_at_one check (
    least(
      alert_unnotified_seconds, alert_dead_letters, alert_failure_least_attempts, alert_expired_leases,
      alert_unauthorized, alert_sweep_silent_seconds
    ) >= 1
  )
);
comment on table outbox.settings is 'The one row of settings. Change it with update; it takes effect at once.';
comment on column outbox.settings.lease_seconds is 'Seconds that a claim lasts. Then another delivery may claim.';
comment on column outbox.settings.acknowledge_timeout_seconds is 'Seconds that a dispatched event may stay unclaimed.';
comment on column outbox.settings.max_attempts is 'Failures after which an event is given up, if others complete.';
comment on column outbox.settings.retry_for_seconds is 'Seconds that an event is retried while no other is completed.';
comment on column outbox.settings.hold_up_seconds is 'Seconds that a failing event may delay the next of its key.';
comment on column outbox.settings.retry_base_seconds is 'Seconds before the first retry; doubled by each failure.';
comment on column outbox.settings.retry_cap_seconds is 'The longest wait before a retry, even with Retry-After.';
comment on column outbox.settings.request_timeout_ms is 'Milliseconds that pg_net waits for the handler.';
comment on column outbox.settings.events_per_request is 'The most events in a request; fewer after an error.';
comment on column outbox.settings.sweep_batch_size is 'The most events that one sweep sends.';
comment on column outbox.settings.reconcile_batch_size is 'The most keys that one reconciliation queues.';
comment on column outbox.settings.retention_days is 'Days that settled events and closed rows are kept.';
comment on column outbox.settings.alert_unnotified_seconds is 'Alert oldest_unnotified: age of the oldest event.';
comment on column outbox.settings.alert_dead_letters is 'Alert dead_letters: how many are open.';
comment on column outbox.settings.alert_failure_percent is 'Alert failure_rate: percent of the last 15 minutes.';
comment on column outbox.settings.alert_failure_least_attempts is 'Alert failure_rate: needs as many attempts.';
comment on column outbox.settings.alert_expired_leases is 'Alert stuck_leases: expired leases not taken back.';
comment on column outbox.settings.alert_unauthorized is 'Alert unauthorized: replies 401 in the last 15 minutes.';
comment on column outbox.settings.alert_sweep_silent_seconds is 'Alert sweep_silent: seconds since the last sweep.';

create table if not exists outbox.heartbeats (
  job text constraint heartbeats_pkey primary key,
  last_at timestamptz not null default clock_timestamp(),
  failed_at timestamptz,
  last_error text,
  constraint heartbeats_failure_has_error check ((failed_at is null) = (last_error is null))
) with (fillfactor = 50);
comment on table outbox.heartbeats is 'When each job last finished, and its last error.';

-- A data-only restore inserts rows that the migrations have already inserted.
create or replace function outbox.replace_row() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  case tg_table_name
    when 'settings' then delete from outbox.settings s where s.singleton = new.singleton;
    when 'heartbeats' then delete from outbox.heartbeats h where h.job = new.job;
    when 'topics' then delete from outbox.topics t where t.topic = new.topic;
    when 'alerts' then delete from outbox.alerts a where a.kind = new.kind and a.closed_at is null;
  end case;
  return new;
end
$$;
comment on function outbox.replace_row() is 'Makes an inserted row replace the one with the same key.';

create or replace trigger settings_replace_row before insert on outbox.settings
  for each row execute function outbox.replace_row();
create or replace trigger heartbeats_replace_row before insert on outbox.heartbeats
  for each row execute function outbox.replace_row();
-- "supabase db dump --data-only" starts with session_replication_role = replica, which skips ordinary triggers.
alter table outbox.settings enable always trigger settings_replace_row;
alter table outbox.heartbeats enable always trigger heartbeats_replace_row;

insert into outbox.settings (singleton) select true where not exists (select from outbox.settings);
-- So that a job that never runs counts as silent from now on.
insert into outbox.heartbeats (job)
select wanted.job
from unnest(array['sweep', 'direct', 'watch', 'reconcile', 'retention']) as wanted (job)
where not exists (select from outbox.heartbeats h where h.job = wanted.job);

create or replace function outbox.beat(job text, error text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into outbox.heartbeats (job)
  select beat.job where not exists (select from outbox.heartbeats h where h.job = beat.job);

  -- Skips a row that another run of the job is writing.
  update outbox.heartbeats h
  set
    last_at = clock_timestamp(),
    failed_at = case when error is null then h.failed_at else clock_timestamp() end,
    last_error = coalesce(left(error, 512), h.last_error)
  where h.job = (select o.job from outbox.heartbeats o where o.job = beat.job for update skip locked);
exception when unique_violation then
  null;
end
$$;
comment on function outbox.beat(text, text) is 'Records that a job has finished, and its first error.';

create or replace function outbox.attempt(command text, out problem text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute command;
exception when others then
  raise warning '%: %', command, sqlerrm;
  problem := command || ': ' || sqlerrm;
end
$$;
comment on function outbox.attempt(text) is 'Runs one part of a job. Returns its error or null, so that the job goes on.';

-- In plpgsql, like all small functions here: a SQL function that sets its search_path is planned at every call.
create or replace function outbox.iso(moment timestamptz) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
end
$$;
comment on function outbox.iso(timestamptz) is 'ISO 8601 in UTC with microseconds, whatever the session''s settings.';

create or replace function outbox.shorten(message text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case when octet_length(message) <= 2048 then message else left(message, 512) end;
end
$$;
comment on function outbox.shorten(text) is 'Shortens a message to fit last_error: 512 characters are at most 2 KB.';

create or replace function outbox.seconds_until(moment timestamptz) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return least(60, greatest(1, ceil(extract(epoch from moment - clock_timestamp()))));
end
$$;
comment on function outbox.seconds_until(timestamptz) is 'Whole seconds, from 1 to 60 even if the clock was set back.';

-- By hand, because PostgreSQL 15 has no pg_input_is_valid().
create or replace function outbox.is_uuid(value text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(value ~* '^([0-9a-f]{4}-?){7}[0-9a-f]{4}$|^[{]([0-9a-f]{4}-?){7}[0-9a-f]{4}[}]$', false);
end
$$;
comment on function outbox.is_uuid(text) is 'Whether the text can be cast to uuid.';

-- json, not jsonb, so that problems are listed in the order of the shape's fields.
create or replace function outbox.shape_problem(value jsonb, shape json) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  problems text := case when jsonb_typeof(value) is distinct from 'object' then 'it must be a JSON object' end;
  field record;
  type text;
  part text;
  allowed text[];
  wanted text;
begin
  for field in select f.key as name, f.value as word from json_each(shape) f loop
    type := coalesce(jsonb_typeof(value -> field.name), 'null');
    part := value ->> field.name;
    if json_typeof(field.word) = 'object' then
      allowed := array(select json_array_elements_text(field.word -> 'enum'));
      wanted := case when type <> 'string' or part <> all(allowed)
        then array_to_string(trim_array(allowed, 1), ', ') || ' or ' || allowed[cardinality(allowed)] end;
    else
      wanted := case field.word #>> '{}'
        when 'uuid' then case when type <> 'string' or not outbox.is_uuid(part) then 'a uuid' end
        when 'text' then case when type <> 'string' or length(part) not between 1 and 500 then 'a non-empty string' end
        when 'string' then case when type <> 'string' then 'a string' end
        when 'object' then case when type <> 'object' then 'a JSON object' end
        when 'object?' then case when type not in ('object', 'null') then 'a JSON object or null' end
        when 'array' then case when type <> 'array' then 'a JSON array' end
        when 'boolean?' then case when type not in ('boolean', 'null') then 'true or false' end
        when 'token' then case when type <> 'number' or part !~ '^[0-9]{1,18}$' then 'a whole number' end
        when 'version?' then case when type not in ('number', 'null') or part !~ '^[1-9][0-9]{0,17}$'
          then 'a whole number from 1' end
        when 'number?' then case when type not in ('number', 'null') or part like '-%' then 'a number from 0' end
        when 'status?' then case when type not in ('number', 'null') or part !~ '^[1-9][0-9]{2}$'
          then 'a whole number of HTTP' end
        else 'something that shape_problem() knows'
      end;
    end if;
    if wanted is not null then
      problems := concat_ws('; ', problems, field.name || ' must be ' || wanted);
    end if;
  end loop;
  return problems;
end
$$;
comment on function outbox.shape_problem(jsonb, json) is
  'Everything wrong with the fields of a JSON object, or null. The shape has a word for each field, or {"enum": [..]}.';

create or replace function outbox.parse_timestamp(value text) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
begin
  -- The pattern excludes words such as now and infinity.
  if value ~ '^[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}' then
    return value::timestamptz;
  end if;
  return null;
exception when data_exception then
  return null;
end
$$;
comment on function outbox.parse_timestamp(text) is 'The point in time, in UTC if it has no offset; null if it is none.';

create or replace function outbox.require_array(elements jsonb, name text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  if jsonb_typeof(elements) is distinct from 'array' then
    raise exception '% must be a JSON array, but it is %', name, coalesce(jsonb_typeof(elements), 'null')
      using errcode = 'invalid_parameter_value';
  elsif jsonb_array_length(elements) > 5000 then
    raise exception '% must hold at most 5000 elements, but it holds %', name, jsonb_array_length(elements)
      using errcode = 'invalid_parameter_value';
  end if;
end
$$;
comment on function outbox.require_array(jsonb, text) is 'Refuses anything but an array that is short enough to lock.';

alter table outbox.settings enable row level security;
alter table outbox.heartbeats enable row level security;
