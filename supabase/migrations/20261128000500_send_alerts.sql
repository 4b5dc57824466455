-- Purpose: sends each alert to a person when it opens, daily while it is open, and when it closes; and the figures that
--          GET /metrics shows beside those of health.
-- Locks:   access exclusive on outbox.alerts for an instant: columns without a default rewrite nothing.
-- Undo:    select cron.unschedule('outbox-alert'); delete from outbox.heartbeats where job = 'alert'; drop the functions
--          that this file creates; alter table outbox.alerts drop column last_notice, drop column last_notice_at, drop
--          column notice_error.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

alter table outbox.alerts
  add column if not exists last_notice text constraint alerts_last_notice_is_known
    check (last_notice in ('opened', 'open', 'closed')),
  add column if not exists last_notice_at timestamptz,
  add column if not exists notice_error text constraint alerts_notice_error_is_at_most_2_kb
    check (octet_length(notice_error) <= 2048);
comment on column outbox.alerts.last_notice is 'The last notice that was accepted at outbox_alert_url; null if none was.';
comment on column outbox.alerts.notice_error is 'Why the next notice has not been accepted yet, or null.';

insert into outbox.heartbeats (job)
select 'alert' where not exists (select from outbox.heartbeats h where h.job = 'alert');

create or replace function outbox.alert_advice(kind text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return case kind
    when 'oldest_unnotified' then 'An event has waited too long. Check pg_net, the function and the orchestrator.'
    when 'dead_letters' then 'Events failed for good. Read outbox.dead_letters, then redrive or resolve each.'
    when 'no_recipients' then 'Events reached nobody. Add a recipient and redrive each event, or resolve it.'
    when 'failure_rate' then 'Too many attempts fail. Read the latest errors in outbox.attempts.'
    when 'stuck_leases' then 'Handlers stopped while they worked, and the sweep did not take their events back.'
    when 'unauthorized' then 'Deliveries are refused with 401. Make WEBHOOK_SECRETS and outbox_webhook_secret match.'
    when 'sweep_silent' then 'The sweep has not run. Check pg_cron.'
    when 'capture_missing' then 'A trigger is missing, altered or disabled, so changes are not captured.'
    when 'capture_failed' then 'A trigger could not read a changed row. Check for a renamed or retyped column.'
    when 'job_missing' then 'A scheduled job is missing or inactive. Apply the migrations again.'
    when 'job_failing' then 'A scheduled job fails or has stopped. Read last_error in outbox.heartbeats.'
    when 'unknown_event' then 'The function refused events that this outbox does not have. Look for a clone of it.'
    when 'clock_skew' then 'The clocks of Postgres and of the function differ by minutes. Correct the wrong one.'
    else 'The runbook says what to do.'
  end;
end
$$;
comment on function outbox.alert_advice(text) is
  'What an alert means, in fixed words. Its detail is never sent, because it may name a person or quote an error.';

create or replace function outbox.notice(alert outbox.alerts, state text, host text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  since constant text := to_char(alert.opened_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI');
  until constant text := to_char(alert.closed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI');
begin
  return jsonb_build_object(
    'text', format(
      case state
        when 'opened' then '%1$s: alert %2$s opened at %3$s UTC. %5$s Value %6$s, threshold %7$s.'
        when 'open' then '%1$s: alert %2$s is still open, since %3$s UTC. %5$s Value %6$s, threshold %7$s.'
        else '%1$s: alert %2$s closed at %4$s UTC. It was open since %3$s UTC.'
      end, host, alert.kind, since, until, outbox.alert_advice(alert.kind), alert.value, alert.threshold
    ),
    'alert', jsonb_build_object(
      'id', alert.id, 'kind', alert.kind, 'state', state, 'host', host, 'value', alert.value,
      'threshold', alert.threshold, 'openedAt', outbox.iso(alert.opened_at),
      'lastSeenAt', outbox.iso(alert.last_seen_at), 'closedAt', outbox.iso(alert.closed_at)
    )
  );
end
$$;
comment on function outbox.notice(outbox.alerts, text, text) is
  'The body of a notice: text for Slack and its like, alert for programs. No secret and no personal data.';

create or replace function outbox.project_host() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- Without the part before an @, which may contain a password.
  return coalesce(
    substring(outbox.vault_secret('outbox_function_url') from '^https?://(?:[^/?#]*@)?([^/?#@[:space:]]+)'),
    current_database()
  );
exception when undefined_object then
  return current_database();
end
$$;
comment on function outbox.project_host() is
  'The host of outbox_function_url, which identifies the project in notices and traces.';

create or replace function outbox.alert_secrets() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  begin
    return outbox.vault_secret('outbox_alert_secret');
  exception when undefined_object then
    return outbox.vault_secret('outbox_webhook_secret');
  end;
exception when undefined_object then
  return null;
end
$$;
comment on function outbox.alert_secrets() is 'The secrets that sign notices: outbox_alert_secret, or the webhook''s.';

create or replace function outbox.notice_headers(id text, body jsonb, secrets text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  unix_seconds constant bigint := floor(extract(epoch from clock_timestamp()));
  headers constant jsonb := jsonb_build_object('webhook-id', id, 'webhook-timestamp', unix_seconds::text);
begin
  if secrets is null then
    return headers;
  end if;
  return headers || jsonb_build_object('webhook-signature', outbox.sign(id, unix_seconds, body::text, secrets));
exception when others then
  -- The alert may be about a secret that cannot sign.
  return headers;
end
$$;
comment on function outbox.notice_headers(text, jsonb, text) is
  'The headers of Standard Webhooks; unsigned if no secret can sign.';

create or replace function outbox.post_json(
  url text, headers jsonb, body jsonb, out http_status integer, out problem text
)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  http constant text := (select e.extnamespace::regnamespace from pg_extension e where e.extname = 'http');
  timeout_ms constant integer := coalesce((select s.request_timeout_ms from outbox.settings s), 5000);
begin
  if http is null then
    perform net.http_post(
      url := url, body := body, headers := headers || '{"Content-Type": "application/json"}',
      timeout_milliseconds := timeout_ms
    );
    http_status := 202;
    return;
  end if;

  -- The error quotes the URL, which may contain a key.
  select c.http_status, replace(c.problem, url, '<url>') into http_status, problem
  from outbox.call_http(http, url, headers, body::text, timeout_ms) c;
exception when others then
  problem := replace(sqlerrm, url, '<url>');
end
$$;
comment on function outbox.post_json(text, jsonb, jsonb) is
  'Posts JSON with the extension http and returns the status. Without the extension, uses pg_net and returns 202.';

create or replace function outbox.notices_due(out alert outbox.alerts, out state text) returns setof record
language sql stable set search_path = pg_catalog, pg_temp as $$
  select a, case when a.closed_at is not null then 'closed' when a.last_notice is null then 'opened' else 'open' end
  from outbox.alerts a
  where case
    when a.closed_at is null then
      a.last_notice_at is null
      -- not between: the clock may have been set back.
      or a.last_notice_at not between clock_timestamp() - interval '1 day' and clock_timestamp()
    -- If the opening was never sent, the closing is not sent either.
    else a.last_notice <> 'closed' or a.last_notice is null and a.notice_error is not null
  end
  order by a.opened_at, a.kind
$$;
comment on function outbox.notices_due() is 'The notices to send now, and their alerts.';

create or replace function outbox.send_alerts() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  deadline constant timestamptz := clock_timestamp() + interval '20 seconds';
  url text;
  secrets text;
  host text;
  due record;
  body jsonb;
  answer record;
  results jsonb := '[]';
  problem text;
begin
  perform outbox.beat('alert');
  -- One run at a time. Any role can take an advisory lock, but only we can lock this row.
  perform from outbox.heartbeats h where h.job = 'alert' for update skip locked;
  if not found then
    return 0;
  end if;
  begin
    url := outbox.vault_secret('outbox_alert_url');
  exception when undefined_object then
    return 0;
  end;
  if url !~* '^https?://[^/?#[:space:]]' then
    perform outbox.beat('alert', 'the Vault secret outbox_alert_url is no absolute http(s) URL: update it');
    return 0;
  end if;
  secrets := outbox.alert_secrets();
  host := outbox.project_host();

  -- Locks no alert before the last call, because the watch job writes to them meanwhile.
  for due in select * from outbox.notices_due() loop
    body := outbox.notice(due.alert, due.state, host);
    select p.* into answer
    from outbox.post_json(url, outbox.notice_headers(
      concat_ws('-', (due.alert).id, due.state, case due.state when 'open' then current_date end), body, secrets
    ), body) p;
    if answer.http_status between 200 and 299 then
      results := results || jsonb_build_object('id', (due.alert).id, 'state', due.state);
    else
      problem := coalesce(answer.problem, 'the answer was ' || answer.http_status);
      results := results || jsonb_build_object('id', (due.alert).id, 'error', problem);
    end if;
    -- An unreachable receiver would use up the time limit of each call.
    exit when answer.http_status is null or clock_timestamp() > deadline;
  end loop;

  update outbox.alerts a
  set
    last_notice = coalesce(r.result ->> 'state', a.last_notice),
    last_notice_at = case when r.result ? 'state' then clock_timestamp() else a.last_notice_at end,
    notice_error = outbox.shorten(r.result ->> 'error')
  from jsonb_array_elements(results) as r (result)
  where a.id = (r.result ->> 'id')::uuid;
  perform outbox.beat('alert', 'no notice was accepted at outbox_alert_url: ' || problem);
  return (select count(*) from jsonb_array_elements(results) as r (result) where r.result ? 'state');
end
$$;
comment on function outbox.send_alerts() is
  'Sends due notices to the URL in the Vault secret outbox_alert_url, if there is one; returns how many were accepted.';

-- A separate job, so that a slow receiver delays no other.
select cron.schedule('outbox-alert', '* * * * *', 'select outbox.send_alerts()');

create or replace function public.outbox_metrics() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  return jsonb_build_object('topics', (
    select coalesce(jsonb_agg(jsonb_build_object(
      'topic', t.topic, 'completed', f.completed,
      'p50', round(f.quantiles[1]::numeric, 3), 'p95', round(f.quantiles[2]::numeric, 3),
      'p99', round(f.quantiles[3]::numeric, 3)
    ) order by t.topic), '[]')
    from outbox.topics t
    cross join lateral (
      select
        count(*) as completed,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by extract(epoch from r.took)::float8) as quantiles
      from (
        select greatest(q.completed_at - q.created_at, interval '0') as took
        from outbox.events q
        where q.topic = t.topic and q.status = 'completed'
          and q.completed_at > statement_timestamp() - interval '15 minutes'
        order by q.completed_at desc
        limit 10000
      ) r
    ) f
  ));
end
$$;
comment on function public.outbox_metrics() is
  'How many events of each topic were completed in the last 15 minutes, and seconds from the change to the settlement.';
revoke all on function public.outbox_metrics() from public, anon, authenticated;
grant execute on function public.outbox_metrics() to service_role;

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
