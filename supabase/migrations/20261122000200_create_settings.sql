-- Purpose: the private schema of the outbox, its settings, and the signs of life of its scheduled work.
-- Locks:   none on existing tables.
-- Undo:    drop schema pause_status cascade;

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create schema if not exists pause_status;
revoke all on schema pause_status from public, anon, authenticated, service_role;
comment on schema pause_status is
  'The outbox of mentor transitions. Private: other roles reach it only through the functions public.pause_status_*.';

create table if not exists pause_status.settings (
  singleton boolean not null default true,
  lease_seconds integer not null default 30,
  acknowledge_timeout_seconds integer not null default 15,
  max_attempts integer not null default 10,
  retry_for_seconds integer not null default 86400,
  hold_up_seconds integer not null default 14400,
  retry_base_seconds integer not null default 2,
  retry_cap_seconds integer not null default 300,
  request_timeout_ms integer not null default 5000,
  events_per_request integer not null default 100,
  sweep_batch_size integer not null default 1000,
  reconcile_batch_size integer not null default 500,
  retention_days integer not null default 30,
  retention_batch_size integer not null default 5000,
  alert_unnotified_seconds integer not null default 300,
  alert_dead_letters integer not null default 1,
  alert_failure_percent integer not null default 50,
  alert_failure_least_attempts integer not null default 10,
  alert_expired_leases integer not null default 1,
  alert_unauthorized integer not null default 1,
  alert_sweep_silent_seconds integer not null default 180,
  fed_by text not null default 'outbox',
  constraint settings_pkey primary key (singleton),
  constraint settings_is_one_row check (singleton),
  constraint settings_lease_is_1_to_60_seconds check (lease_seconds between 1 and 60),
  constraint settings_acknowledge_timeout_is_1_to_3600_seconds check (acknowledge_timeout_seconds between 1 and 3600),
  constraint settings_max_attempts_is_1_to_100 check (max_attempts between 1 and 100),
  constraint settings_retry_for_is_at_most_30_days check (retry_for_seconds between 0 and 2592000),
  constraint settings_hold_up_is_at_most_30_days check (hold_up_seconds between 0 and 2592000),
  constraint settings_retry_base_is_1_to_3600_seconds check (retry_base_seconds between 1 and 3600),
  constraint settings_retry_cap_is_at_least_the_base check (retry_cap_seconds between retry_base_seconds and 86400),
  constraint settings_request_timeout_is_100_to_60000_ms check (request_timeout_ms between 100 and 60000),
  constraint settings_request_holds_1_to_200_events check (events_per_request between 1 and 200),
  constraint settings_sweep_batch_is_1_to_5000_events check (sweep_batch_size between 1 and 5000),
  constraint settings_reconcile_batch_is_1_to_5000_mentors check (reconcile_batch_size between 1 and 5000),
  constraint settings_retention_is_1_to_3650_days check (retention_days between 1 and 3650),
  constraint settings_retention_batch_is_1_to_100000_rows check (retention_batch_size between 1 and 100000),
  constraint settings_alert_failure_is_1_to_100_percent check (alert_failure_percent between 1 and 100),
  constraint settings_fed_by_is_known check (fed_by in ('outbox', 'webhook')),
  constraint settings_alerts_start_at_one check (
    least(
      alert_unnotified_seconds, alert_dead_letters, alert_failure_least_attempts, alert_expired_leases,
      alert_unauthorized, alert_sweep_silent_seconds
    ) >= 1
  )
);
comment on table pause_status.settings is 'The one row of settings; change it with update, it takes effect at once.';
comment on column pause_status.settings.singleton is 'Always true: as the primary key it keeps this a single row.';
comment on column pause_status.settings.lease_seconds is
  'Seconds a claim is held. A handler that died is replaced after this long.';
comment on column pause_status.settings.acknowledge_timeout_seconds is
  'Seconds after a dispatch until the sweep takes an unclaimed event for unacknowledged.';
comment on column pause_status.settings.max_attempts is
  'Failures after which an event becomes a dead letter, if others were completed meanwhile; a redrive gives it as many '
  'again. If none was, it is no failure of this event, and the next two settings decide.';
comment on column pause_status.settings.retry_for_seconds is
  'Seconds that an event is tried again, from its first failure on, while no other is completed either. 0: only '
  'max_attempts counts.';
comment on column pause_status.settings.hold_up_seconds is
  'The same once a later event of the mentor waits behind it: seconds that it may be held up.';
comment on column pause_status.settings.retry_base_seconds is
  'Seconds before the first retry; doubled by each failure.';
comment on column pause_status.settings.retry_cap_seconds is
  'Seconds that no retry waits longer than, whatever Retry-After asks for, until max_attempts is used up.';
comment on column pause_status.settings.request_timeout_ms is
  'Milliseconds pg_net waits for the handler. pg_net starts no other request before the slowest of a batch has ended.';
comment on column pause_status.settings.events_per_request is
  'Events that travel together in one signed request at most; fewer after each error, so that a bad one is found.';
