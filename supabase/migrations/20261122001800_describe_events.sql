-- Purpose: how an event, an attempt and a dead letter look to the people who manage them.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.describe_dead_letter(outbox.dead_letters),
--          outbox.describe_attempt(outbox.attempts),
--          outbox.describe_event(outbox.events).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.describe_event(event outbox.events) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object(
    'eventId', event.event_id,
    'topic', event.topic,
    'key', event.key,
    'type', event.type,
    'record', event.record,
    'oldRecord', event.old_record,
    'occurredAt', outbox.iso(event.occurred_at),
    'version', event.version,
    'source', event.source,
    'status', event.status,
    'attemptCount', event.attempts,
    'failures', event.failures,
    'createdAt', outbox.iso(event.created_at),
    'completedAt', outbox.iso(event.completed_at),
    -- Infinity, while it waits behind another event, is no time.
    'nextAttemptAt', outbox.iso(nullif(event.next_attempt_at, 'infinity')),
    'lastError', event.last_error,
    'receipt', event.receipt,
    'reachedNobody', outbox.reached_nobody(event)
  );
end
$$;
comment on function outbox.describe_event(outbox.events) is 'An event as the REST contract has it.';

create or replace function outbox.describe_attempt(attempt outbox.attempts) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object(
    'attempt', attempt.attempt,
    'why', attempt.why,
    'outcome', attempt.outcome,
    'dispatchedAt', outbox.iso(attempt.dispatched_at),
    'endedAt', outbox.iso(attempt.ended_at),
    'httpStatus', attempt.http_status,
    'error', attempt.error,
    'durationMs', attempt.duration_ms
  );
end
$$;
comment on function outbox.describe_attempt(outbox.attempts) is
  'An attempt as the REST contract has it.';

create or replace function outbox.describe_dead_letter(letter outbox.dead_letters) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_build_object(
    'id', letter.id,
    'reason', letter.reason,
    'attempts', letter.attempts,
    'firstFailedAt', outbox.iso(letter.first_failed_at),
    'lastFailedAt', outbox.iso(letter.last_failed_at),
    'lastError', letter.last_error,
    'createdAt', outbox.iso(letter.created_at),
    'resolution', letter.resolution,
    'resolvedAt', outbox.iso(letter.resolved_at),
    'notes', letter.notes
  );
end
$$;
comment on function outbox.describe_dead_letter(outbox.dead_letters) is
  'A dead letter as the REST contract has it.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
