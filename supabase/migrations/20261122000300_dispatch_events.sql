-- Purpose: sends an event: signs it with the secret from Vault and hands it to pg_net when its transaction commits.
-- Locks:   pause_status.webhook_queue, access exclusive, for an instant.
-- Undo:    drop trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue; then its functions.

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

create or replace function pause_status.sign(id text, unix_seconds bigint, body text, secrets text)
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
  secret text;
  key bytea;
  signatures text[] := '{}';
begin
  for secret in
    select part from regexp_split_to_table(secrets, '[\s,]+') as part where part <> ''
  loop
    -- Checked before it is decoded: the error of decode() would quote the secret.
    if secret !~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$' then
      raise exception 'the Vault secret pause_status_webhook_secret is not of the form whsec_<base64>: update it'
        using errcode = 'invalid_parameter_value';
    end if;
    key := decode(substr(secret, 7), 'base64');
    signatures := signatures || ('v1,' || encode(
      extensions.hmac(convert_to(id || '.' || unix_seconds || '.' || body, 'UTF8'), key, 'sha256'),
      'base64'
    ));
  end loop;

  if cardinality(signatures) = 0 then
    raise exception 'the Vault secret pause_status_webhook_secret is empty: set it to whsec_<base64>'
      using errcode = 'invalid_parameter_value';
  end if;
  return array_to_string(signatures, ' ');
end
$$;
comment on function pause_status.sign(text, bigint, text, text) is
  'The webhook-signature header of Standard Webhooks: one signature per secret, so that secrets can be rotated.';

create or replace function pause_status.backoff(attempt integer)
returns interval
language sql
volatile
set search_path = ''
as $$
  -- Between half and all of the doubled delay: what failed together must not come back together.
  select make_interval(
    secs => least(s.retry_cap_seconds, s.retry_base_seconds * 2.0 ^ (least(greatest(attempt, 1), 31) - 1))
      * (0.5 + random() / 2)
  )
  from pause_status.settings s
$$;
comment on function pause_status.backoff(integer) is
  'How long to wait after this many attempts: exponential, capped, with jitter.';

create or replace function pause_status.shorten(message text)
returns text
language sql
immutable
set search_path = ''
as $$
  select case when octet_length(message) <= 2048 then message else left(message, 512) end
$$;
comment on function pause_status.shorten(text) is 'Makes a message fit last_error: 512 characters are at most 2 KB.';

create or replace function pause_status.vault_secret(name text)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  found_secret text;
begin
  if to_regclass('vault.decrypted_secrets') is null then
    raise exception 'Vault is not installed: run create extension supabase_vault with schema vault'
      using errcode = 'undefined_object';
  end if;
  select btrim(s.decrypted_secret, E' \t\r\n') into found_secret
  from vault.decrypted_secrets s
  where s.name = vault_secret.name;

  if coalesce(found_secret, '') = '' then
    raise exception 'Vault has no secret named %: run select vault.create_secret(''…'', ''%'')', name, name
      using errcode = 'undefined_object';
  end if;
  return found_secret;
end
$$;
comment on function pause_status.vault_secret(text) is 'A secret by name, or an error that says how to store it.';

create or replace function pause_status.dispatch(event_id uuid)
returns boolean
language plpgsql
set search_path = ''
-- The commit of a change of a profile may wait for a settle, but not for one that hangs.
set lock_timeout = '2s'
as $$
declare
  due pause_status.webhook_queue;
  settings pause_status.settings;
  function_url text;
  unix_seconds bigint := floor(extract(epoch from clock_timestamp()));
  request bigint;
  reason text;
begin
  -- Whatever goes wrong in here must not fail the transaction that changed the profile: the sweep will try again.
  begin
    select q.* into due
    from pause_status.webhook_queue q
    where q.event_id = dispatch.event_id and q.status = 'pending' and q.source = 'outbox'
    for update;
    if not found then
      return false;
    end if;

    -- The share lock waits for a settle that is under way. Without it, an event that commits while its predecessor
    -- is being settled would be seen by neither side, and wait for the sweep.
    perform
    from pause_status.webhook_queue earlier
    where earlier.mentor_id = due.mentor_id
      and earlier.version < due.version
      and earlier.status in ('pending', 'processing')
    order by earlier.version
    limit 1
    for share;
    if found then
      return false;
    end if;

    if to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') is null then
      raise exception 'pg_net is not installed: run create extension pg_net with schema extensions'
        using errcode = 'undefined_object';
    end if;
    select s.* into settings from pause_status.settings s;
    if not found then
      raise exception 'the settings are gone: run insert into pause_status.settings default values'
        using errcode = 'no_data_found';
    end if;
    function_url := pause_status.vault_secret('pause_status_function_url');
    if function_url !~* '^https?://[^/?#\s]' then
      raise exception 'the Vault secret pause_status_function_url is no absolute http(s) URL: update it'
        using errcode = 'invalid_parameter_value';
    end if;
    request := net.http_post(
      url := function_url,
      body := due.payload,
      headers := jsonb_build_object(
        'Content-Type', 'application/json',
        'webhook-id', due.event_id,
        'webhook-timestamp', unix_seconds::text,
        'webhook-signature', pause_status.sign(
          due.event_id::text,
          unix_seconds,
          due.payload::text,
          pause_status.vault_secret('pause_status_webhook_secret')
        )
      ),
      timeout_milliseconds := settings.request_timeout_ms
    );

    -- clock_timestamp(): now() is the start of a transaction that may have taken longer than the timeout.
    update pause_status.webhook_queue q
    set
      attempts = q.attempts + 1,
      last_dispatched_at = clock_timestamp(),
      request_id = request,
      next_attempt_at = clock_timestamp() + make_interval(secs => settings.acknowledge_timeout_seconds)
    where q.event_id = due.event_id;
    return true;
  exception
  when lock_not_available then
    -- Somebody else is at this event or its predecessor; it stays due.
    return false;
  when others then
    reason := replace(sqlerrm, coalesce(function_url, ''), '<pause_status_function_url>');
  end;

  raise warning 'event % waits for the sweep: %', dispatch.event_id, reason;
  update pause_status.webhook_queue q
  set
    last_error = pause_status.shorten(reason),
    next_attempt_at = clock_timestamp() + coalesce(pause_status.backoff(q.attempts + 1), interval '1 minute')
  where q.event_id = dispatch.event_id and q.status = 'pending' and q.source = 'outbox';
  return false;
end
$$;
comment on function pause_status.dispatch(uuid) is
  'Hands a pending event to pg_net if it is its mentor''s lowest unsettled version; true if it did. Never raises.';

create or replace function pause_status.dispatch_at_commit()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
begin
  perform pause_status.dispatch(new.event_id);
  return null;
end
$$;
comment on function pause_status.dispatch_at_commit() is
  'Dispatches what a transaction queued when it commits, with the rights of the outbox, not of the writer.';

-- Deferred to the commit, so that the signature's timestamp is fresh however long the transaction was, and so that
-- the question who is first in the mentor's line is asked after everything that was settled meanwhile.
drop trigger if exists webhook_queue_dispatch_at_commit on pause_status.webhook_queue;
create constraint trigger webhook_queue_dispatch_at_commit
  after insert on pause_status.webhook_queue
  deferrable initially deferred
  for each row
  when (new.source = 'outbox' and new.status = 'pending')
  execute function pause_status.dispatch_at_commit();
comment on trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue is
  'The fast path. What it misses, the sweep sends.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
