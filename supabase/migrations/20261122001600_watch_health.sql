-- Purpose: the watchdog, outside of the handler: how things stand, and an alert for each thing that is wrong.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Dropped first, because replacing a view can only add columns to it.
drop view if exists outbox.health, outbox.latest_attempts;

create view outbox.latest_attempts with (security_invoker = true) as
select a.*
from outbox.attempts a
-- What is later was written before the clock was set back.
where a.ended_at < statement_timestamp() + interval '1 minute'
order by a.ended_at desc
limit 1000;
comment on view outbox.latest_attempts is 'The last 1,000 attempts that ended.';

-- Each column by itself, so that reading one costs nothing for the others. No count goes beyond 10,000, so that the
-- view costs the same in an outage, when it is read most.
create view outbox.health with (security_invoker = true) as
select
  (
    -- What somebody else sends waits for them, not for us.
    select coalesce(greatest(ceil(extract(epoch from clock_timestamp() - min(q.created_at))), 0), 0)::integer
    from outbox.events q
    where q.status in ('pending', 'processing') and (q.source = 'outbox' or q.last_dispatched_at is not null)
  ) as oldest_unnotified_seconds,
  (select count(*) from (select from outbox.events q where q.status = 'pending' limit 10000) c) as pending,
  (select count(*) from (select from outbox.events q where q.status = 'processing' limit 10000) c) as processing,
  (select count(*) from (select from outbox.events q where q.dead_letter_id is not null limit 10000) c) as failed,
  (
    select count(*) from (select from outbox.dead_letters d where d.resolution is null limit 10000) c
  ) as dead_letters_open,
  (
    select count(*)
    from (
      select
      from outbox.events q
      where q.status = 'completed' and q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged'
      limit 10000
    ) c
  ) as without_recipients,
  (
    select count(*) from outbox.latest_attempts a where a.ended_at > statement_timestamp() - interval '15 minutes'
  ) as attempts_last_15_min,
  (
    select coalesce(round(100.0 * count(*) filter (where a.outcome <> 'completed') / nullif(count(*), 0), 1), 0)
    from outbox.latest_attempts a
    where a.ended_at > statement_timestamp() - interval '15 minutes'
  ) as failure_rate_last_15_min,
  (
    select count(*)
    from (
      select
      from outbox.attempts a
      where a.http_status = 401
        and a.claim_token is null
        and a.ended_at > statement_timestamp() - interval '15 minutes'
        and strpos(a.error, 'stale_signature') = 0
      limit 10000
    ) c
  ) as unauthorized_last_15_min,
  (
    select count(*)
    from (
      select
      from outbox.events q
      where q.status = 'processing' and q.lease_expires_at < statement_timestamp() - interval '1 minute'
      limit 10000
    ) c
  ) as expired_leases,
  (select h.last_at from outbox.heartbeats h where h.job = 'sweep') as last_sweep_at,
  (select count(*) from outbox.alerts a where a.closed_at is null) as alerts_open;
comment on view outbox.health is
  'How things stand, in one row: ages in seconds, the failure rate in percent. Counts end at 10,000, attempts at 1,000.';

create or replace function outbox.is_authorized_again() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  last_refused_at timestamptz;
begin
  select max(a.ended_at) into last_refused_at
  from outbox.attempts a
  where a.http_status = 401
    and a.claim_token is null
    and a.ended_at < statement_timestamp() + interval '1 minute'
    and strpos(a.error, 'stale_signature') = 0;
  return last_refused_at is null or exists (
    select from outbox.latest_attempts a where a.claim_token is not null and a.ended_at > last_refused_at
  );
end
$$;
comment on function outbox.is_authorized_again() is 'Whether a delivery was claimed after the last 401 for its secret.';

