-- Purpose: what a delivery needs: the extensions, secrets from Vault, the signature, the wait before a retry.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.sign(text, bigint, text, text), pause_status.backoff(integer),
--          pause_status.shorten(text), pause_status.vault_secret(text).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

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
set search_path = pg_catalog, pg_temp
as $$
declare
  secret text;
  key bytea;
  signatures text[] := '{}';
begin
  for secret in
    select part from regexp_split_to_table(secrets, '[[:space:],]+') as part where part <> ''
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

-- In plpgsql, as the other small functions here: with a search_path of its own a SQL function is planned at each call.
create or replace function pause_status.backoff(attempt integer)
returns interval
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Between half and all of the doubled delay: what failed together must not come back together.
  return (
    select make_interval(
      secs => least(s.retry_cap_seconds, s.retry_base_seconds * 2.0 ^ (least(greatest(attempt, 1), 31) - 1))
        * (0.5 + random() / 2)
    )
    from pause_status.settings s
  );
end
$$;
comment on function pause_status.backoff(integer) is
  'How long to wait after this many failures: exponential, capped, with jitter.';

create or replace function pause_status.shorten(message text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when octet_length(message) <= 2048 then message else left(message, 512) end;
end
$$;
comment on function pause_status.shorten(text) is 'Makes a message fit last_error: 512 characters are at most 2 KB.';

create or replace function pause_status.vault_secret(name text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  found_secret text;
begin
  if to_regclass('vault.decrypted_secrets') is null then
    raise exception 'Vault is not installed: run create extension supabase_vault with schema vault'
      using errcode = 'undefined_object';
  end if;
  select btrim(s.decrypted_secret, ' ' || chr(9) || chr(10) || chr(13)) into found_secret
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

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
