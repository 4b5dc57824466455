-- A stand-in for supabase_vault 0.3.1, which encrypts with libsodium in C and cannot be built here.
--
-- The same: names, arguments, columns, the unique name, and hosted Supabase's grants.
-- Not the same: NOTHING IS ENCRYPTED. The column "secret" holds the plain text in base64. Keep no real secret in it.
\echo Use "create extension supabase_vault" to load this file. \quit

create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default uuid_send(gen_random_uuid()),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
comment on table vault.secrets is 'Stand-in for the encrypted table: base64, not encrypted.';

create unique index secrets_name_idx on vault.secrets (name) where name is not null;

create view vault.decrypted_secrets as
select
  stored.id,
  stored.name,
  stored.description,
  stored.secret,
  convert_from(decode(stored.secret, 'base64'), 'utf8') as decrypted_secret,
  stored.key_id,
  stored.nonce,
  stored.created_at,
  stored.updated_at
from vault.secrets as stored;

create function vault._conceal(secret text) returns text
language sql immutable strict set standard_conforming_strings = on as $$
  select replace(encode(convert_to(secret, 'utf8'), 'base64'), E'\n', '')
$$;

create function vault.create_secret(
  new_secret text,
  new_name text default null,
  new_description text default '',
  new_key_id uuid default null
) returns uuid
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into vault.secrets (secret, name, description)
  values (vault._conceal(new_secret), new_name, new_description)
  returning id
$$;

create function vault.update_secret(
  secret_id uuid,
  new_secret text default null,
  new_name text default null,
  new_description text default null,
  new_key_id uuid default null
) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update vault.secrets set
    secret = coalesce(vault._conceal(new_secret), secret),
    name = coalesce(new_name, name),
    description = coalesce(new_description, description),
    updated_at = now()
  where id = secret_id
$$;

revoke all on all functions in schema vault from public;

grant usage on schema vault to postgres with grant option;
grant select, delete, truncate, references on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid)
to postgres with grant option;
grant usage on schema vault to service_role;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function
  vault.create_secret(text, text, text, uuid),
  vault.update_secret(uuid, text, text, text, uuid)
to service_role;

select pg_catalog.pg_extension_config_dump('vault.secrets', '');
