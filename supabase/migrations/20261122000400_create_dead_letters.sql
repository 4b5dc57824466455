-- Purpose: what became of each attempt, and the events that failed for good.
-- Locks:   none on existing tables.
-- Undo:    drop table pause_status.dead_letter_queue, pause_status.webhook_attempts.

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

-- No foreign key to the queue: it would cost a lookup for every attempt, and history may outlive its event.
create table if not exists pause_status.webhook_attempts (
  -- No sequence: logical replication does not copy its position, and every settle would fail.
  id uuid default gen_random_uuid(),
  event_id uuid not null,
  attempt integer not null,
  why text,
  dispatched_at timestamptz,
  delivery_id uuid,
  claim_token bigint,
  outcome text not null,
  http_status integer,
  error text,
  duration_ms integer,
  ended_at timestamptz not null default clock_timestamp(),
  constraint webhook_attempts_pkey primary key (id),
  constraint webhook_attempts_outcome_is_known check (
    outcome in (
      'completed', 'permanent', 'transient', 'parked', 'lease', 'unacknowledged', 'rejected', 'dispatch'
    )
  ),
  constraint webhook_attempts_why_is_known check (why in ('commit', 'settled', 'sweep', 'redrive', 'reconcile')),
  constraint webhook_attempts_error_is_at_most_2_kb check (octet_length(error) <= 2048),
  constraint webhook_attempts_failure_has_error check ((outcome = 'completed') = (error is null)),
  constraint webhook_attempts_count_up check (attempt >= 0 and duration_ms >= 0)
);
create index if not exists webhook_attempts_event_id_idx on pause_status.webhook_attempts (event_id, ended_at);
create index if not exists webhook_attempts_ended_at_idx on pause_status.webhook_attempts (ended_at);
comment on table pause_status.webhook_attempts is
  'History, only ever added to: one row when an attempt ends, whatever ended it.';
comment on column pause_status.webhook_attempts.attempt is
  'The event''s count of dispatches (or of claims, when somebody else sent it) when the attempt ended.';
comment on column pause_status.webhook_attempts.why is
  'What made the dispatch; null when somebody else sent the event.';
comment on column pause_status.webhook_attempts.claim_token is 'The token of the claim that ended; null without one.';
comment on column pause_status.webhook_attempts.outcome is
  'completed; permanent, transient, parked (the handler gave it back); lease (ran out); unacknowledged (never '
  'claimed); rejected (the handler, called without pg_net, answered 400 or 422); dispatch (could not be '
  'sent at all: one row for each new reason).';
comment on column pause_status.webhook_attempts.duration_ms is 'Milliseconds the handler worked on it, as it says.';

-- The queue's dead_letter_id has no foreign key: with two that point at each other, no order of tables restores a dump.
create table if not exists pause_status.dead_letter_queue (
  id uuid default gen_random_uuid(),
  event_id uuid not null,
  mentor_id uuid not null,
  version bigint,
  reason text not null,
  payload jsonb not null,
  attempts integer not null,
  first_failed_at timestamptz not null,
  last_failed_at timestamptz not null,
  last_error text not null,
  created_at timestamptz not null default clock_timestamp(),
  resolution text,
  resolved_at timestamptz,
  notes text,
  constraint dead_letter_queue_pkey primary key (id),
  constraint dead_letter_queue_event_id_fkey foreign key (event_id)
    references pause_status.webhook_queue (event_id) on delete cascade,
  constraint dead_letter_queue_reason_is_known check (
    reason in ('rejected', 'refused', 'exhausted', 'cancelled')
  ),
  constraint dead_letter_queue_resolution_is_known check (resolution in ('redriven', 'resolved')),
  constraint dead_letter_queue_resolution_has_time check ((resolution is null) = (resolved_at is null)),
  constraint dead_letter_queue_first_is_not_after_last check (first_failed_at <= last_failed_at),
  constraint dead_letter_queue_last_error_is_at_most_2_kb check (octet_length(last_error) <= 2048),
  constraint dead_letter_queue_notes_are_at_most_8_kb check (octet_length(notes) <= 8192)
);
create unique index if not exists dead_letter_queue_one_open_per_event_idx
  on pause_status.dead_letter_queue (event_id) where resolution is null;
create index if not exists dead_letter_queue_event_id_idx on pause_status.dead_letter_queue (event_id);
create index if not exists dead_letter_queue_created_at_idx on pause_status.dead_letter_queue (created_at);
comment on table pause_status.dead_letter_queue is
  'Events that failed for good, until a person redrives or resolves them. They do not hold up their successors.';
comment on column pause_status.dead_letter_queue.reason is
  'rejected: the handler, called without pg_net, answered 400 or 422; refused: the orchestrator would never accept '
  'it; exhausted: given up, for the reason that last_error ends with; cancelled: a person withdrew it.';
comment on column pause_status.dead_letter_queue.attempts is 'How often the event had been sent when it failed.';
comment on column pause_status.dead_letter_queue.resolution is
  'Null while open; redriven: it was sent again; resolved: a person closed it.';

alter table pause_status.webhook_attempts enable row level security;
alter table pause_status.dead_letter_queue enable row level security;
revoke all on all tables in schema pause_status from public, anon, authenticated, service_role;
