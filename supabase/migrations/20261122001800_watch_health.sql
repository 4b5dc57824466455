-- Purpose: the watchdog, outside of the handler: how things stand, and an alert for each threshold that is passed.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('pause-status-watch'); drop function pause_status.watch(); drop view
--          pause_status.health; drop table pause_status.alerts.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create table if not exists pause_status.alerts (
  id bigint generated always as identity,
  kind text not null,
  opened_at timestamptz not null default clock_timestamp(),
  closed_at timestamptz,
  value numeric not null,
  threshold numeric not null,
  detail text not null,
  constraint alerts_pkey primary key (id),
  constraint alerts_kind_is_known check (
    kind in ('oldest_unnotified', 'dead_letters', 'failure_rate', 'stuck_leases', 'unauthorized', 'sweep_silent')
  ),
  constraint alerts_close_after_they_open check (closed_at >= opened_at)
);
create unique index if not exists alerts_one_open_per_kind_idx on pause_status.alerts (kind) where closed_at is null;
alter table pause_status.alerts enable row level security;
comment on table pause_status.alerts is 'One row from the moment a threshold is passed until it no longer is.';
comment on column pause_status.alerts.value is 'The last value while it was open.';
comment on column pause_status.alerts.detail is 'What to do about it.';

create or replace view pause_status.health
with (security_invoker = true)
as
select
  coalesce(ceil(extract(epoch from clock_timestamp() - queue.oldest)), 0)::integer as oldest_unnotified_seconds,
  queue.pending,
  queue.processing,
  (select count(*) from pause_status.webhook_queue q where q.dead_letter_id is not null) as failed,
  (select count(*) from pause_status.dead_letter_queue d where d.resolution is null) as dead_letters_open,
  (
    select count(*)
    from pause_status.dead_letter_queue d
    where d.resolution is null and d.created_at > clock_timestamp() - interval '1 hour'
  ) as dead_letters_last_hour,
  recent.attempts as attempts_last_15_min,
  coalesce(round(100.0 * recent.failures / nullif(recent.attempts, 0), 1), 0) as failure_rate_last_15_min,
  recent.unauthorized as unauthorized_last_15_min,
  queue.expired_leases,
  heartbeat.last_at as last_sweep_at,
  (select count(*) from pause_status.alerts a where a.closed_at is null) as alerts_open
from (
  select
    -- What somebody else sends waits for them, not for us.
    min(q.created_at) filter (where q.source = 'outbox' or q.next_attempt_at is not null) as oldest,
    count(*) filter (where q.status = 'pending') as pending,
    count(*) filter (where q.status = 'processing') as processing,
    count(*) filter (where q.lease_expires_at < clock_timestamp() - interval '1 minute') as expired_leases
  from pause_status.webhook_queue q
  where q.status in ('pending', 'processing')
) as queue
cross join (
  select
    count(*) as attempts,
    count(*) filter (where a.outcome <> 'completed') as failures,
    count(*) filter (where a.http_status = 401 and a.claim_token is null) as unauthorized
  from pause_status.webhook_attempts a
  where a.ended_at > clock_timestamp() - interval '15 minutes'
) as recent
left join pause_status.heartbeats heartbeat on heartbeat.job = 'sweep';
comment on view pause_status.health is
  'How things stand, in one row: ages in seconds, failure_rate_last_15_min in percent of the attempts that ended.';

create or replace function pause_status.watch()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  opened integer;
begin
  with measured as materialized (
    select m.kind, m.value, m.threshold, m.value >= m.threshold and m.counts as passed, m.detail
    from pause_status.health h
    cross join pause_status.settings s
    cross join lateral (
      values
        (
          'oldest_unnotified', h.oldest_unnotified_seconds::numeric, s.alert_unnotified_seconds, true,
          'seconds that the oldest unsettled event has been waiting: read last_error in pause_status.webhook_queue'
        ),
        (
          'dead_letters', h.dead_letters_last_hour, s.alert_dead_letters_per_hour, true,
          'new dead letters: read pause_status.dead_letter_queue, then redrive or resolve each'
        ),
        (
          'failure_rate', h.failure_rate_last_15_min, s.alert_failure_percent,
          h.attempts_last_15_min >= s.alert_failure_least_attempts,
          'percent of attempts failed: read the latest errors in pause_status.webhook_attempts'
        ),
        (
          'stuck_leases', h.expired_leases, s.alert_expired_leases, true,
          'expired leases that no sweep took back: look for the job pause-status-sweep in cron.job_run_details'
        ),
        (
          'unauthorized', h.unauthorized_last_15_min, s.alert_unauthorized, true,
          'deliveries refused with 401: WEBHOOK_SECRETS of the handler and pause_status_webhook_secret in Vault differ'
        ),
        (
          'sweep_silent', coalesce(ceil(extract(epoch from clock_timestamp() - h.last_sweep_at)), 2147483647),
          s.alert_sweep_silent_seconds, true,
          'seconds since the last sweep: look for the job pause-status-sweep in cron.job and cron.job_run_details'
        )
    ) as m (kind, value, threshold, counts, detail)
  ), closed as (
    update pause_status.alerts a
    set closed_at = greatest(clock_timestamp(), a.opened_at)
    from measured m
    where a.kind = m.kind and a.closed_at is null and not m.passed
  ), open as (
    insert into pause_status.alerts as a (kind, value, threshold, detail)
    select m.kind, m.value, m.threshold, m.detail
    from measured m
    where m.passed
    on conflict (kind) where closed_at is null do update
    set value = excluded.value, threshold = excluded.threshold, detail = excluded.detail
    returning 1
  )
  select count(*) into opened from open;
  return opened;
end
$$;
comment on function pause_status.watch() is
  'Opens, updates and closes alerts by the thresholds of the settings; returns how many are open.';

revoke all on table pause_status.alerts, pause_status.health from public, anon, authenticated, service_role;
revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-watch', '* * * * *', 'select pause_status.watch()');

notify pgrst, 'reload schema';
