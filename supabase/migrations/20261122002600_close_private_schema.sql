-- Purpose: takes from the private schema what a project's default privileges may have given to others. Last, because
--          this covers what all other migrations have made.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

revoke all on all sequences in schema outbox from public, anon, authenticated, service_role;
revoke all on all tables in schema outbox from public, anon, authenticated, service_role;
revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on schema outbox from public, anon, authenticated, service_role;

notify pgrst, 'reload schema';
