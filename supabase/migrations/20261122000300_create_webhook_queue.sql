-- Purpose: the outbox: what was last queued for each mentor, the queue, the requests.
-- Locks:   none on existing tables.
-- Undo:    drop table pause_status.webhook_queue, pause_status.mentor_states, pause_status.deliveries,
--          pause_status.rechecks cascade;
--          drop function pause_status.fingerprint(uuid, text, text, bigint), pause_status.iso(timestamptz),
--          pause_status.payload(uuid, uuid, text, text, bigint, text), pause_status.skip_row().

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create table if not exists pause_status.mentor_states (
  mentor_id uuid,
  version bigint not null default 0,
  known_status text,
  made_event boolean not null default false,
  constraint mentor_states_pkey primary key (mentor_id),
  constraint mentor_states_count_up check (version >= 0)
)
-- Room for a row's next version on its own page: then the index stays as it is.
with (fillfactor = 50);
comment on table pause_status.mentor_states is
  'What was last queued for each mentor. Written only under the lock of the mentor''s profile. A row outlives the '
  'profile, so that a version is never given twice.';
comment on column pause_status.mentor_states.version is 'The last version given to the mentor; 0 before the first.';
comment on column pause_status.mentor_states.known_status is
  'The status as last queued, or as first seen. Capture and reconcile() compare with it, not with the row before.';
comment on column pause_status.mentor_states.made_event is
  'Whether the last change of known_status made an event.';

create table if not exists pause_status.webhook_queue (
  event_id uuid default gen_random_uuid(),
  mentor_id uuid not null,
  version bigint,
  transition text not null,
  old_status text not null,
  new_status text not null,
  occurred_at timestamptz,
  source text not null,
  payload jsonb,
  fingerprint text not null,
  status text not null default 'pending',
  attempts integer not null default 0,
  failures integer not null default 0,
  own_failures integer not null default 0,
  first_failed_at timestamptz,
  last_failed_at timestamptz,
  claim_token bigint not null default 0,
  lease_expires_at timestamptz,
  next_attempt_at timestamptz,
  last_dispatched_at timestamptz,
  dispatch_reason text,
  delivery_id uuid,
  last_error text,
  receipt jsonb,
  created_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  dead_letter_id uuid,
  leads jsonb,
  constraint webhook_queue_pkey primary key (event_id),
  constraint webhook_queue_gives_a_version_once unique (mentor_id, version),
  -- Few, because every statement that writes here compiles all of them.
  constraint webhook_queue_only_outbox_has_version check (
    case source
      when 'outbox' then coalesce(version, 0) >= 1 and (payload is not null or occurred_at is not null)
      when 'webhook' then version is null and payload is not null
      else false
    end
  ),
  constraint webhook_queue_transition_agrees_with_statuses check (
    (transition = 'PAUSE' and old_status = 'active' and new_status = 'paused')
    or (transition = 'RESUME' and old_status = 'paused' and new_status = 'active')
  ),
  constraint webhook_queue_status_agrees_with_columns check (
    case status
      when 'pending' then
        (next_attempt_at is not null or source = 'webhook')
        and lease_expires_at is null and completed_at is null and receipt is null and dead_letter_id is null
      when 'processing' then
        lease_expires_at is not null
        and next_attempt_at is null and completed_at is null and receipt is null and dead_letter_id is null
      when 'completed' then
        completed_at is not null and receipt is not null
        and next_attempt_at is null and lease_expires_at is null and dead_letter_id is null
      when 'failed' then
        dead_letter_id is not null
        and next_attempt_at is null and lease_expires_at is null and completed_at is null and receipt is null
      else false
    end
  ),
  constraint webhook_queue_dispatch_reason_is_known check (
    dispatch_reason in ('commit', 'settled', 'sweep', 'redrive', 'reconcile')
  ),
  constraint webhook_queue_delivery_was_dispatched check (
    delivery_id is null or (dispatch_reason is not null and last_dispatched_at is not null)
  ),
  constraint webhook_queue_failures_have_times check (
    (failures = 0 or first_failed_at is not null) and (first_failed_at is null) = (last_failed_at is null)
  ),
  constraint webhook_queue_counts_up check (
    attempts >= 0 and own_failures between 0 and failures and claim_token >= 0
  ),
  constraint webhook_queue_last_error_is_at_most_2_kb check (octet_length(last_error) <= 2048)
)
-- Settled rows stay, so a share of the whole table would let the dead versions of the few live rows pile up.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table pause_status.webhook_queue is
  'The outbox, the record of truth: one row per transition, written by the transaction that made it.';
