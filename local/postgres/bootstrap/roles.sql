-- The roles that a hosted Supabase project has before its first migration. Run once per cluster, by the superuser
-- supabase_admin. __PASSWORD__ is replaced by the launcher.

create role postgres login createdb createrole replication bypassrls password '__PASSWORD__';
create role anon nologin;
create role authenticated nologin;
create role service_role nologin bypassrls;
create role authenticator login noinherit password '__PASSWORD__';

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;

alter database postgres owner to postgres;
alter role postgres set search_path = "$user", public, extensions;
alter role supabase_admin set search_path = "$user", public, extensions;

-- The time limits of the Data API: a statement that is too slow for hosted Supabase must be too slow here.
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
