-- Purpose: the watchdog, outside of the handler: the current state, and an alert for each problem.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Dropped first, because replacing a view can only add columns.
drop view if exists outbox.health, outbox.latest_attempts;

create view outbox.latest_attempts with (security_invoker = true) as
select a.*
from outbox.attempts a
-- Later times were written before the clock was set back.
where a.ended_at < statement_timestamp() + interval '1 minute'
order by a.ended_at desc
limit 1000;
comment on view outbox.latest_attempts is 'The last 1,000 attempts that have ended.';

-- Counts stop at 10,000, so that the view is no slower in an outage, when it is read most.
create view outbox.health with (security_invoker = true) as
select
  (
    -- Stock webhooks wait for their sender, not for us.
    select coalesce(greatest(ceil(extract(epoch from clock_timestamp() - min(q.created_at))), 0), 0)::integer
    from outbox.events q
    where q.status in ('pending', 'processing') and (q.source = 'outbox' or q.last_dispatched_at is not null)
  ) as oldest_unnotified_seconds,
  (select count(*) from (select from outbox.events q where q.status = 'pending' limit 10000) c) as pending,
  (select count(*) from (select from outbox.events q where q.status = 'processing' limit 10000) c) as processing,
  (select count(*) from (select from outbox.events q where q.dead_letter_id is not null limit 10000) c) as failed,
  (select count(*) from (
    select from outbox.dead_letters d where d.resolution is null limit 10000
  ) c) as dead_letters_open,
  (select count(*) from (
    select from outbox.events q
    where q.status = 'completed' and q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged' limit 10000
  ) c) as without_recipients,
  recent.attempts as attempts_last_15_min,
  coalesce(round(100.0 * recent.failures / nullif(recent.attempts, 0), 1), 0) as failure_rate_last_15_min,
  (select count(*) from (
    select from outbox.attempts a
    where a.http_status = 401 and a.claim_token is null and strpos(a.error, 'stale_signature') = 0
      and a.ended_at > statement_timestamp() - interval '15 minutes' limit 10000
  ) c) as unauthorized_last_15_min,
  (select count(*) from (
    select from outbox.events q
    where q.status = 'processing' and q.lease_expires_at < statement_timestamp() - interval '1 minute' limit 10000
  ) c) as expired_leases,
  (select h.last_at from outbox.heartbeats h where h.job = 'sweep') as last_sweep_at,
  (select count(*) from outbox.alerts a where a.closed_at is null) as alerts_open
from (
  select count(*) as attempts, count(*) filter (where a.outcome <> 'completed') as failures
  from outbox.latest_attempts a
  where a.ended_at > statement_timestamp() - interval '15 minutes'
) as recent;
comment on view outbox.health is
  'The current state: ages in seconds, the failure rate in percent. Counts stop at 10,000, attempts at 1,000.';