comment on column pause_status.settings.sweep_batch_size is 'Events that one sweep sends at most.';
comment on column pause_status.settings.reconcile_batch_size is 'Mentors that one reconciliation enqueues at most.';
comment on column pause_status.settings.retention_days is
  'Days that completed events, resolved dead letters, attempts, receipts and closed alerts are kept.';
comment on column pause_status.settings.retention_batch_size is
  'Rows of a table that one run of retention deletes at most.';
comment on column pause_status.settings.alert_unnotified_seconds is
  'Alert oldest_unnotified: seconds that the oldest unsettled event has been waiting.';
comment on column pause_status.settings.alert_dead_letters is
  'Alert dead_letters: open dead letters that raise it. It lasts until the last one is redriven or resolved.';
comment on column pause_status.settings.alert_failure_percent is
  'Alert failure_rate: percent of the attempts of the last 15 minutes that failed.';
comment on column pause_status.settings.alert_failure_least_attempts is
  'Attempts in the last 15 minutes below which the failure rate says nothing.';
comment on column pause_status.settings.alert_expired_leases is
  'Alert stuck_leases: leases that ran out over a minute ago and were not taken back by the sweep.';
comment on column pause_status.settings.alert_unauthorized is
  'Alert unauthorized: deliveries of the last 15 minutes that the handler answered with 401.';
comment on column pause_status.settings.alert_sweep_silent_seconds is
  'Alert sweep_silent: seconds since the last sweep.';
comment on column pause_status.settings.fed_by is
  'outbox: changes are captured by our triggers; webhook: only stock database webhooks report them, so nothing is '
  'captured or reconciled. Change it with pause_status.feed_by().';

create table if not exists pause_status.heartbeats (
  job text,
  last_at timestamptz not null default clock_timestamp(),
  failed_at timestamptz,
  last_error text,
  constraint heartbeats_pkey primary key (job),
  constraint heartbeats_failure_has_error check ((failed_at is null) = (last_error is null))
)
-- Few rows, written every few seconds: room for their next versions keeps the table one page.
with (fillfactor = 50);
comment on table pause_status.heartbeats is 'When each scheduled job last ran to its end, and the last error it met.';
comment on column pause_status.heartbeats.failed_at is
  'When last_error was met. A later last_at means that the job has run without an error since.';

-- What is there once the migrations have run, a data-only restore brings again.
create or replace function pause_status.replace_row()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name = 'settings' then
    delete from pause_status.settings s where s.singleton = new.singleton;
  elsif tg_table_name = 'heartbeats' then
    delete from pause_status.heartbeats h where h.job = new.job;
  else
    delete from pause_status.alerts a where a.kind = new.kind and a.closed_at is null;
  end if;
  return new;
end
$$;
comment on function pause_status.replace_row() is 'Lets an inserted row take the place of the one with its key.';

create or replace trigger settings_replace_row
  before insert on pause_status.settings
  for each row
  execute function pause_status.replace_row();
create or replace trigger heartbeats_replace_row
  before insert on pause_status.heartbeats
  for each row
  execute function pause_status.replace_row();
-- Also for session_replication_role = replica: what "supabase db dump --data-only" writes begins with it.
alter table pause_status.settings enable always trigger settings_replace_row;
alter table pause_status.heartbeats enable always trigger heartbeats_replace_row;

insert into pause_status.settings (singleton)
select true
where not exists (select from pause_status.settings);

insert into pause_status.heartbeats (job)
select 'sweep'
where not exists (select from pause_status.heartbeats h where h.job = 'sweep');

create or replace function pause_status.beat(job text, error text default null)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Skips a row that another run of the job is writing.
  perform from pause_status.heartbeats h where h.job = beat.job for update skip locked;
  if found then
    update pause_status.heartbeats h
    set
      last_at = clock_timestamp(),
      failed_at = case when error is null then h.failed_at else clock_timestamp() end,
      last_error = coalesce(left(error, 512), h.last_error)
    where h.job = beat.job;
  elsif not exists (select from pause_status.heartbeats h where h.job = beat.job) then
    insert into pause_status.heartbeats (job, failed_at, last_error)
    values (beat.job, case when error is not null then clock_timestamp() end, left(error, 512));
  end if;
exception when unique_violation then
  -- Its first run, twice at once.
  null;
end
$$;
comment on function pause_status.beat(text, text) is
  'Notes that a job has run to its end, and the first error of a part that it went on without.';

create or replace function pause_status.attempt(command text, out problem text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  execute command;
exception when others then
  raise warning '%: %', command, sqlerrm;
  problem := command || ': ' || sqlerrm;
end
$$;
comment on function pause_status.attempt(text) is
  'Runs one part of a job. When it fails, nothing of it is left and the job goes on; returns the error, or null.';

alter table pause_status.settings enable row level security;
alter table pause_status.heartbeats enable row level security;
revoke all on all tables in schema pause_status from public, anon, authenticated, service_role;
revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