comment on column pause_status.webhook_queue.event_id is
  'One key from end to end: webhook-id, the orchestrator''s Idempotency-Key, the notification''s event_id.';
comment on column pause_status.webhook_queue.version is
  'Per-mentor counter given under the profile''s row lock: order without clocks. Null for a webhook from elsewhere.';
comment on column pause_status.webhook_queue.occurred_at is
  'When it happened; null when a sender''s text is no timestamp. It identifies, it never orders.';
comment on column pause_status.webhook_queue.source is
  'outbox: captured by our trigger and sent by us; webhook: sent, and sent again, by somebody else.';
comment on column pause_status.webhook_queue.payload is
  'What is sent, where the other columns do not say it: null for what our trigger captured. See payload_of().';
comment on column pause_status.webhook_queue.fingerprint is 'Tells another payload under the same event id apart.';
comment on column pause_status.webhook_queue.attempts is
  'How often the event was sent to the handler: dispatches, and claims of what was not dispatched.';
comment on column pause_status.webhook_queue.failures is
  'Failures since it was queued or redriven.';
comment on column pause_status.webhook_queue.own_failures is
  'Of these, those before which another event was completed since this one''s last failure: at settings.max_attempts '
  'it becomes a dead letter.';
comment on column pause_status.webhook_queue.claim_token is
  'Fencing token, one more for each claim: who comes late with an older one changes nothing.';
comment on column pause_status.webhook_queue.next_attempt_at is
  'When the sweep may send it (again), or, while a delivery is under way, when it counts as unacknowledged. Infinity '
  'while it waits behind an earlier event of the mentor; null while claimed or settled, and for stock webhooks.';
comment on column pause_status.webhook_queue.dispatch_reason is
  'What made the last dispatch: commit, settled (an earlier event was), sweep, redrive or reconcile.';
comment on column pause_status.webhook_queue.delivery_id is
  'webhook-id of the request it travels in: its own id when alone. Null while no delivery is under way.';
comment on column pause_status.webhook_queue.dead_letter_id is
  'The dead letter of a failed event, open or resolved.';
comment on column pause_status.webhook_queue.leads is
  'The body of the request that the commit posts, on the first event of each request. Null otherwise, and once claimed.';
comment on column pause_status.webhook_queue.last_error is 'Why it is not completed yet, or what to do about it.';
comment on column pause_status.webhook_queue.receipt is 'What the orchestrator answered; duplicates get it too.';

-- Two, so that the sweep finds what is under way without reading all that waits, and the other way round.
create index if not exists webhook_queue_due_idx on pause_status.webhook_queue (next_attempt_at)
  where status = 'pending' and delivery_id is null;
create index if not exists webhook_queue_under_way_idx on pause_status.webhook_queue (next_attempt_at)
  where status = 'pending' and delivery_id is not null;
create index if not exists webhook_queue_leases_idx on pause_status.webhook_queue (lease_expires_at)
  where status = 'processing';
create index if not exists webhook_queue_unsettled_idx on pause_status.webhook_queue (mentor_id, version)
  where status in ('pending', 'processing');
create index if not exists webhook_queue_completed_idx on pause_status.webhook_queue (completed_at)
  where status = 'completed';
create index if not exists webhook_queue_dead_letter_id_idx on pause_status.webhook_queue (dead_letter_id)
  where dead_letter_id is not null;

