-- The schemas that a hosted Supabase project has before its first migration, as far as this project can notice. Run by
-- the superuser supabase_admin in the database postgres, and in template1, so that a new database starts like it.

create schema extensions authorization postgres;
grant usage on schema extensions to public;

-- vault belongs to the platform and exists before its extension: "create extension … with schema vault" needs it.
create schema vault;

-- No default privileges in public on purpose: what a migration does not grant, the Data API must not reach.
grant usage on schema public to postgres, anon, authenticated, service_role;
