-- Purpose: the watchdog, outside of the handler: how things stand, and an alert for each thing that is wrong.
-- Locks:   none on existing tables.
-- Undo:    select cron.unschedule('outbox-watch'); drop function outbox.watch(),
--          outbox.close_unseen(), outbox.watch_for(text, outbox.measurement),
--          outbox.measure_jobs(text), outbox.measure(text), outbox.is_authorized_again();
--          drop type outbox.measurement; drop view outbox.health, outbox.latest_attempts.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Dropped first, because replacing a view can only add columns to it.
drop view if exists outbox.health;
drop view if exists outbox.latest_attempts;

create view outbox.latest_attempts
with (security_invoker = true)
as
select a.*
from outbox.attempts a
-- What is later was written before the clock was set back.
where a.ended_at < statement_timestamp() + interval '1 minute'
order by a.ended_at desc
limit 1000;
comment on view outbox.latest_attempts is 'The last 1,000 attempts that ended.';

-- Each column by itself, so that reading one costs nothing for the others. No count goes beyond 10,000, so that the
-- view costs the same in an outage, when it is read most.
create view outbox.health
with (security_invoker = true)
as
select
  (
    -- What somebody else sends waits for them, not for us.
    select coalesce(greatest(ceil(extract(epoch from clock_timestamp() - min(q.created_at))), 0), 0)::integer
    from outbox.events q
    where q.status in ('pending', 'processing') and (q.source = 'outbox' or q.last_dispatched_at is not null)
  ) as oldest_unnotified_seconds,
  (
    select count(*)
    from (select from outbox.events q where q.status = 'pending' limit 10000) as counted
  ) as pending,
  (
    select count(*)
    from (select from outbox.events q where q.status = 'processing' limit 10000) as counted
  ) as processing,
  (
    select count(*)
    from (select from outbox.events q where q.dead_letter_id is not null limit 10000) as counted
  ) as failed,
  (
    select count(*)
    from (select from outbox.dead_letters d where d.resolution is null limit 10000) as counted
  ) as dead_letters_open,
  (
    select count(*)
    from (
      select
      from outbox.events q
      where q.status = 'completed' and q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged'
      limit 10000
    ) as counted
  ) as without_recipients,
  (
    select count(*)
    from outbox.latest_attempts a
    where a.ended_at > statement_timestamp() - interval '15 minutes'
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
    ) as counted
  ) as unauthorized_last_15_min,
  (
    select count(*)
    from (
      select
      from outbox.events q
      where q.status = 'processing' and q.lease_expires_at < statement_timestamp() - interval '1 minute'
      limit 10000
    ) as counted
  ) as expired_leases,
  (select h.last_at from outbox.heartbeats h where h.job = 'sweep') as last_sweep_at,
  (select count(*) from outbox.alerts a where a.closed_at is null) as alerts_open;
comment on view outbox.health is
  'How things stand, in one row: ages in seconds, failure_rate_last_15_min in percent of the attempts that ended, of the '
  'last 1,000 at most. Counts end at 10,000.';

do $$
begin
  if to_regtype('outbox.measurement') is null then
    create type outbox.measurement as (value numeric, threshold numeric, is_wrong boolean, detail text);
    comment on type outbox.measurement is
      'What is measured for an alert. is_wrong: true opens it, false closes it, null leaves it as it is.';
  end if;
end
$$;

create or replace function outbox.is_authorized_again() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
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
    select
    from outbox.latest_attempts a
    where a.claim_token is not null and a.ended_at > last_refused_at
  );
end
$$;
comment on function outbox.is_authorized_again() is
  'Whether a delivery was claimed after the last one that was refused with 401 for its secret.';

create or replace function outbox.measure(kind text) returns outbox.measurement
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  settings outbox.settings;
  m outbox.measurement;
begin
  select s.* into strict settings from outbox.settings s;
  case kind
    when 'oldest_unnotified' then
      m.value := (select h.oldest_unnotified_seconds from outbox.health h);
      m.threshold := settings.alert_unnotified_seconds;
      m.detail := 'seconds that the oldest unsettled event has been waiting: read last_error in outbox.events';
    when 'dead_letters' then
      m.value := (select h.dead_letters_open from outbox.health h);
      m.threshold := settings.alert_dead_letters;
      m.detail := 'open dead letters: read outbox.dead_letters, then redrive or resolve each';
      -- Opened at the threshold, it stays until the last one is closed.
      m.is_wrong := m.value >= m.threshold or m.value > 0 and exists (
        select from outbox.alerts a where a.kind = 'dead_letters' and a.closed_at is null
      );
      return m;
    when 'no_recipients' then
      m.value := (select h.without_recipients from outbox.health h);
      m.threshold := 1;
      m.detail := 'events reached nobody: name somebody to notify (for pause-status in public.mentor_coordinators) and redrive each, or '
        'resolve it';
    when 'failure_rate' then
      m.value := (select h.failure_rate_last_15_min from outbox.health h);
      m.threshold := settings.alert_failure_percent;
      m.detail := 'percent of attempts failed: read the latest errors in outbox.attempts';
      m.is_wrong := case
        when m.value >= m.threshold
          and (select h.attempts_last_15_min from outbox.health h) >= settings.alert_failure_least_attempts
        then true
        -- Silence is no recovery: as long as nothing has succeeded since, it stays open.
        when coalesce((select a.outcome from outbox.latest_attempts a limit 1), 'completed') = 'completed' then false
      end;
      return m;
    when 'stuck_leases' then
      m.value := (select h.expired_leases from outbox.health h);
      m.threshold := settings.alert_expired_leases;
      m.detail := 'expired leases that no sweep took back: look for the job outbox-sweep in cron.job_run_details';
    when 'unauthorized' then
      m.value := (select h.unauthorized_last_15_min from outbox.health h);
      m.threshold := settings.alert_unauthorized;
      m.detail :=
        'deliveries refused with 401: WEBHOOK_SECRETS of the handler and outbox_webhook_secret in Vault differ';
      -- Likewise: until a delivery was claimed since.
      m.is_wrong := case when m.value >= m.threshold then true when outbox.is_authorized_again() then false end;
      return m;
  end case;
  m.is_wrong := m.value >= m.threshold;
  return m;
