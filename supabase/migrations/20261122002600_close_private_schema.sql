-- Purpose: takes from the private schema what a project's default privileges may have given to others.
-- Locks:   none on existing tables.
-- Undo:    nothing to undo: these privileges were never meant to be.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

-- Last, because the sequences of identity columns come with their tables: no other migration names them.
revoke all on all sequences in schema outbox from public, anon, authenticated, service_role;
revoke all on all tables in schema outbox from public, anon, authenticated, service_role;
revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on schema outbox from public, anon, authenticated, service_role;
