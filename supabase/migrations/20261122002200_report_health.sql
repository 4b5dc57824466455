-- Purpose: how things stand, for a health endpoint: figures, open alerts, triggers, jobs, usable secrets.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.usable_secrets() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  function_url boolean := false;
  webhook_secret boolean := false;
begin
  begin
    function_url := outbox.vault_secret('outbox_function_url') ~* '^https?://[^/?#[:space:]]';
  exception when others then
    null;
  end;
  begin
    webhook_secret := outbox.sign('check', 0, '', outbox.vault_secret('outbox_webhook_secret')) is not null;
  exception when others then
    null;
  end;
  return jsonb_build_object('functionUrl', function_url, 'webhookSecret', webhook_secret);
end
$$;
comment on function outbox.usable_secrets() is
  'Whether each secret that a dispatch needs is in Vault and of the right form. Never a value, nor why not.';

-- It looks at triggers and jobs itself: when nothing runs any more, nobody opens an alert.
create or replace function public.outbox_health() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
begin
  return (
    select jsonb_build_object(
      'oldestUnnotifiedSeconds', h.oldest_unnotified_seconds,
      'oldestUnnotifiedThreshold', coalesce((select s.alert_unnotified_seconds from outbox.settings s), 300),
      'pending', h.pending,
      'processing', h.processing,
      'failed', h.failed,
      'deadLettersOpen', h.dead_letters_open,
      'withoutRecipients', h.without_recipients,
      'failureRatePercent', h.failure_rate_last_15_min,
      'expiredLeases', h.expired_leases,
      'lastSweepAt', outbox.iso(h.last_sweep_at),
      'alertsOpen', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'kind', a.kind, 'since', outbox.iso(a.opened_at), 'lastSeenAt', outbox.iso(a.last_seen_at),
          'value', a.value, 'threshold', a.threshold, 'detail', a.detail
        ) order by a.opened_at, a.kind), '[]')
        from outbox.alerts a
        where a.closed_at is null
      ),
      'topics', (
        select coalesce(jsonb_agg(
          jsonb_build_object('topic', c.topic, 'attached', c.attached is true, 'enabled', c.enabled is true)
            || jsonb_strip_nulls(jsonb_build_object('problem', c.problem))
          order by c.topic
        ), '[]')
        from outbox.topics t
        cross join lateral outbox.capture_state(t) c
      ),
      'jobs', (
        select jsonb_agg(
          jsonb_build_object('name', j.job, 'scheduled', j.is_scheduled, 'lastRunAt', outbox.iso(j.last_run_at))
            || jsonb_strip_nulls(jsonb_build_object(
              'problem', nullif(concat_ws('; ', j.missing, j.failing, j.silent), '')
            ))
          order by j.job
        )
        from outbox.job_states() j
      ),
      'vault', outbox.usable_secrets()
    )
    from outbox.health h
  );
end
$$;
comment on function public.outbox_health() is
  'outbox.health, open alerts, triggers, jobs and usable secrets as JSON. Costs the same however much is queued.';
revoke all on function public.outbox_health() from public, anon, authenticated;
grant execute on function public.outbox_health() to service_role;
