-- Purpose: how things stand, for a health endpoint: figures, open alerts, whether the secrets are usable.
-- Locks:   none on existing tables.
-- Undo:    drop function public.pause_status_health(), pause_status.usable_secrets().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.usable_secrets()
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  function_url boolean := false;
  webhook_secret boolean := false;
begin
  begin
    function_url := pause_status.vault_secret('pause_status_function_url') ~* '^https?://[^/?#\s]';
  exception when others then
    null;
  end;
  begin
    perform pause_status.sign('check', 0, '', pause_status.vault_secret('pause_status_webhook_secret'));
    webhook_secret := true;
  exception when others then
    null;
  end;
  return jsonb_build_object('functionUrl', function_url, 'webhookSecret', webhook_secret);
end
$$;
comment on function pause_status.usable_secrets() is
  'Whether each secret that a dispatch needs is in Vault and of the right form. Never a value, nor why not.';

create or replace function public.pause_status_health()
returns jsonb
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'oldestUnnotifiedSeconds', h.oldest_unnotified_seconds,
    'pending', h.pending,
    'processing', h.processing,
    'failed', h.failed,
    'deadLettersOpen', h.dead_letters_open,
    'failureRatePercent', h.failure_rate_last_15_min,
    'expiredLeases', h.expired_leases,
    'lastSweepAt', pause_status.iso(h.last_sweep_at),
    'alertsOpen', coalesce(
      (
        select jsonb_agg(
          jsonb_build_object(
            'kind', a.kind,
            'since', pause_status.iso(a.opened_at),
            'value', a.value,
            'threshold', a.threshold,
            'detail', a.detail
          )
          order by a.opened_at, a.kind
        )
        from pause_status.alerts a
        where a.closed_at is null
      ),
      '[]'
    ),
    'vault', pause_status.usable_secrets()
  )
  from pause_status.health h
$$;
comment on function public.pause_status_health() is
  'pause_status.health and the open alerts as JSON, and whether the secrets of Vault are usable; never a secret.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
revoke all on function public.pause_status_health() from public, anon, authenticated;
grant execute on function public.pause_status_health() to service_role;

notify pgrst, 'reload schema';
