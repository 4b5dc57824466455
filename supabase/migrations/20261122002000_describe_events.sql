-- Purpose: how an event, an attempt and a dead letter look to the people who manage them.
-- Locks:   none on existing tables.
-- Undo:    drop function pause_status.describe_dead_letter(pause_status.dead_letter_queue),
--          pause_status.describe_attempt(pause_status.webhook_attempts),
--          pause_status.describe_event(pause_status.webhook_queue).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.describe_event(event pause_status.webhook_queue)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'eventId', event.event_id,
    'mentorId', event.mentor_id,
    'transition', event.transition,
    'oldStatus', event.old_status,
    'newStatus', event.new_status,
    'occurredAt', pause_status.iso(event.occurred_at),
    'version', event.version,
    'source', event.source,
    'status', event.status,
    'attemptCount', event.attempts,
    'failures', event.failures,
    'createdAt', pause_status.iso(event.created_at),
    'completedAt', pause_status.iso(event.completed_at),
    -- Infinity, while it waits behind another event, is no time.
    'nextAttemptAt', pause_status.iso(nullif(event.next_attempt_at, 'infinity')),
    'lastError', event.last_error,
    'receipt', event.receipt,
    'reachedNobody', pause_status.reached_nobody(event)
  );
end
$$;
comment on function pause_status.describe_event(pause_status.webhook_queue) is 'An event as the REST contract has it.';

create or replace function pause_status.describe_attempt(attempt pause_status.webhook_attempts)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'attempt', attempt.attempt,
    'why', attempt.why,
    'outcome', attempt.outcome,
    'dispatchedAt', pause_status.iso(attempt.dispatched_at),
    'endedAt', pause_status.iso(attempt.ended_at),
    'httpStatus', attempt.http_status,
    'error', attempt.error,
    'durationMs', attempt.duration_ms
  );
end
$$;
comment on function pause_status.describe_attempt(pause_status.webhook_attempts) is
  'An attempt as the REST contract has it.';

create or replace function pause_status.describe_dead_letter(letter pause_status.dead_letter_queue)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'id', letter.id,
    'reason', letter.reason,
    'attempts', letter.attempts,
    'firstFailedAt', pause_status.iso(letter.first_failed_at),
    'lastFailedAt', pause_status.iso(letter.last_failed_at),
    'lastError', letter.last_error,
    'createdAt', pause_status.iso(letter.created_at),
    'resolution', letter.resolution,
    'resolvedAt', pause_status.iso(letter.resolved_at),
    'notes', letter.notes
  );
end
$$;
comment on function pause_status.describe_dead_letter(pause_status.dead_letter_queue) is
  'A dead letter as the REST contract has it.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
