-- Purpose: the tables of the outbox: topics, keys, events, attempts, dead letters, deliveries, alerts.
-- Locks:   none on existing tables.
-- Undo:    drop schema outbox cascade;

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create table if not exists outbox.topics (
  topic text,
  relation text,
  key_column text,
  key_type text,
  unique_key boolean not null default true,
  columns text[],
  operations text[] not null default '{UPDATE}',
  words jsonb not null default '{}',
  condition text,
  payload text,
  latest_only boolean not null default false,
  fed_by text not null default 'outbox',
  visible_to text,
  function_url text not null default 'outbox_function_url',
  max_attempts integer,
  created_at timestamptz not null default clock_timestamp(),
  constraint topics_pkey primary key (topic),
  -- 40 characters leave room for a suffix in a PostgreSQL name.
  constraint topics_are_words_with_hyphens check (topic ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' and length(topic) <= 40),
  constraint topics_watch_insert_or_update check (
    operations <@ array['INSERT', 'UPDATE'] and cardinality(operations) > 0
  ),
  constraint topics_are_fed_by_outbox_or_webhook check (fed_by in ('outbox', 'webhook')),
  constraint topics_max_attempts_is_1_to_100 check (max_attempts between 1 and 100)
);
comment on table outbox.topics is 'What is watched. Declared with outbox.watch(), removed with outbox.unwatch().';
comment on column outbox.topics.relation is 'The watched table, as schema.table.';
comment on column outbox.topics.key_type is
  'The type of the key when the topic was declared. As another type, the same key would be another text.';
comment on column outbox.topics.unique_key is
  'False if several rows may have the same key. Then each inserted row is an event, and nothing is reconciled.';
comment on column outbox.topics.words is 'For a column, the words to send and the values that mean them.';
comment on column outbox.topics.condition is 'SQL over old and new. If it is false, there is no event.';
comment on column outbox.topics.payload is 'SQL over new that returns the record. Null: the key and the columns.';
comment on column outbox.topics.latest_only is 'Only the last of a key''s waiting events is sent.';
comment on column outbox.topics.fed_by is
  'outbox: our triggers report changes; webhook: only stock database webhooks do, and nothing is reconciled.';
comment on column outbox.topics.visible_to is 'A function of a user''s id: the keys whose events the user may see.';
comment on column outbox.topics.function_url is 'The Vault secret with the URL of the Edge Function.';
comment on column outbox.topics.max_attempts is 'Overrides settings.max_attempts.';

create or replace trigger topics_replace_row before insert on outbox.topics
  for each row when (new.created_at < now()) execute function outbox.replace_row();
alter table outbox.topics enable always trigger topics_replace_row;

create table if not exists outbox.keys (
  topic text,
  key text,
  version bigint not null default 0,
  known jsonb,
  was jsonb,
  -- Key first, here and below: otherwise the planner may scan all of a topic to find some of its keys.
  constraint keys_pkey primary key (key, topic),
  constraint keys_count_up check (version >= 0)
)
-- Leaves room for a row's next version on its page, so that updates do not touch the index.
with (fillfactor = 50);
comment on table outbox.keys is
  'What was last queued for each key. Written only under the lock of its row in the watched table. Outlives that row, so '
  'that no version is used twice.';
comment on column outbox.keys.version is 'The key''s last version; 0 before the first.';
comment on column outbox.keys.known is
  'Known state: the watched columns as last queued or first seen. Capture and reconcile() compare with it.';
comment on column outbox.keys.was is
  'The known state before the last change, if that change made an event; JSON null for an insert.';

create table if not exists outbox.events (
  event_id uuid default gen_random_uuid(),
  topic text not null,
  key text not null,
  version bigint,
  type text not null,
  record jsonb not null,
  old_record jsonb,
  occurred_at timestamptz,
  occurred_as text,
  source text not null,
  forced boolean not null default false,
  redrives integer not null default 0,
  traceparent text,
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
  leads jsonb,
  last_error text,
  receipt jsonb,
  created_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  dead_letter_id uuid,
  constraint events_pkey primary key (event_id),
  constraint events_give_a_version_once unique (topic, key, version),
  -- Few constraints, because every statement that writes here compiles all of them.
  constraint events_of_the_outbox_have_a_version check (
    case source when 'outbox' then version >= 1 and occurred_at is not null when 'webhook' then version is null end
  ),
  constraint events_status_agrees_with_columns check (
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
  constraint events_delivery_was_dispatched check (
    delivery_id is null or (dispatch_reason is not null and last_dispatched_at is not null)
  ),
  constraint events_failures_have_times check (
    own_failures between 0 and failures
    and (failures = 0 or first_failed_at is not null) and (first_failed_at is null) = (last_failed_at is null)
  ),
  constraint events_last_error_is_at_most_2_kb check (octet_length(last_error) <= 2048)
)
-- A fixed threshold: settled rows stay, so a share of the table would let dead versions of the few live rows pile up.
with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table outbox.events is
  'The outbox, the record of truth: one row per event, written by the transaction that made the change.';
comment on column outbox.events.event_id is
  'The same id from end to end: webhook-id, Idempotency-Key, event_id of the notification.';
comment on column outbox.events.key is 'The key of the watched row, as text. Events are ordered by key.';
comment on column outbox.events.version is 'Counts per key, under the row lock. Null for a stock webhook.';
comment on column outbox.events.record is 'The watched columns after the change, as they are sent.';
comment on column outbox.events.occurred_at is
  'Null if a stock webhook''s text is no time. Identifies events, never orders them.';
comment on column outbox.events.occurred_as is 'The text of a stock webhook''s time. Null for what we captured.';
comment on column outbox.events.source is 'outbox: captured and sent by us; webhook: sent, and sent again, by others.';
comment on column outbox.events.forced is 'A person redrove it although a later event is settled.';
comment on column outbox.events.redrives is
  'How often it was redriven. Part of the idempotency key of work that a topic starts elsewhere.';
comment on column outbox.events.traceparent is
  'From the request that made the change, if PostgREST received one. Otherwise the event id names the trace.';
comment on column outbox.events.attempts is 'How often it was sent, or claimed without a dispatch.';
comment on column outbox.events.failures is 'Failures since it was queued or redriven.';
comment on column outbox.events.own_failures is
  'Failures between which another event was completed, so that this event is to blame.';
comment on column outbox.events.claim_token is 'Fencing token: grows with each claim. An older one changes nothing.';
comment on column outbox.events.next_attempt_at is
  'When the sweep may send it; during a delivery, when that counts as unacknowledged. Infinity while it waits behind an '
  'earlier event of its key. Null while claimed or settled, and for stock webhooks.';
comment on column outbox.events.dispatch_reason is 'commit, settled, sweep, redrive or reconcile.';
comment on column outbox.events.delivery_id is 'webhook-id of its request: the event id if it is alone.';
comment on column outbox.events.leads is
  'On the first event of a request: the bodies that the commit posts. Otherwise, and once claimed, null.';
-- Not compressed: it is read once, at the commit, and compressing it would take a third of the request's cost.
alter table outbox.events alter column leads set storage external;
comment on column outbox.events.receipt is 'The topic''s answer, which duplicates get too.';

-- Two indexes, so that the sweep finds events under way without reading those that wait, and the reverse.
create index if not exists events_due_idx on outbox.events (next_attempt_at)
  where status = 'pending' and delivery_id is null;
create index if not exists events_under_way_idx on outbox.events (next_attempt_at)
  where status = 'pending' and delivery_id is not null;
create index if not exists events_leases_idx on outbox.events (lease_expires_at) where status = 'processing';
-- Key first here too: to the planner, the rows of one topic seem to be in order.
create index if not exists events_unsettled_idx on outbox.events (key, topic, version)
  where status in ('pending', 'processing');
create index if not exists events_oldest_idx on outbox.events (created_at)
  where status in ('pending', 'processing') and (source = 'outbox' or last_dispatched_at is not null);
create index if not exists events_completed_idx on outbox.events (topic, completed_at)
  where status = 'completed';
create index if not exists events_reached_nobody_idx on outbox.events (completed_at)
  where status = 'completed' and receipt -> 'notified' = '0' and not receipt ? 'acknowledged';
create index if not exists events_dead_letter_id_idx on outbox.events (dead_letter_id) where dead_letter_id is not null;
-- Ascending, although it is read from its end: inserts at the right edge of a btree are cheap and dense.
create index if not exists events_created_at_idx on outbox.events (topic, created_at, event_id);

-- No foreign keys: history may outlive its event, and a dump restores tables in any order.
create table if not exists outbox.attempts (
  -- No sequence: logical replication does not copy its position, and then every settlement would fail.
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
  constraint attempts_pkey primary key (id),
  constraint attempts_outcome_is_known check (
    outcome in ('completed', 'permanent', 'transient', 'parked', 'lease', 'unacknowledged', 'rejected', 'dispatch')
  ),
  constraint attempts_error_is_at_most_2_kb check (octet_length(error) <= 2048),
  constraint attempts_failure_has_error check ((outcome = 'completed') = (error is null)),
  constraint attempts_count_up check (attempt >= 0 and duration_ms >= 0)
);
create index if not exists attempts_event_id_idx on outbox.attempts (event_id, ended_at);
create index if not exists attempts_ended_at_idx on outbox.attempts (ended_at);
create index if not exists attempts_unauthorized_idx on outbox.attempts (ended_at)
  where http_status = 401 and claim_token is null;
comment on table outbox.attempts is 'History, append-only: one row when an attempt ends.';
comment on column outbox.attempts.outcome is
  'completed; permanent, transient, parked (the handler released it); lease (expired); unacknowledged (never claimed); '
  'rejected (the handler answered 400 or 422); dispatch (could not be sent; one row for each new reason).';
comment on column outbox.attempts.duration_ms is 'Milliseconds of the handler''s work: as reported, or since the claim.';

create table if not exists outbox.dead_letters (
  id uuid default gen_random_uuid(),
  event_id uuid not null,
  topic text not null,
  key text not null,
  version bigint,
  reason text not null,
  attempts integer not null,
  first_failed_at timestamptz not null,
  last_failed_at timestamptz not null,
  last_error text not null,
  created_at timestamptz not null default clock_timestamp(),
  resolution text,
  resolved_at timestamptz,
  notes text,
  constraint dead_letters_pkey primary key (id),
  constraint dead_letters_event_id_fkey foreign key (event_id) references outbox.events (event_id) on delete cascade,
  constraint dead_letters_reason_is_known check (reason in ('rejected', 'refused', 'exhausted', 'cancelled')),
  constraint dead_letters_resolution_is_known check (resolution in ('redriven', 'resolved')),
  constraint dead_letters_resolution_has_time check ((resolution is null) = (resolved_at is null)),
  constraint dead_letters_first_is_not_after_last check (first_failed_at <= last_failed_at),
  constraint dead_letters_last_error_is_at_most_2_kb check (octet_length(last_error) <= 2048),
  constraint dead_letters_notes_are_at_most_8_kb check (octet_length(notes) <= 8192)
);
create unique index if not exists dead_letters_one_open_per_event_idx on outbox.dead_letters (event_id)
  where resolution is null;
create index if not exists dead_letters_event_id_idx on outbox.dead_letters (event_id);
create index if not exists dead_letters_created_at_idx on outbox.dead_letters (created_at);
create index if not exists dead_letters_resolved_at_idx on outbox.dead_letters (resolved_at)
  where resolution = 'resolved';
comment on table outbox.dead_letters is
  'Events that failed for good, until a person redrives or resolves them. They do not block later events.';
comment on column outbox.dead_letters.reason is
  'rejected: the handler answered 400 or 422; refused: the topic will never accept it; exhausted: given up, with the '
  'reason at the end of last_error; cancelled: by a person.';
comment on column outbox.dead_letters.resolution is 'Null while open; redriven or resolved by a person.';

-- Unlogged like pg_net's own tables: after a crash pg_net counts its request ids from 1 again, and nothing here may name
-- the old ones.
create unlogged table if not exists outbox.deliveries (
  id uuid,
  request_id bigint,
  error text,
  event_ids uuid[],
  dispatched_at timestamptz not null default clock_timestamp(),
  constraint deliveries_pkey primary key (id),
  constraint deliveries_were_sent_or_say_why_not check ((request_id is null) = (error is not null))
);
create index if not exists deliveries_dispatched_at_idx on outbox.deliveries (dispatched_at);
create index if not exists deliveries_failed_idx on outbox.deliveries (dispatched_at) where error is not null;
comment on table outbox.deliveries is 'Requests that were handed to pg_net, and those that could not be.';
comment on column outbox.deliveries.id is 'The webhook-id of the request.';
comment on column outbox.deliveries.event_ids is 'The events of a request that could not be handed over.';

create or replace function outbox.skip_row() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end
$$;
comment on function outbox.skip_row() is 'Skips a restored row that means nothing in this database.';

-- In this database, pg_net uses that number for another request.
create or replace trigger deliveries_skip_restored before insert on outbox.deliveries
  for each row when (new.dispatched_at < now()) execute function outbox.skip_row();
alter table outbox.deliveries enable always trigger deliveries_skip_restored;

create table if not exists outbox.rechecks (
  id uuid default gen_random_uuid(),
  topic text not null,
  key text,
  reason text,
  created_at timestamptz not null default clock_timestamp(),
  constraint rechecks_pkey primary key (id)
);
create index if not exists rechecks_created_at_idx on outbox.rechecks (created_at);
comment on table outbox.rechecks is
  'Changes that capture could not compare, and that must not fail because of it. The sweep compares them again.';
comment on column outbox.rechecks.key is 'Null if the trigger could not even read the key.';
comment on column outbox.rechecks.reason is 'The error to raise an alert for; null for a mere conflict.';

create table if not exists outbox.erased (
  event_id uuid,
  fingerprint text not null,
  erased_at timestamptz not null default clock_timestamp(),
  constraint erased_pkey primary key (event_id),
  constraint erased_fingerprint_is_concealed check (fingerprint ~ '^sha256:[0-9a-f]{32}:[0-9a-f]{64}$')
);
create index if not exists erased_erased_at_idx on outbox.erased (erased_at);
comment on table outbox.erased is
  'Tombstones of events that a person erased, so that a later delivery of one is a duplicate.';
comment on column outbox.erased.fingerprint is 'Salted and hashed, because the plain text would name the key and the time.';

create table if not exists outbox.receipts (
  event_id uuid,
  fingerprint text not null,
  receipt jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint receipts_pkey primary key (event_id)
);
create index if not exists receipts_created_at_idx on outbox.receipts (created_at);
comment on table outbox.receipts is
  'The idempotency keys of topics whose work ends in this database: the answer to each event, so that a repetition gets '
  'the same one. If nobody was notified, a repetition tries again.';

create table if not exists outbox.handled_keys (
  topic text,
  key text,
  version bigint not null,
  constraint handled_keys_pkey primary key (key, topic)
);
comment on table outbox.handled_keys is
  'The highest version of each key that such a topic has handled. Later requests with a lower one are refused.';

create table if not exists outbox.alerts (
  id uuid default gen_random_uuid(),
  kind text not null,
  opened_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  closed_at timestamptz,
  value numeric not null,
  threshold numeric not null,
  detail text not null,
  constraint alerts_pkey primary key (id),
  constraint alerts_kind_is_known check (
    kind in (
      'oldest_unnotified', 'dead_letters', 'no_recipients', 'failure_rate', 'stuck_leases', 'unauthorized',
      'sweep_silent', 'capture_missing', 'capture_failed', 'job_missing', 'job_failing', 'unknown_event', 'clock_skew'
    )
  ),
  constraint alerts_close_after_they_open check (closed_at >= opened_at)
);
create unique index if not exists alerts_one_open_per_kind_idx on outbox.alerts (kind) where closed_at is null;
comment on table outbox.alerts is 'One row for each problem, from its beginning to its end.';
comment on column outbox.alerts.value is
  'The last value while it was open; for unknown_event, clock_skew and capture_failed, how many there were.';
comment on column outbox.alerts.detail is 'What to do about it.';

-- A restored alert replaces the open one of its kind.
create or replace trigger alerts_replace_row before insert on outbox.alerts
  for each row when (new.closed_at is null and new.opened_at < now()) execute function outbox.replace_row();
alter table outbox.alerts enable always trigger alerts_replace_row;

create or replace function outbox.raise_alert(kind text, amount numeric, detail text) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
  -- Skips a row that another session is raising: no delivery waits for a counter.
  perform from outbox.alerts a where a.kind = raise_alert.kind and a.closed_at is null for update skip locked;
  if found then
    update outbox.alerts a
    set value = a.value + amount, detail = raise_alert.detail, last_seen_at = clock_timestamp()
    where a.kind = raise_alert.kind and a.closed_at is null;
  elsif not exists (select from outbox.alerts a where a.kind = raise_alert.kind and a.closed_at is null) then
    insert into outbox.alerts (kind, value, threshold, detail)
    values (raise_alert.kind, amount, 1, raise_alert.detail);
  end if;
exception when others then
  raise warning 'alert % is not raised (%): %', kind, sqlerrm, detail;
end
$$;
comment on function outbox.raise_alert(text, numeric, text) is
  'Opens an alert of this kind, or adds to the open one. Never raises an error and never waits.';

do $$
declare
  name text;
begin
  foreach name in array array[
    'topics', 'keys', 'events', 'attempts', 'dead_letters', 'deliveries', 'rechecks', 'erased', 'receipts',
    'handled_keys', 'alerts'
  ] loop
    execute format('alter table outbox.%I enable row level security', name);
  end loop;
end
$$;
revoke all on all tables in schema outbox from public, anon, authenticated, service_role;
revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