create or replace function outbox.measure_jobs(
  kind text, out value numeric, out threshold numeric, out detail text, out is_over boolean
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  seconds_unseen numeric := (
    -- abs(): the clock may have been set back.
    select abs(extract(epoch from clock_timestamp() - a.last_seen_at))
    from outbox.alerts a
    where a.kind = measure_jobs.kind and a.closed_at is null
  );
begin
  threshold := 1;
  is_over := true;
  case kind
    when 'sweep_silent' then
      threshold := (select s.alert_sweep_silent_seconds from outbox.settings s);
      select coalesce(abs(ceil(extract(epoch from clock_timestamp() - h.last_sweep_at))), 2147483647) into value
      from outbox.health h;
      detail := 'seconds since the last sweep: look for the job outbox-sweep in cron.job and cron.job_run_details';
    when 'capture_missing' then
      select count(c.problem), string_agg(c.problem, '; ' order by c.topic) into value, detail
      from outbox.topics t
      cross join lateral outbox.capture_state(t) c;
    when 'job_missing' then
      select count(j.missing), string_agg(distinct j.missing, '; ') into value, detail from outbox.job_states() j;
    when 'job_failing' then
      -- That the sweep is silent has an alert of its own.
      select count(*), string_agg(p.problem, '; ') into value, detail
      from outbox.job_states() j
      cross join lateral concat_ws('; ', j.failing, case when j.job <> 'sweep' then j.silent end) as p (problem)
      where p.problem <> '';
      -- Jobs raise it too, for single events, and again and again as long as that lasts.
      is_over := seconds_unseen > 300;
    else
      -- Nothing can tell that these are over. While their cause lasts, they are raised with the next event or change.
      is_over := seconds_unseen > 3600;
  end case;
end
$$;
comment on function outbox.measure_jobs(text) is 'The part of outbox.measure() that is about triggers and jobs.';

create or replace function outbox.measure(
  kind text, out value numeric, out threshold numeric, out detail text, out is_over boolean
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  s outbox.settings;
begin
  select * into strict s from outbox.settings;
  is_over := true;
  case kind
    when 'oldest_unnotified' then
      select h.oldest_unnotified_seconds, s.alert_unnotified_seconds into value, threshold from outbox.health h;
      detail := 'seconds that the oldest unsettled event has been waiting: read last_error in outbox.events';
    when 'dead_letters' then
      select h.dead_letters_open, s.alert_dead_letters into value, threshold from outbox.health h;
      detail := 'open dead letters: read outbox.dead_letters, then redrive or resolve each';
      is_over := value = 0;
    when 'no_recipients' then
      select h.without_recipients, 1 into value, threshold from outbox.health h;
      detail := 'events reached nobody: name somebody to notify (for pause-status in public.mentor_coordinators) and '
        'redrive each, or resolve it';
    when 'failure_rate' then
      select h.failure_rate_last_15_min, s.alert_failure_percent into value, threshold
      from outbox.health h
      where h.attempts_last_15_min >= s.alert_failure_least_attempts;
      detail := 'percent of attempts failed: read the latest errors in outbox.attempts';
      -- Silence is no recovery.
      is_over := coalesce((select a.outcome from outbox.latest_attempts a limit 1), 'completed') = 'completed';
    when 'stuck_leases' then
      select h.expired_leases, s.alert_expired_leases into value, threshold from outbox.health h;
      detail := 'expired leases that no sweep took back: look for the job outbox-sweep in cron.job_run_details';
    when 'unauthorized' then
      select h.unauthorized_last_15_min, s.alert_unauthorized into value, threshold from outbox.health h;
      detail := 'deliveries refused with 401: WEBHOOK_SECRETS of the handler and outbox_webhook_secret in Vault differ';
      is_over := outbox.is_authorized_again();
    else
      select m.* into value, threshold, detail, is_over from outbox.measure_jobs(kind) m;
  end case;
end
$$;
comment on function outbox.measure(text) is
  'What an alert of this kind is about: open from the threshold on, until the value is below it and what was is over.';

create or replace function outbox.watch_for(alert text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  m record;
begin
  select * into m from outbox.measure(alert);
  if m.value >= m.threshold then
    insert into outbox.alerts as a (kind, value, threshold, detail)
    values (alert, m.value, m.threshold, m.detail)
    on conflict (kind) where closed_at is null do update
    set value = m.value, threshold = m.threshold, detail = m.detail, last_seen_at = clock_timestamp();
  elsif m.is_over then
    update outbox.alerts a
    -- greatest(): the clock may have been set back.
    set closed_at = greatest(clock_timestamp(), a.opened_at)
    where a.kind = alert and a.closed_at is null;
  elsif m.value > 0 then
    update outbox.alerts a
    set value = m.value, last_seen_at = clock_timestamp()
    where a.kind = alert and a.closed_at is null;
  end if;
end
$$;
comment on function outbox.watch_for(text) is 'Opens, updates or closes the alert of this kind.';

create or replace function outbox.watch() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  kind text;
  failed text;
  problem text;
begin
  foreach kind in array array[
    'oldest_unnotified', 'dead_letters', 'no_recipients', 'failure_rate', 'stuck_leases', 'unauthorized',
    'sweep_silent', 'capture_missing', 'job_missing', 'unknown_event', 'clock_skew', 'capture_failed'
  ] loop
    failed := outbox.attempt(format('select outbox.watch_for(%L)', kind));
    problem := coalesce(problem, failed);
  end loop;
  perform outbox.beat('watch', problem);

  -- After its beat, so that what failed just now is seen at once.
  failed := outbox.attempt('select outbox.watch_for(''job_failing'')');
  if failed is not null then
    perform outbox.raise_alert('job_failing', 1, failed);
  end if;
  return (select h.alerts_open from outbox.health h);
end
$$;
comment on function outbox.watch() is 'Opens, updates and closes alerts, and returns how many are open.';

select cron.schedule('outbox-watch', '* * * * *', 'select outbox.watch()');