create or replace function outbox.measure_queue()
returns table (kind text, value numeric, threshold integer, is_over boolean, detail text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select m.*
  from outbox.settings s
  -- Offset 0, so that each figure is computed once, however often it is used.
  cross join (select * from outbox.health offset 0) h
  cross join (select max(a.ended_at) as ended_at from outbox.latest_attempts a where a.claim_token is not null) last_claim
  cross join lateral (
    values
      ('oldest_unnotified', h.oldest_unnotified_seconds, s.alert_unnotified_seconds, true,
        'seconds that the oldest unsettled event has been waiting: read last_error in outbox.events'),
      ('dead_letters', h.dead_letters_open, s.alert_dead_letters, h.dead_letters_open = 0,
        'open dead letters: read outbox.dead_letters, then redrive or resolve each'),
      ('no_recipients', h.without_recipients, 1, true,
        'events reached nobody: name somebody to notify (for pause-status in public.mentor_coordinators) and redrive '
        'each, or resolve it'),
      -- No attempts do not mean recovery.
      ('failure_rate',
        case when h.attempts_last_15_min >= s.alert_failure_least_attempts then h.failure_rate_last_15_min end,
        s.alert_failure_percent,
        (select a.outcome from outbox.latest_attempts a limit 1) = 'completed' is not false,
        'percent of attempts failed: read the latest errors in outbox.attempts'),
      ('stuck_leases', h.expired_leases, s.alert_expired_leases, true,
        'expired leases that no sweep took back: look for the job outbox-sweep in cron.job_run_details'),
      ('unauthorized', h.unauthorized_last_15_min, s.alert_unauthorized, not exists (
          select
          from outbox.attempts a
          where a.http_status = 401 and a.claim_token is null and strpos(a.error, 'stale_signature') = 0
            and a.ended_at between coalesce(last_claim.ended_at, '-infinity') and statement_timestamp() + interval '1 minute'
        ),
        'deliveries refused with 401: WEBHOOK_SECRETS of the handler and outbox_webhook_secret in Vault differ'),
      ('sweep_silent', coalesce(abs(ceil(extract(epoch from clock_timestamp() - h.last_sweep_at))), 2147483647),
        s.alert_sweep_silent_seconds, true,
        'seconds since the last sweep: look for the job outbox-sweep in cron.job and cron.job_run_details')
  ) as m (kind, value, threshold, is_over, detail);
end
$$;
comment on function outbox.measure_queue() is
  'The value of each alert about the queue. It opens at its threshold, and closes below it once the cause is over.';

create or replace function outbox.measure_capture()
returns table (kind text, value numeric, threshold integer, is_over boolean, detail text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select 'capture_missing', count(c.problem)::numeric, 1, true, string_agg(c.problem, '; ' order by c.topic)
  from outbox.topics t
  cross join lateral outbox.capture_state(t) c;
end
$$;
comment on function outbox.measure_capture() is 'The same for the triggers.';

create or replace function outbox.measure_jobs()
returns table (kind text, value numeric, threshold integer, is_over boolean, detail text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select 'job_missing', count(j.missing)::numeric, 1, true, string_agg(distinct j.missing, '; ')
  from outbox.job_states() j
  union all
  select 'job_failing', count(*), 1, not exists (
    -- Jobs raise it too, for single events, and again and again as long as that lasts. abs(): the clock may be set back.
    select
    from outbox.alerts a
    where a.kind = 'job_failing' and a.closed_at is null
      and abs(extract(epoch from clock_timestamp() - a.last_seen_at)) < 300
  ), string_agg(p.problem, '; ')
  from outbox.job_states() j
  -- A silent sweep has its own alert.
  cross join lateral concat_ws('; ', j.failing, case when j.job <> 'sweep' then j.silent end) as p (problem)
  where p.problem <> '';
end
$$;
comment on function outbox.measure_jobs() is 'The same for the scheduled jobs.';

create or replace function outbox.watch_for(
  alert text, measured numeric, tolerated integer, is_over boolean, advice text
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if measured >= tolerated then
    insert into outbox.alerts (kind, value, threshold, detail)
    values (alert, measured, tolerated, advice)
    on conflict (kind) where closed_at is null do update
    set
      value = excluded.value, threshold = excluded.threshold, detail = excluded.detail,
      last_seen_at = clock_timestamp();
  elsif is_over then
    -- greatest(): the clock may have been set back.
    update outbox.alerts a
    set closed_at = greatest(clock_timestamp(), a.opened_at)
    where a.kind = alert and a.closed_at is null;
  elsif measured > 0 then
    update outbox.alerts a
    set value = measured, last_seen_at = clock_timestamp()
    where a.kind = alert and a.closed_at is null;
  end if;
end
$$;
comment on function outbox.watch_for(text, numeric, integer, boolean, text) is 'Opens, updates or closes an alert.';

create or replace function outbox.watch() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  watch constant text := 'select outbox.watch_for(m.kind, m.value, m.threshold, m.is_over, m.detail) from outbox.';
  problem text;
begin
  -- Nothing shows that these are over. While the cause lasts, the next event or change raises them again.
  update outbox.alerts a
  set closed_at = greatest(clock_timestamp(), a.opened_at)
  where a.closed_at is null
    and a.kind in ('unknown_event', 'clock_skew', 'capture_failed')
    and abs(extract(epoch from clock_timestamp() - a.last_seen_at)) > 3600;

  problem := concat_ws(
    '; ', outbox.attempt(watch || 'measure_queue() m'), outbox.attempt(watch || 'measure_capture() m')
  );
  perform outbox.beat('watch', nullif(problem, ''));

  -- After the heartbeat, so that a failure of this run is reported at once.
  problem := outbox.attempt(watch || 'measure_jobs() m');
  if problem is not null then
    perform outbox.raise_alert('job_failing', 1, problem);
  end if;
  return (select count(*) from outbox.alerts a where a.closed_at is null);
end
$$;
comment on function outbox.watch() is
  'Opens, updates and closes alerts; returns how many are open. A failed measurement does not stop the others.';

select cron.schedule('outbox-watch', '* * * * *', 'select outbox.watch()');
