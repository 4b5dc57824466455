-- Purpose: what a delivery needs: its body, the secrets from Vault, the signature, the wait before a retry.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- The trace and the event's span in it. Both follow from the event id, so nothing has to be stored.
create or replace function outbox.traceparent(event_id uuid, incoming text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  id constant text := translate(event_id::text, '-', '');
begin
  return format(
    '00-%s-%s-%s', coalesce(substr(incoming, 4, 32), id), right(id, 16), coalesce(right(incoming, 2), '01')
  );
end
$$;
comment on function outbox.traceparent(uuid, text) is
  'The traceparent that travels with an event: in the incoming trace, or in one named by the event id.';

create or replace function outbox.body(event outbox.events) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  -- Null once the topic is no longer watched.
  relation constant text[] := (select parse_ident(t.relation) from outbox.topics t where t.topic = event.topic);
begin
  return jsonb_build_object(
    'topic', event.topic, 'type', event.type, 'event_id', event.event_id, 'record', event.record,
    'old_record', event.old_record, 'timestamp', coalesce(event.occurred_as, outbox.iso(event.occurred_at)),
    'traceparent', outbox.traceparent(event.event_id, event.traceparent)
  )
    || case when relation is null then '{}' else jsonb_build_object('schema', relation[1], 'table', relation[2]) end
    || case when event.version is null then '{}' else jsonb_build_object('version', event.version) end
    || case event.redrives when 0 then '{}' else jsonb_build_object('redrive', event.redrives) end
    || case when event.forced then jsonb '{"force": true}' else '{}' end;
end
$$;
comment on function outbox.body(outbox.events) is
  'The body sent for an event, in the shape of a Supabase database webhook. The same until it is redriven.';

create or replace function outbox.sign(id text, unix_seconds bigint, body text, secrets text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  parts constant text[] := regexp_split_to_array(secrets, '[[:space:],]+');
  content constant bytea := convert_to(id || '.' || unix_seconds || '.' || body, 'UTF8');
begin
  -- Checked before decoding, because an error of decode() would quote the secret.
  if exists (
    select from unnest(parts) as secret
    where secret !~ '^whsec_([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$'
  ) then
    raise exception 'the Vault secret outbox_webhook_secret is not of the form whsec_<base64>: update it'
      using errcode = 'invalid_parameter_value';
  end if;
  return (
    select string_agg(
      'v1,' || encode(extensions.hmac(content, decode(substr(secret, 7), 'base64'), 'sha256'), 'base64'), ' '
    )
    from unnest(parts) as secret
  );
end
$$;
comment on function outbox.sign(text, bigint, text, text) is
  'The webhook-signature header of Standard Webhooks: one signature per secret, so that secrets can be rotated.';

create or replace function outbox.backoff(attempt integer) returns interval
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  -- Between half and all of the doubled delay, so that events that failed together do not come back together.
  return (
    select make_interval(
      secs => least(s.retry_cap_seconds, s.retry_base_seconds * 2.0 ^ (least(greatest(attempt, 1), 31) - 1))
        * (0.5 + random() / 2)
    )
    from outbox.settings s
  );
end
$$;
comment on function outbox.backoff(integer) is 'The wait after this many failures: exponential, capped, with jitter.';

create or replace function outbox.vault_secret(name text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  found_secret text;
begin
  if to_regclass('vault.decrypted_secrets') is null then
    raise exception 'Vault is not installed: run create extension supabase_vault with schema vault'
      using errcode = 'undefined_object';
  end if;
  select btrim(s.decrypted_secret, ', ' || chr(9) || chr(10) || chr(13)) into found_secret
  from vault.decrypted_secrets s
  where s.name = vault_secret.name;
  if coalesce(found_secret, '') = '' then
    raise exception 'Vault has no secret named %: run select vault.create_secret(''…'', ''%'')', name, name
      using errcode = 'undefined_object';
  end if;
  return found_secret;
end
$$;
comment on function outbox.vault_secret(text) is 'The secret of this name, or an error that says how to store it.';

create or replace function outbox.handler_address(topic text, out function_url text, out secrets text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  name text := coalesce(
    (select t.function_url from outbox.topics t where t.topic = handler_address.topic), 'outbox_function_url'
  );
begin
  function_url := outbox.vault_secret(name);
  if function_url !~* '^https?://[^/?#[:space:]]' then
    raise exception 'the Vault secret % is no absolute http(s) URL: update it', name
      using errcode = 'invalid_parameter_value';
  end if;
  secrets := outbox.vault_secret('outbox_webhook_secret');
end
$$;
comment on function outbox.handler_address(text) is
  'Where a topic''s events are sent and the secrets that sign them, or an error that says what is missing.';