-- Unlogged like pg_net's own tables: after a crash pg_net counts its request ids from 1 again, and nothing here may name
-- the old ones.
create unlogged table if not exists pause_status.deliveries (
  id uuid,
  request_id bigint,
  error text,
  event_ids uuid[],
  dispatched_at timestamptz not null default clock_timestamp(),
  constraint deliveries_pkey primary key (id),
  constraint deliveries_were_sent_or_say_why_not check ((request_id is null) = (error is not null))
);
create index if not exists deliveries_dispatched_at_idx on pause_status.deliveries (dispatched_at);
create index if not exists deliveries_failed_idx on pause_status.deliveries (dispatched_at) where error is not null;
comment on table pause_status.deliveries is 'The requests that were handed to pg_net, and those that could not be.';
comment on column pause_status.deliveries.id is 'The webhook-id of the request.';
comment on column pause_status.deliveries.request_id is 'pg_net''s id of the request.';
comment on column pause_status.deliveries.error is 'Why it could not be handed over.';
comment on column pause_status.deliveries.event_ids is 'The events of a request that could not be handed over.';

create or replace function pause_status.skip_row()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return null;
end
$$;
comment on function pause_status.skip_row() is 'Leaves a row out that a restore brings and that means nothing here.';

-- Under that number pg_net has somebody else's request here, which must not be withdrawn or taken for an answer.
create or replace trigger deliveries_skip_restored
  before insert on pause_status.deliveries
  for each row
  when (new.dispatched_at < now())
  execute function pause_status.skip_row();
alter table pause_status.deliveries enable always trigger deliveries_skip_restored;

create table if not exists pause_status.rechecks (
  id uuid default gen_random_uuid(),
  mentor_id uuid,
  reason text,
  created_at timestamptz not null default clock_timestamp(),
  constraint rechecks_pkey primary key (id)
);
create index if not exists rechecks_created_at_idx on pause_status.rechecks (created_at);
comment on table pause_status.rechecks is
  'Changes that capture could not compare and that must not fail for it. The sweep looks at them again.';
comment on column pause_status.rechecks.mentor_id is 'Null when the trigger could not even read the mentor''s id.';
comment on column pause_status.rechecks.reason is 'The error to raise an alert for; null when it was only a conflict.';

alter table pause_status.deliveries enable row level security;
alter table pause_status.rechecks enable row level security;
alter table pause_status.mentor_states enable row level security;
alter table pause_status.webhook_queue enable row level security;
revoke all on all tables in schema pause_status from public, anon, authenticated, service_role;

-- In plpgsql, not in SQL: with a search_path of its own a SQL function is planned anew at each call, and these two run
-- for every row of a bulk update.
create or replace function pause_status.fingerprint(mentor uuid, transition text, occurred_at text, version bigint)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return mentor::text || ' ' || transition || ' ' || occurred_at || ' ' || coalesce(version::text, '-');
end
$$;
comment on function pause_status.fingerprint(uuid, text, text, bigint) is
  'What must be equal in two deliveries of one event. The time is the sender''s text: parsing would merge events.';

create or replace function pause_status.payload(
  event_id uuid,
  mentor_id uuid,
  old_status text,
  new_status text,
  version bigint,
  occurred_at text
)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- As text, because jsonb put together from its parts takes twice as long. Only the sender's time needs escaping.
  return format(
    '{"type": "UPDATE", "table": "peer_mentor_profiles", "schema": "public", "event_id": "%1$s"%2$s, '
      '"timestamp": %3$s, "record": {"id": "%4$s", "status": "%5$s"}, "old_record": {"id": "%4$s", "status": "%6$s"}}',
    event_id, ', "version": ' || version, to_json(occurred_at), mentor_id, new_status, old_status
  )::jsonb;
end
$$;
comment on function pause_status.payload(uuid, uuid, text, text, bigint, text) is
  'The body of a delivery, in the shape of a Supabase database webhook. It carries no profile data.';

create or replace function pause_status.iso(moment timestamptz)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
end
$$;
comment on function pause_status.iso(timestamptz) is
  'A time as ISO 8601 in UTC with all of its microseconds, whatever the session''s TimeZone and DateStyle are: as it is '
  'sent, it is part of the fingerprint.';

create or replace function pause_status.payload_of(event pause_status.webhook_queue)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(event.payload, pause_status.payload(
    event.event_id, event.mentor_id, event.old_status, event.new_status, event.version,
    pause_status.iso(event.occurred_at)
  ));
end
$$;
comment on function pause_status.payload_of(pause_status.webhook_queue) is
  'What is sent for an event: the same each time, because what it is made of never changes.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;