end
$$;
comment on function outbox.measure(text) is 'Measures for one kind of alert what the queue says.';

create or replace function outbox.measure_jobs(kind text) returns outbox.measurement
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  m outbox.measurement;
begin
  m.threshold := 1;
  case kind
    when 'sweep_silent' then
      m.threshold := (select s.alert_sweep_silent_seconds from outbox.settings s);
      -- A beat in the future was made before the clock was set back.
      m.value := coalesce(
        (
          select abs(ceil(extract(epoch from clock_timestamp() - h.last_at)))
          from outbox.heartbeats h
          where h.job = 'sweep'
        ),
        2147483647
      );
      m.detail :=
        'seconds since the last sweep: look for the job outbox-sweep in cron.job and cron.job_run_details';
    when 'capture_missing' then
      select count(c.problem), string_agg(c.problem, '; ' order by c.topic) into m.value, m.detail
      from outbox.topics t
      cross join lateral outbox.capture_state(t) c;
    when 'job_missing' then
      select count(j.missing), string_agg(distinct j.missing, '; ')
      into m.value, m.detail
      from outbox.job_states() j;
    when 'job_failing' then
      select
        count(*) filter (where j.failing is not null or j.silent is not null and j.job <> 'sweep'),
        string_agg(nullif(concat_ws('; ', j.failing, case when j.job <> 'sweep' then j.silent end), ''), '; ')
      into m.value, m.detail
      from outbox.job_states() j;
  end case;
  m.is_wrong := m.value >= m.threshold;
  return m;
end
$$;
comment on function outbox.measure_jobs(text) is
  'Measures for one kind of alert whether the triggers and the scheduled jobs work.';

create or replace function outbox.watch_for(alert text, measured outbox.measurement) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if measured.is_wrong then
    insert into outbox.alerts as a (kind, value, threshold, detail)
    values (alert, measured.value, measured.threshold, measured.detail)
    on conflict (kind) where closed_at is null do update
    set
      value = excluded.value,
      threshold = excluded.threshold,
      detail = excluded.detail,
      last_seen_at = clock_timestamp();
  else
    update outbox.alerts a
    -- greatest(): the clock may have been set back.
    set closed_at = greatest(clock_timestamp(), a.opened_at)
    where a.kind = alert
      and a.closed_at is null
      and not measured.is_wrong
      -- Jobs raise it too, for single events, and again and again as long as that lasts.
      and (a.kind <> 'job_failing' or a.last_seen_at < clock_timestamp() - interval '5 minutes');
  end if;
end
$$;
comment on function outbox.watch_for(text, outbox.measurement) is
  'Opens, updates or closes the alert of this kind.';

create or replace function outbox.close_unseen() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update outbox.alerts a
  set last_seen_at = clock_timestamp()
  where a.closed_at is null and a.last_seen_at > clock_timestamp() + interval '1 minute';

  update outbox.alerts a
  set closed_at = greatest(clock_timestamp(), a.opened_at)
  where a.closed_at is null
    and a.kind in ('unknown_event', 'clock_skew', 'capture_failed')
    and a.last_seen_at < clock_timestamp() - interval '1 hour';
end
$$;
comment on function outbox.close_unseen() is
  'Closes alerts of what is only noticed when it happens, an hour after the last time: nothing can tell that it is over. '
  'While its cause lasts, it happens again with the next event or change.';

create or replace function outbox.watch() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  measures constant text[] := array[
    'measure oldest_unnotified', 'measure dead_letters', 'measure no_recipients', 'measure failure_rate',
    'measure stuck_leases', 'measure unauthorized', 'measure_jobs sweep_silent', 'measure_jobs capture_missing',
    'measure_jobs job_missing'
  ];
  measure text;
  failed text;
  problem text;
begin
  foreach measure in array measures loop
    failed := outbox.attempt(format(
      'select outbox.watch_for(%2$L, outbox.%1$I(%2$L))', split_part(measure, ' ', 1), split_part(measure, ' ', 2)
    ));
    problem := coalesce(problem, failed);
  end loop;
  failed := outbox.attempt('select outbox.close_unseen()');
  perform outbox.beat('watch', coalesce(problem, failed));

  -- After its beat, so that what failed just now is seen at once.
  failed := outbox.attempt(
    'select outbox.watch_for(''job_failing'', outbox.measure_jobs(''job_failing''))'
  );
  if failed is not null then
    perform outbox.raise_alert('job_failing', 1, failed);
  end if;
  return (select count(*) from outbox.alerts a where a.closed_at is null);
end
$$;
comment on function outbox.watch() is
  'Opens, updates and closes alerts; returns how many are open. A measure that fails does not stop the others.';

revoke all on table outbox.alerts, outbox.health, outbox.latest_attempts
  from public, anon, authenticated, service_role;
revoke all on all functions in schema outbox from public, anon, authenticated, service_role;

select cron.schedule('outbox-watch', '* * * * *', 'select outbox.watch()');

notify pgrst, 'reload schema';
