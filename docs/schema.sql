-- Written by npm run db:dump from supabase/migrations. Do not edit.

create schema outbox;
comment on schema outbox is 'The outbox. Private: other roles use it only through the functions public.outbox_*.';

create type outbox.pause_event as (
  place bigint,
  problem text,
  event_id uuid,
  mentor_id text,
  transition text,
  version bigint,
  forced boolean,
  fingerprint text
);
comment on type outbox.pause_event is 'An element of an array of PauseEvents, or what is wrong with it.';

create table outbox.alerts (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  opened_at timestamp with time zone not null default clock_timestamp(),
  last_seen_at timestamp with time zone not null default clock_timestamp(),
  closed_at timestamp with time zone,
  value numeric not null,
  threshold numeric not null,
  detail text not null,
  last_notice text,
  last_notice_at timestamp with time zone,
  notice_error text,
  constraint alerts_pkey PRIMARY KEY (id),
  constraint alerts_close_after_they_open CHECK (closed_at >= opened_at),
  constraint alerts_kind_is_known CHECK (kind = ANY (ARRAY['oldest_unnotified'::text, 'dead_letters'::text, 'no_recipients'::text, 'failure_rate'::text, 'stuck_leases'::text, 'unauthorized'::text, 'sweep_silent'::text, 'capture_missing'::text, 'capture_failed'::text, 'job_missing'::text, 'job_failing'::text, 'unknown_event'::text, 'clock_skew'::text])),
  constraint alerts_last_notice_is_known CHECK (last_notice = ANY (ARRAY['opened'::text, 'open'::text, 'closed'::text])),
  constraint alerts_notice_error_is_at_most_2_kb CHECK (octet_length(notice_error) <= 2048)
);
alter table outbox.alerts enable row level security;
CREATE UNIQUE INDEX alerts_one_open_per_kind_idx ON outbox.alerts USING btree (kind) WHERE (closed_at IS NULL);
CREATE TRIGGER alerts_replace_row BEFORE INSERT ON outbox.alerts FOR EACH ROW WHEN (new.closed_at IS NULL AND new.opened_at < now()) EXECUTE FUNCTION outbox.replace_row();
comment on table outbox.alerts is 'One row for each problem, from its beginning to its end.';
comment on column outbox.alerts.value is 'The last value while it was open; for unknown_event, clock_skew and capture_failed, how many there were.';
comment on column outbox.alerts.detail is 'What to do about it.';
comment on column outbox.alerts.last_notice is 'The last notice that was accepted at outbox_alert_url; null if none was.';
comment on column outbox.alerts.notice_error is 'Why the next notice has not been accepted yet, or null.';

create table outbox.attempts (
  id uuid not null default gen_random_uuid(),
  event_id uuid not null,
  attempt integer not null,
  why text,
  dispatched_at timestamp with time zone,
  delivery_id uuid,
  claim_token bigint,
  outcome text not null,
  http_status integer,
  error text,
  duration_ms integer,
  ended_at timestamp with time zone not null default clock_timestamp(),
  constraint attempts_pkey PRIMARY KEY (id),
  constraint attempts_count_up CHECK (attempt >= 0 AND duration_ms >= 0),
  constraint attempts_error_is_at_most_2_kb CHECK (octet_length(error) <= 2048),
  constraint attempts_failure_has_error CHECK ((outcome = 'completed'::text) = (error IS NULL)),
  constraint attempts_outcome_is_known CHECK (outcome = ANY (ARRAY['completed'::text, 'permanent'::text, 'transient'::text, 'parked'::text, 'lease'::text, 'unacknowledged'::text, 'rejected'::text, 'dispatch'::text]))
);
alter table outbox.attempts enable row level security;
CREATE INDEX attempts_ended_at_idx ON outbox.attempts USING btree (ended_at);
CREATE INDEX attempts_event_id_idx ON outbox.attempts USING btree (event_id, ended_at);
CREATE INDEX attempts_unauthorized_idx ON outbox.attempts USING btree (ended_at) WHERE ((http_status = 401) AND (claim_token IS NULL));
comment on table outbox.attempts is 'History, append-only: one row when an attempt ends.';
comment on column outbox.attempts.outcome is 'completed; permanent, transient, parked (the handler released it); lease (expired); unacknowledged (never claimed); rejected (the handler answered 400 or 422); dispatch (could not be sent; one row for each new reason).';
comment on column outbox.attempts.duration_ms is 'Milliseconds of the handler''s work: as reported, or since the claim.';

create table outbox.dead_letters (
  id uuid not null default gen_random_uuid(),
  event_id uuid not null,
  topic text not null,
  key text not null,
  version bigint,
  reason text not null,
  attempts integer not null,
  first_failed_at timestamp with time zone not null,
  last_failed_at timestamp with time zone not null,
  last_error text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  resolution text,
  resolved_at timestamp with time zone,
  notes text,
  constraint dead_letters_pkey PRIMARY KEY (id),
  constraint dead_letters_event_id_fkey FOREIGN KEY (event_id) REFERENCES outbox.events(event_id) ON DELETE CASCADE,
  constraint dead_letters_first_is_not_after_last CHECK (first_failed_at <= last_failed_at),
  constraint dead_letters_last_error_is_at_most_2_kb CHECK (octet_length(last_error) <= 2048),
  constraint dead_letters_notes_are_at_most_8_kb CHECK (octet_length(notes) <= 8192),
  constraint dead_letters_reason_is_known CHECK (reason = ANY (ARRAY['rejected'::text, 'refused'::text, 'exhausted'::text, 'cancelled'::text])),
  constraint dead_letters_resolution_has_time CHECK ((resolution IS NULL) = (resolved_at IS NULL)),
  constraint dead_letters_resolution_is_known CHECK (resolution = ANY (ARRAY['redriven'::text, 'resolved'::text]))
);
alter table outbox.dead_letters enable row level security;
CREATE INDEX dead_letters_created_at_idx ON outbox.dead_letters USING btree (created_at);
CREATE INDEX dead_letters_event_id_idx ON outbox.dead_letters USING btree (event_id);
CREATE UNIQUE INDEX dead_letters_one_open_per_event_idx ON outbox.dead_letters USING btree (event_id) WHERE (resolution IS NULL);
CREATE INDEX dead_letters_resolved_at_idx ON outbox.dead_letters USING btree (resolved_at) WHERE (resolution = 'resolved'::text);
comment on table outbox.dead_letters is 'Events that failed for good, until a person redrives or resolves them. They do not block later events.';
comment on column outbox.dead_letters.reason is 'rejected: the handler answered 400 or 422; refused: the topic will never accept it; exhausted: given up, with the reason at the end of last_error; cancelled: by a person.';
comment on column outbox.dead_letters.resolution is 'Null while open; redriven or resolved by a person.';

create table outbox.deliveries (
  id uuid not null,
  request_id bigint,
  error text,
  event_ids uuid[],
  dispatched_at timestamp with time zone not null default clock_timestamp(),
  constraint deliveries_pkey PRIMARY KEY (id),
  constraint deliveries_were_sent_or_say_why_not CHECK ((request_id IS NULL) = (error IS NOT NULL))
);
alter table outbox.deliveries enable row level security;
CREATE INDEX deliveries_dispatched_at_idx ON outbox.deliveries USING btree (dispatched_at);
CREATE INDEX deliveries_failed_idx ON outbox.deliveries USING btree (dispatched_at) WHERE (error IS NOT NULL);
CREATE TRIGGER deliveries_skip_restored BEFORE INSERT ON outbox.deliveries FOR EACH ROW WHEN (new.dispatched_at < now()) EXECUTE FUNCTION outbox.skip_row();
comment on table outbox.deliveries is 'Requests that were handed to pg_net, and those that could not be.';
comment on column outbox.deliveries.id is 'The webhook-id of the request.';
comment on column outbox.deliveries.event_ids is 'The events of a request that could not be handed over.';

create table outbox.erased (
  event_id uuid not null,
  fingerprint text not null,
  erased_at timestamp with time zone not null default clock_timestamp(),
  constraint erased_pkey PRIMARY KEY (event_id),
  constraint erased_fingerprint_is_concealed CHECK (fingerprint ~ '^sha256:[0-9a-f]{32}:[0-9a-f]{64}$'::text)
);
alter table outbox.erased enable row level security;
CREATE INDEX erased_erased_at_idx ON outbox.erased USING btree (erased_at);
comment on table outbox.erased is 'Tombstones of events that a person erased, so that a later delivery of one is a duplicate.';
comment on column outbox.erased.fingerprint is 'Salted and hashed, because the plain text would name the key and the time.';

create table outbox.events (
  event_id uuid not null default gen_random_uuid(),
  topic text not null,
  key text not null,
  version bigint,
  type text not null,
  record jsonb not null,
  old_record jsonb,
  occurred_at timestamp with time zone,
  occurred_as text,
  source text not null,
  forced boolean not null default false,
  redrives integer not null default 0,
  traceparent text,
  status text not null default 'pending'::text,
  attempts integer not null default 0,
  failures integer not null default 0,
  own_failures integer not null default 0,
  first_failed_at timestamp with time zone,
  last_failed_at timestamp with time zone,
  claim_token bigint not null default 0,
  lease_expires_at timestamp with time zone,
  next_attempt_at timestamp with time zone,
  last_dispatched_at timestamp with time zone,
  dispatch_reason text,
  delivery_id uuid,
  leads jsonb,
  last_error text,
  receipt jsonb,
  created_at timestamp with time zone not null default clock_timestamp(),
  completed_at timestamp with time zone,
  dead_letter_id uuid,
  constraint events_pkey PRIMARY KEY (event_id),
  constraint events_give_a_version_once UNIQUE (topic, key, version),
  constraint events_delivery_was_dispatched CHECK (delivery_id IS NULL OR dispatch_reason IS NOT NULL AND last_dispatched_at IS NOT NULL),
  constraint events_failures_have_times CHECK (own_failures >= 0 AND own_failures <= failures AND (failures = 0 OR first_failed_at IS NOT NULL) AND (first_failed_at IS NULL) = (last_failed_at IS NULL)),
  constraint events_last_error_is_at_most_2_kb CHECK (octet_length(last_error) <= 2048),
  constraint events_of_the_outbox_have_a_version CHECK (
CASE source
    WHEN 'outbox'::text THEN version >= 1 AND occurred_at IS NOT NULL
    WHEN 'webhook'::text THEN version IS NULL
    ELSE NULL::boolean
END),
  constraint events_status_agrees_with_columns CHECK (
CASE status
    WHEN 'pending'::text THEN (next_attempt_at IS NOT NULL OR source = 'webhook'::text) AND lease_expires_at IS NULL AND completed_at IS NULL AND receipt IS NULL AND dead_letter_id IS NULL
    WHEN 'processing'::text THEN lease_expires_at IS NOT NULL AND next_attempt_at IS NULL AND completed_at IS NULL AND receipt IS NULL AND dead_letter_id IS NULL
    WHEN 'completed'::text THEN completed_at IS NOT NULL AND receipt IS NOT NULL AND next_attempt_at IS NULL AND lease_expires_at IS NULL AND dead_letter_id IS NULL
    WHEN 'failed'::text THEN dead_letter_id IS NOT NULL AND next_attempt_at IS NULL AND lease_expires_at IS NULL AND completed_at IS NULL AND receipt IS NULL
    ELSE false
END)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000);
alter table outbox.events enable row level security;
CREATE INDEX events_completed_idx ON outbox.events USING btree (topic, completed_at) WHERE (status = 'completed'::text);
CREATE INDEX events_created_at_idx ON outbox.events USING btree (topic, created_at, event_id);
CREATE INDEX events_dead_letter_id_idx ON outbox.events USING btree (dead_letter_id) WHERE (dead_letter_id IS NOT NULL);
CREATE INDEX events_due_idx ON outbox.events USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (delivery_id IS NULL));
CREATE INDEX events_leases_idx ON outbox.events USING btree (lease_expires_at) WHERE (status = 'processing'::text);
CREATE INDEX events_oldest_idx ON outbox.events USING btree (created_at) WHERE ((status = ANY (ARRAY['pending'::text, 'processing'::text])) AND ((source = 'outbox'::text) OR (last_dispatched_at IS NOT NULL)));
CREATE INDEX events_reached_nobody_idx ON outbox.events USING btree (completed_at) WHERE ((status = 'completed'::text) AND ((receipt -> 'notified'::text) = '0'::jsonb) AND (NOT (receipt ? 'acknowledged'::text)));
CREATE INDEX events_under_way_idx ON outbox.events USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (delivery_id IS NOT NULL));
CREATE INDEX events_unsettled_idx ON outbox.events USING btree (key, topic, version) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));
CREATE INDEX events_untimely_idx ON outbox.events USING btree (topic, created_at, event_id) WHERE (GREATEST((created_at - occurred_at), (occurred_at - created_at)) > '01:00:00'::interval);
CREATE CONSTRAINT TRIGGER events_dispatch_at_commit AFTER INSERT ON outbox.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.leads IS NOT NULL AND new.status = 'pending'::text) EXECUTE FUNCTION outbox.dispatch_at_commit();
comment on table outbox.events is 'The outbox, the record of truth: one row per event, written by the transaction that made the change.';
comment on column outbox.events.event_id is 'The same id from end to end: webhook-id, Idempotency-Key, event_id of the notification.';
comment on column outbox.events.key is 'The key of the watched row, as text. Events are ordered by key.';
comment on column outbox.events.version is 'Counts per key, under the row lock. Null for a stock webhook.';
comment on column outbox.events.record is 'The watched columns after the change, as they are sent.';
comment on column outbox.events.occurred_at is 'Null if a stock webhook''s text is no time. Identifies events, never orders them.';
comment on column outbox.events.occurred_as is 'The text of a stock webhook''s time. Null for what we captured.';
comment on column outbox.events.source is 'outbox: captured and sent by us; webhook: sent, and sent again, by others.';
comment on column outbox.events.forced is 'A person redrove it although a later event is settled.';
comment on column outbox.events.redrives is 'How often it was redriven. Part of the idempotency key of work that a topic starts elsewhere.';
comment on column outbox.events.traceparent is 'From the request that made the change, if PostgREST received one. Otherwise the event id names the trace.';
comment on column outbox.events.attempts is 'How often it was sent, or claimed without a dispatch.';
comment on column outbox.events.failures is 'Failures since it was queued or redriven.';
comment on column outbox.events.own_failures is 'Failures between which another event was completed, so that this event is to blame.';
comment on column outbox.events.claim_token is 'Fencing token: grows with each claim. An older one changes nothing.';
comment on column outbox.events.next_attempt_at is 'When the sweep may send it; during a delivery, when that counts as unacknowledged. Infinity while it waits behind an earlier event of its key. Null while claimed or settled, and for stock webhooks.';
comment on column outbox.events.dispatch_reason is 'commit, settled, sweep, redrive or reconcile.';
comment on column outbox.events.delivery_id is 'webhook-id of its request: the event id if it is alone.';
comment on column outbox.events.leads is 'On the first event of a request: the bodies that the commit posts. Otherwise, and once claimed, null.';
comment on column outbox.events.receipt is 'The topic''s answer, which duplicates get too.';
comment on trigger events_dispatch_at_commit on outbox.events is 'The fast path. The sweep sends what it misses.';

create table outbox.handled_keys (
  topic text not null,
  key text not null,
  version bigint not null,
  constraint handled_keys_pkey PRIMARY KEY (key, topic)
);
alter table outbox.handled_keys enable row level security;
comment on table outbox.handled_keys is 'The highest version of each key that such a topic has handled. Later requests with a lower one are refused.';

create table outbox.heartbeats (
  job text not null,
  last_at timestamp with time zone not null default clock_timestamp(),
  failed_at timestamp with time zone,
  last_error text,
  constraint heartbeats_pkey PRIMARY KEY (job),
  constraint heartbeats_failure_has_error CHECK ((failed_at IS NULL) = (last_error IS NULL))
) with (fillfactor=50);
alter table outbox.heartbeats enable row level security;
CREATE TRIGGER heartbeats_replace_row BEFORE INSERT ON outbox.heartbeats FOR EACH ROW EXECUTE FUNCTION outbox.replace_row();
comment on table outbox.heartbeats is 'When each job last finished, and its last error.';

create table outbox.keys (
  topic text not null,
  key text not null,
  version bigint not null default 0,
  known jsonb,
  was jsonb,
  constraint keys_pkey PRIMARY KEY (key, topic),
  constraint keys_count_up CHECK (version >= 0)
) with (fillfactor=50);
alter table outbox.keys enable row level security;
comment on table outbox.keys is 'What was last queued for each key. Written only under the lock of its row in the watched table. Outlives that row, so that no version is used twice.';
comment on column outbox.keys.version is 'The key''s last version; 0 before the first.';
comment on column outbox.keys.known is 'Known state: the watched columns as last queued or first seen. Capture and reconcile() compare with it.';
comment on column outbox.keys.was is 'The known state before the last change, if that change made an event; JSON null for an insert.';

create table outbox.receipts (
  event_id uuid not null,
  fingerprint text not null,
  receipt jsonb not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint receipts_pkey PRIMARY KEY (event_id)
);
alter table outbox.receipts enable row level security;
CREATE INDEX receipts_created_at_idx ON outbox.receipts USING btree (created_at);
comment on table outbox.receipts is 'The idempotency keys of topics whose work ends in this database: the answer to each event, so that a repetition gets the same one. If nobody was notified, a repetition tries again.';

create table outbox.rechecks (
  id uuid not null default gen_random_uuid(),
  topic text not null,
  key text,
  reason text,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint rechecks_pkey PRIMARY KEY (id)
);
alter table outbox.rechecks enable row level security;
CREATE INDEX rechecks_created_at_idx ON outbox.rechecks USING btree (created_at);
comment on table outbox.rechecks is 'Changes that capture could not compare, and that must not fail because of it. The sweep compares them again.';
comment on column outbox.rechecks.key is 'Null if the trigger could not even read the key.';
comment on column outbox.rechecks.reason is 'The error to raise an alert for; null for a mere conflict.';

create table outbox.settings (
  singleton boolean not null default true,
  lease_seconds integer not null default 30,
  acknowledge_timeout_seconds integer not null default 15,
  max_attempts integer not null default 10,
  retry_for_seconds integer not null default 86400,
  hold_up_seconds integer not null default 14400,
  retry_base_seconds integer not null default 2,
  retry_cap_seconds integer not null default 300,
  request_timeout_ms integer not null default 5000,
  events_per_request integer not null default 100,
  sweep_batch_size integer not null default 1000,
  reconcile_batch_size integer not null default 500,
  retention_days integer not null default 30,
  retention_batch_size integer not null default 5000,
  alert_unnotified_seconds integer not null default 300,
  alert_dead_letters integer not null default 1,
  alert_failure_percent integer not null default 50,
  alert_failure_least_attempts integer not null default 10,
  alert_expired_leases integer not null default 1,
  alert_unauthorized integer not null default 1,
  alert_sweep_silent_seconds integer not null default 180,
  constraint settings_pkey PRIMARY KEY (singleton),
  constraint settings_acknowledge_timeout_is_1_to_3600_seconds CHECK (acknowledge_timeout_seconds >= 1 AND acknowledge_timeout_seconds <= 3600),
  constraint settings_alert_failure_is_1_to_100_percent CHECK (alert_failure_percent >= 1 AND alert_failure_percent <= 100),
  constraint settings_alerts_start_at_one CHECK (LEAST(alert_unnotified_seconds, alert_dead_letters, alert_failure_least_attempts, alert_expired_leases, alert_unauthorized, alert_sweep_silent_seconds) >= 1),
  constraint settings_hold_up_is_at_most_30_days CHECK (hold_up_seconds >= 0 AND hold_up_seconds <= 2592000),
  constraint settings_is_one_row CHECK (singleton),
  constraint settings_lease_is_1_to_60_seconds CHECK (lease_seconds >= 1 AND lease_seconds <= 60),
  constraint settings_max_attempts_is_1_to_100 CHECK (max_attempts >= 1 AND max_attempts <= 100),
  constraint settings_reconcile_batch_is_1_to_5000_keys CHECK (reconcile_batch_size >= 1 AND reconcile_batch_size <= 5000),
  constraint settings_request_holds_1_to_200_events CHECK (events_per_request >= 1 AND events_per_request <= 200),
  constraint settings_request_timeout_is_100_to_60000_ms CHECK (request_timeout_ms >= 100 AND request_timeout_ms <= 60000),
  constraint settings_retention_batch_is_1_to_100000_rows CHECK (retention_batch_size >= 1 AND retention_batch_size <= 100000),
  constraint settings_retention_is_1_to_3650_days CHECK (retention_days >= 1 AND retention_days <= 3650),
  constraint settings_retry_base_is_1_to_3600_seconds CHECK (retry_base_seconds >= 1 AND retry_base_seconds <= 3600),
  constraint settings_retry_cap_is_at_least_the_base CHECK (retry_cap_seconds >= retry_base_seconds AND retry_cap_seconds <= 86400),
  constraint settings_retry_for_is_at_most_30_days CHECK (retry_for_seconds >= 0 AND retry_for_seconds <= 2592000),
  constraint settings_sweep_batch_is_1_to_5000_events CHECK (sweep_batch_size >= 1 AND sweep_batch_size <= 5000)
);
alter table outbox.settings enable row level security;
CREATE TRIGGER settings_replace_row BEFORE INSERT ON outbox.settings FOR EACH ROW EXECUTE FUNCTION outbox.replace_row();
comment on table outbox.settings is 'The one row of settings. Change it with update; it takes effect at once.';
comment on column outbox.settings.lease_seconds is 'Seconds that a claim lasts. Then another delivery may claim.';
comment on column outbox.settings.acknowledge_timeout_seconds is 'Seconds that a dispatched event may stay unclaimed.';
comment on column outbox.settings.max_attempts is 'Failures after which an event is given up, if others complete.';
comment on column outbox.settings.retry_for_seconds is 'Seconds that an event is retried while no other is completed.';
comment on column outbox.settings.hold_up_seconds is 'Seconds that a failing event may delay the next of its key.';
comment on column outbox.settings.retry_base_seconds is 'Seconds before the first retry; doubled by each failure.';
comment on column outbox.settings.retry_cap_seconds is 'The longest wait before a retry, even with Retry-After.';
comment on column outbox.settings.request_timeout_ms is 'Milliseconds that pg_net waits for the handler.';
comment on column outbox.settings.events_per_request is 'The most events in a request; fewer after an error.';
comment on column outbox.settings.sweep_batch_size is 'The most events that one sweep sends.';
comment on column outbox.settings.reconcile_batch_size is 'The most keys that one reconciliation queues.';
comment on column outbox.settings.retention_days is 'Days that settled events and closed rows are kept.';
comment on column outbox.settings.alert_unnotified_seconds is 'Alert oldest_unnotified: age of the oldest event.';
comment on column outbox.settings.alert_dead_letters is 'Alert dead_letters: how many are open.';
comment on column outbox.settings.alert_failure_percent is 'Alert failure_rate: percent of the last 15 minutes.';
comment on column outbox.settings.alert_failure_least_attempts is 'Alert failure_rate: needs as many attempts.';
comment on column outbox.settings.alert_expired_leases is 'Alert stuck_leases: expired leases not taken back.';
comment on column outbox.settings.alert_unauthorized is 'Alert unauthorized: replies 401 in the last 15 minutes.';
comment on column outbox.settings.alert_sweep_silent_seconds is 'Alert sweep_silent: seconds since the last sweep.';

create table outbox.topics (
  topic text not null,
  relation text,
  key_column text,
  key_type text,
  unique_key boolean not null default true,
  columns text[],
  operations text[] not null default '{UPDATE}'::text[],
  words jsonb not null default '{}'::jsonb,
  condition text,
  payload text,
  latest_only boolean not null default false,
  fed_by text not null default 'outbox'::text,
  visible_to text,
  function_url text not null default 'outbox_function_url'::text,
  max_attempts integer,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint topics_pkey PRIMARY KEY (topic),
  constraint topics_are_fed_by_outbox_or_webhook CHECK (fed_by = ANY (ARRAY['outbox'::text, 'webhook'::text])),
  constraint topics_are_words_with_hyphens CHECK (topic ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$'::text AND length(topic) <= 40),
  constraint topics_max_attempts_is_1_to_100 CHECK (max_attempts >= 1 AND max_attempts <= 100),
  constraint topics_watch_insert_or_update CHECK (operations <@ ARRAY['INSERT'::text, 'UPDATE'::text] AND cardinality(operations) > 0)
);
alter table outbox.topics enable row level security;
CREATE TRIGGER topics_replace_row BEFORE INSERT ON outbox.topics FOR EACH ROW WHEN (new.created_at < now()) EXECUTE FUNCTION outbox.replace_row();
comment on table outbox.topics is 'What is watched. Declared with outbox.watch(), removed with outbox.unwatch().';
comment on column outbox.topics.relation is 'The watched table, as schema.table.';
comment on column outbox.topics.key_type is 'The type of the key when the topic was declared. As another type, the same key would be another text.';
comment on column outbox.topics.unique_key is 'False if several rows may have the same key. Then each inserted row is an event, and nothing is reconciled.';
comment on column outbox.topics.words is 'For a column, the words to send and the values that mean them.';
comment on column outbox.topics.condition is 'SQL over old and new. If it is false, there is no event.';
comment on column outbox.topics.payload is 'SQL over new that returns the record. Null: the key and the columns.';
comment on column outbox.topics.latest_only is 'Only the last of a key''s waiting events is sent.';
comment on column outbox.topics.fed_by is 'outbox: our triggers report changes; webhook: only stock database webhooks do, and nothing is reconciled.';
comment on column outbox.topics.visible_to is 'A function of a user''s id: the keys whose events the user may see.';
comment on column outbox.topics.function_url is 'The Vault secret with the URL of the Edge Function.';
comment on column outbox.topics.max_attempts is 'Overrides settings.max_attempts.';

create table public.coordinators (
  id uuid not null default gen_random_uuid(),
  name text,
  email text,
  constraint coordinators_pkey PRIMARY KEY (id)
);
alter table public.coordinators enable row level security;
comment on table public.coordinators is 'The people who are told about a pause or a resume.';

create table public.mentor_coordinators (
  mentor_id uuid not null,
  coordinator_id uuid not null,
  constraint mentor_coordinators_pkey PRIMARY KEY (mentor_id, coordinator_id)
);
alter table public.mentor_coordinators enable row level security;
CREATE INDEX mentor_coordinators_coordinator_id_idx ON public.mentor_coordinators USING btree (coordinator_id);
comment on table public.mentor_coordinators is 'Which coordinators are told about which mentor.';

create table public.notifications (
  id uuid not null default gen_random_uuid(),
  event_id uuid not null,
  mentor_id uuid not null,
  coordinator_id uuid not null,
  transition text not null,
  version bigint,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint notifications_pkey PRIMARY KEY (id),
  constraint notifications_tell_a_coordinator_once UNIQUE (event_id, coordinator_id),
  constraint notifications_transition_is_known CHECK (transition = ANY (ARRAY['PAUSE'::text, 'RESUME'::text]))
);
alter table public.notifications enable row level security;
comment on table public.notifications is 'What the orchestrator told to whom: one row per event and coordinator.';
comment on column public.notifications.coordinator_id is 'No foreign key: that somebody was told stays true after the coordinator is gone.';
comment on column public.notifications.version is 'The mentor''s version; null for a webhook from elsewhere.';

create table public.peer_mentor_profiles (
  id uuid not null default gen_random_uuid(),
  status text not null default 'active'::text,
  full_name text,
  updated_at timestamp with time zone not null default now(),
  constraint peer_mentor_profiles_pkey PRIMARY KEY (id)
);
alter table public.peer_mentor_profiles enable row level security;
CREATE TRIGGER outbox_pause_status_insert AFTER INSERT ON peer_mentor_profiles REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION outbox.pause_status_changed();
CREATE TRIGGER outbox_pause_status_key AFTER UPDATE ON peer_mentor_profiles FOR EACH ROW WHEN (old.id IS DISTINCT FROM new.id) EXECUTE FUNCTION outbox.pause_status_changed();
CREATE TRIGGER outbox_pause_status_update AFTER UPDATE ON peer_mentor_profiles REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION outbox.pause_status_changed();
CREATE TRIGGER peer_mentor_profiles_touch BEFORE UPDATE ON peer_mentor_profiles FOR EACH ROW EXECUTE FUNCTION outbox.touch();
comment on table public.peer_mentor_profiles is 'Mentor profiles. A change of status between active and paused is told to the mentor''s coordinators.';
comment on column public.peer_mentor_profiles.status is 'active, paused, or a word of the project''s own; only changes between active and paused are told.';
comment on trigger outbox_pause_status_insert on public.peer_mentor_profiles is 'outbox.watch() of {"topic": "pause-status", "words": {"status": {"active": ["active"], "paused": ["paused"]}}, "fed_by": "outbox", "columns": ["status"], "payload": null, "key_type": "uuid", "relation": "public.peer_mentor_profiles", "condition": null, "key_column": "id", "operations": ["UPDATE"], "unique_key": true, "visible_to": "outbox.mentors_of", "latest_only": false, "function_url": "outbox_function_url", "max_attempts": null}';
comment on trigger outbox_pause_status_key on public.peer_mentor_profiles is 'outbox.watch() of {"topic": "pause-status", "words": {"status": {"active": ["active"], "paused": ["paused"]}}, "fed_by": "outbox", "columns": ["status"], "payload": null, "key_type": "uuid", "relation": "public.peer_mentor_profiles", "condition": null, "key_column": "id", "operations": ["UPDATE"], "unique_key": true, "visible_to": "outbox.mentors_of", "latest_only": false, "function_url": "outbox_function_url", "max_attempts": null}';
comment on trigger outbox_pause_status_update on public.peer_mentor_profiles is 'outbox.watch() of {"topic": "pause-status", "words": {"status": {"active": ["active"], "paused": ["paused"]}}, "fed_by": "outbox", "columns": ["status"], "payload": null, "key_type": "uuid", "relation": "public.peer_mentor_profiles", "condition": null, "key_column": "id", "operations": ["UPDATE"], "unique_key": true, "visible_to": "outbox.mentors_of", "latest_only": false, "function_url": "outbox_function_url", "max_attempts": null}';
comment on trigger peer_mentor_profiles_touch on public.peer_mentor_profiles is 'Keeps updated_at current.';

create function outbox.alert_advice(kind text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.alert_advice(text) is 'What an alert means, in fixed words. Its detail is never sent, because it may name a person or quote an error.';

create function outbox.alert_secrets()
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.alert_secrets() is 'The secrets that sign notices: outbox_alert_secret, or the webhook''s.';

create function outbox.attach(t outbox.topics)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.attach(outbox.topics) is 'Creates or replaces the functions and triggers of a topic.';

create function outbox.attempt(command text, OUT problem text)
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.attempt(text) is 'Runs one part of a job. Returns its error or null, so that the job goes on.';

create function outbox.backoff(attempt integer)
  returns interval
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.backoff(integer) is 'The wait after this many failures: exponential, capped, with jitter.';

create function outbox.beat(job text, error text DEFAULT NULL::text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.beat(text,text) is 'Records that a job has finished, and its first error.';

create function outbox.body(event outbox.events)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.body(outbox.events) is 'The body sent for an event, in the shape of a Supabase database webhook. The same until it is redriven.';

create function outbox.call_handler(http text, batch outbox.events[], function_url text, secrets text, timeout_ms integer)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.call_handler(text,outbox.events[],text,text,integer) is 'Sends events in one signed request; returns how each attempt ends if nobody has claimed it.';

create function outbox.call_http(http text, url text, headers jsonb, body text, timeout_ms integer, OUT http_status integer, OUT content text, OUT problem text)
  returns record
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.call_http(text,text,jsonb,text,integer) is 'Posts JSON with the extension http, which is in the given schema. Returns status and content, or the problem, which quotes the URL.';

create function outbox.cancel(event outbox.events)
  returns uuid
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.cancel(outbox.events) is 'Turns a pending event, which the caller has locked, into a dead letter, and dispatches the key''s next event.';

create function outbox.capture_sql(t outbox.topics)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.capture_sql(outbox.topics) is 'The function that queues an event, with the key''s next version, for each key whose new state is not the known one. The commit posts the first most_requests requests; the rest is due.';

create function outbox.capture_state(t outbox.topics, OUT topic text, OUT attached boolean, OUT enabled boolean, OUT problem text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp set quote_all_identifiers=off;
comment on function outbox.capture_state(outbox.topics) is 'Whether a topic''s triggers are on its table, unaltered and enabled; if not, why changes are missed.';

create function outbox.carry_over(topic text, old_key text, new_key text, state jsonb)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.carry_over(text,text,text,jsonb) is 'Moves the known state of a row to its new key; returns that state.';

create function outbox.changed_keys_sql(t outbox.topics)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.changed_keys_sql(outbox.topics) is 'SQL that stores the new known state of each key, and returns the old one if the change is an event.';

create function outbox.changed_sql(t outbox.topics)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.changed_sql(outbox.topics) is 'The function of the topic''s triggers. If it cannot write to the outbox, the change of the table fails too, so that no change is unnoticed.';

create function outbox.claim_next(event_ids uuid[], topic text, most integer)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_bitmapscan=off set jit=off;
comment on function outbox.claim_next(uuid[],text,integer) is 'Claims the next events of these events'' keys, then other due events of the topic. Waits for no lock.';

create function outbox.claim_problem(event jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.claim_problem(jsonb) is 'Everything wrong with an event to claim, or null.';

create function outbox.column_problem(t outbox.topics, name text, OUT problem text, OUT cure text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.column_problem(outbox.topics,text) is 'What is wrong with a column and what to do, or null.';

create function outbox.columns_sql(t outbox.topics)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.columns_sql(outbox.topics) is 'The names and types of old and new in a condition and a payload.';

create function outbox.compared_sql(t outbox.topics, alias text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.compared_sql(outbox.topics,text) is 'SQL for the part of a row that an update must change.';

create function outbox.conceal(fingerprint text)
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.conceal(text) is 'A fingerprint that can only be compared, not read: sha256:<salt>:<hash>.';

create function outbox.describe_event(event outbox.events)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.describe_event(outbox.events) is 'An event as the REST contract shows it.';

create function outbox.detach(t outbox.topics)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.detach(outbox.topics) is 'Drops the triggers of a topic.';

create function outbox.dispatch(event_ids uuid[], why text)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.dispatch(uuid[],text) is 'Hands the events that are due and first in line to pg_net; returns how many. Never raises. A topic that cannot be sent does not delay the others.';

create function outbox.dispatch_at_commit()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function outbox.dispatch_at_commit() is 'Posts the request that an event leads, with the rights of the outbox, not the writer''s. Never raises.';

create function outbox.dispatch_due(why text, at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set enable_bitmapscan=off set jit=off;
comment on function outbox.dispatch_due(text,integer) is 'Dispatches the heads of line that have been due longest; returns how many.';

create function outbox.dispatch_next(event_ids uuid[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.dispatch_next(uuid[]) is 'Dispatches the first event in line for each of these events'' keys; returns how many.';

create function outbox.end_attempts(endings jsonb)
  returns TABLE(event_id uuid, verdict text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function outbox.end_attempts(jsonb) is 'Ends attempts at events that the caller has locked.';

create function outbox.end_attempts_each(endings jsonb)
  returns TABLE(event_id uuid, verdict text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.end_attempts_each(jsonb) is 'end_attempts(), one by one if one of them fails.';

create function outbox.end_direct(calls jsonb)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.end_direct(jsonb) is 'Ends attempts that were sent directly and not claimed.';

create function outbox.end_leases(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.end_leases(integer) is 'Takes back events whose lease has expired.';

create function outbox.end_settled(settlements jsonb)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.end_settled(jsonb) is 'Ends the attempts whose claims these settlements still hold; returns the verdicts by event id.';

create function outbox.end_unacknowledged(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.end_unacknowledged(integer) is 'Ends deliveries that nobody claimed in time.';

create function outbox.ending_of(event_id uuid, http_status integer, code text, message text)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.ending_of(uuid,integer,text,text) is 'How an unclaimed attempt ends.';

create function outbox.erase(event_id uuid)
  returns jsonb
  language sql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.erase(uuid) is 'outbox_erase() for any topic.';

create function outbox.erase_from_net(event_id uuid, key text)
  returns bigint[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms set jit=off;
comment on function outbox.erase_from_net(uuid,text) is 'Deletes pg_net''s answers that name an event or a key, and our waiting requests with the event; returns their ids.';

create function outbox.erase_traces(event_id uuid, topic text, key text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.erase_traces(uuid,text,text) is 'Erases what names an event outside of its own rows, and what names its key if given.';

create function outbox.erased_as(event_id uuid, fingerprint text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.erased_as(uuid,text) is 'The answer to a claim of an erased event: completed or payload_mismatch. Null for any other event.';

create function outbox.event_history(event_id uuid)
  returns SETOF outbox.attempts
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

create function outbox.export_traces()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.export_traces() is 'Sends the spans of events settled since the last run to the URL in the Vault secret outbox_otlp_url, if there is one; returns how many. last_at of the job traces in outbox.heartbeats says up to when.';

create function outbox.feed_by(topic text, source text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.feed_by(text,text) is 'Declares what reports the changes of a topic: outbox (our triggers) or webhook (only stock database webhooks). When it returns to outbox, the current state becomes the known state.';

create function outbox.fill(template text, parts jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.fill(text,jsonb) is 'Fills in the {parts} of a template.';

create function outbox.find_events(query jsonb, only_untimely boolean)
  returns SETOF outbox.events
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off;
comment on function outbox.find_events(jsonb,boolean) is 'The events of a query, newest first, and one more. A range of event times uses the time of creation, within an hour; or finds only the events created at another time.';

create function outbox.fingerprint(event jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.fingerprint(jsonb) is 'What identifies an event besides its id, as one text.';

create function outbox.fingerprint(event outbox.events)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.fingerprint(outbox.events) is 'The same for a stored event.';

create function outbox.fold(topic text, key text)
  returns uuid
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.fold(text,text) is 'Settles all waiting events of a key but the last, which becomes a change from the state before the first. If they cancel out, settles the last too. Returns the last if there was anything to fold.';

create function outbox.fold_latest(event_ids uuid[])
  returns uuid[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.fold_latest(uuid[]) is 'fold() for the keys of these events whose topics are latest_only.';

create function outbox.folded_with(event_ids uuid[])
  returns SETOF uuid
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.folded_with(uuid[]) is 'All events that fold_latest() may lock.';

create function outbox.forget(relation text, key text, query text, older_than timestamp with time zone, at_most integer, OUT deleted integer, OUT problem text)
  returns record
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.forget(text,text,text,timestamp with time zone,integer) is 'Deletes what the query finds, row by row if it fails as a whole; returns how many rows, and the first error.';

create function outbox.forget_keys(topic text, only_key text, at_most integer DEFAULT 1)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms set jit=off;
comment on function outbox.forget_keys(text,text,integer) is 'Deletes keys that have no row and no event left, all or only this one; returns how many.';

create function outbox.forget_settled()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.forget_settled() is 'Deletes a batch of rows settled more than settings.retention_days ago; returns how many.';

create function outbox.handler_address(topic text, OUT function_url text, OUT secrets text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.handler_address(text) is 'Where a topic''s events are sent and the secrets that sign them, or an error that says what is missing.';

create function outbox.happens_sql(t outbox.topics, old text, new text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.happens_sql(outbox.topics,text,text) is 'SQL for whether a change from one state to another is an event.';

create function outbox.has_unique_key(relation regclass, columns text[])
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.has_unique_key(regclass,text[]) is 'Whether exactly these columns are unique, in all rows and at all times.';

create function outbox.heads_of(event_ids uuid[])
  returns SETOF uuid
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.heads_of(uuid[]) is 'The first event in line for each of these events'' keys, claimed or not.';

create function outbox.hold(event_ids uuid[])
  returns SETOF outbox.events
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.hold(uuid[]) is 'Claims those of the locked events that are first in line, and pending or claimed under an expired lease.';

create function outbox.incoming_traceparent()
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.incoming_traceparent() is 'The traceparent of the request that PostgREST is serving in this transaction, or null.';

create function outbox.insert_stock(events jsonb)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.insert_stock(jsonb) is 'Inserts stock webhooks into the outbox, by event id. A claim inserts nothing else.';

create function outbox.is_concealed_as(fingerprint text, concealed text)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.is_concealed_as(text,text) is 'Whether this is the fingerprint that was concealed.';

create function outbox.is_first_in_line(topic text, key text, candidate bigint)
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set jit=off;
comment on function outbox.is_first_in_line(text,text,bigint) is 'Whether all lower versions of the key are settled. An event without a version never waits.';

create function outbox.is_same(known outbox.events, event jsonb)
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.is_same(outbox.events,jsonb) is 'Whether a delivery is of this event. The time is compared as text: parsing would merge events.';

create function outbox.is_superseded(event outbox.events)
  returns boolean
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.is_superseded(outbox.events) is 'Whether a later event of the key is settled, or was before retention deleted it. Sending this one would undo it.';

create function outbox.is_uuid(value text)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.is_uuid(text) is 'Whether the text can be cast to uuid.';

create function outbox.iso(moment timestamp with time zone)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.iso(timestamp with time zone) is 'ISO 8601 in UTC with microseconds, whatever the session''s settings.';

create function outbox.job_states()
  returns TABLE(job text, is_scheduled boolean, last_run_at timestamp with time zone, missing text, failing text, silent text)
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.job_states() is 'The scheduled jobs, and what is wrong with each: missing from pg_cron, failing, or silent for too long.';

create function outbox.judge(outcome text, retry_after_seconds numeric, INOUT event outbox.events, OUT verdict text, OUT why text)
  returns record
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.judge(text,numeric,outbox.events) is 'Counts the failure, decides the verdict (completed, released or dead), and sets the next attempt.';

create function outbox.key_sql(t outbox.topics, alias text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.key_sql(outbox.topics,text) is 'SQL for the key of a row.';

create function outbox.list_problem(query jsonb)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.list_problem(jsonb) is 'Everything wrong with a query of events, or null.';

create function outbox.lock_line(event_ids uuid[])
  returns boolean
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off set lock_timeout=300ms;
comment on function outbox.lock_line(uuid[]) is 'Locks these events, the first in line of their keys, and all that fold_latest() may lock. So a settlement of an earlier event either ends first, and the caller sees it, or begins afterwards, and finds the later event unlocked. Otherwise a claim could refuse an event while the settlement before it passes over that event because of the claim. Returns whether it could: a session that hangs is not waited for. Then the sweep or reconcile() sends what was refused.';

create function outbox.mail_notifications(enabled boolean)
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.mail_notifications(boolean) is 'Turns mail to coordinators on or off, and says so. If something is missing, the error says what.';

create function outbox.measure_capture()
  returns TABLE(kind text, value numeric, threshold integer, is_over boolean, detail text)
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.measure_capture() is 'The same for the triggers.';

create function outbox.measure_jobs()
  returns TABLE(kind text, value numeric, threshold integer, is_over boolean, detail text)
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.measure_jobs() is 'The same for the scheduled jobs.';

create function outbox.measure_queue()
  returns TABLE(kind text, value numeric, threshold integer, is_over boolean, detail text)
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.measure_queue() is 'The value of each alert about the queue. It opens at its threshold, and closes below it once the cause is over.';

create function outbox.mentor_id(value text)
  returns uuid
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.mentor_id(text) is 'A key of the topic pause-status as a mentor id; null if it is none.';

create function outbox.mentor_name(mentor_id text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.mentor_name(text) is 'The mentor''s name in mails; null if their table has none. Replace this function if the name is elsewhere.';

create function outbox.mentors_of(user_id uuid)
  returns SETOF text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.mentors_of(uuid) is 'The mentors of a coordinator, whose events they may see.';

create function outbox.milliseconds_held(event outbox.events, outcome text)
  returns integer
  language plpgsql stable set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.milliseconds_held(outbox.events,text) is 'How long an event has been claimed. The claim began one lease before the lease ends.';

create function outbox.net_answers(silent uuid[])
  returns TABLE(event_id uuid, created timestamp with time zone, http_status integer, code text, message text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.net_answers(uuid[]) is 'The answers that pg_net got to the deliveries of these events.';

create function outbox.net_queue(at_most integer DEFAULT NULL::integer)
  returns SETOF bigint
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.net_queue(integer) is 'The requests that pg_net has not finished.';

create function outbox.net_refuses()
  returns boolean
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.net_refuses() is 'Whether pg_net is missing, not loaded, not granted or locked.';

create function outbox.next_of(event_ids uuid[])
  returns TABLE(event_id uuid)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.next_of(uuid[]) is 'The first event in line for each of these events'' keys, unless it waits for a retry.';

create function outbox.not_sent(refuses boolean, patience interval, tried uuid[], at_most integer)
  returns SETOF outbox.events
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.not_sent(boolean,interval,uuid[],integer) is 'Heads of line that pg_net has refused or does not send. Locks nothing.';

create function outbox.notice(alert outbox.alerts, state text, host text)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.notice(outbox.alerts,text,text) is 'The body of a notice: text for Slack and its like, alert for programs. No secret and no personal data.';

create function outbox.notice_headers(id text, body jsonb, secrets text)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.notice_headers(text,jsonb,text) is 'The headers of Standard Webhooks; unsigned if no secret can sign.';

create function outbox.notices_due(OUT alert outbox.alerts, OUT state text)
  returns SETOF record
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.notices_due() is 'The notices to send now, and their alerts.';

create function outbox.notification_id(event_id uuid, coordinator_id uuid)
  returns uuid
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.notification_id(uuid,uuid) is 'Always the same, so that a receipt can name it in advance.';

create function outbox.notify(readings outbox.pause_event[])
  returns uuid[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.notify(outbox.pause_event[]) is 'Notifies the coordinators of each event that has notified nobody, unless it is superseded; returns these events.';

create function outbox.old_rows(OUT relation text, OUT key text, OUT keep interval, OUT batches integer, OUT query text)
  returns SETOF record
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.old_rows() is 'What retention deletes: the keys that each query finds, older than $1, which is keep or settings.retention_days.';

create function outbox.otlp_attributes(attributes jsonb)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.otlp_attributes(jsonb) is 'An object''s texts and whole numbers, as OTLP lists attributes.';

create function outbox.otlp_headers()
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.otlp_headers() is 'The headers for the receiver of traces, such as Authorization.';

create function outbox.pace(job text, command text, idle text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.pace(text,text,text) is 'Schedules a job, less often while everything is settled, because pg_cron keeps a row for each run.';

create function outbox.park(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.park(uuid[]) is 'Parks events that wait behind an earlier one of their key, until release_next() makes them due again.';

create function outbox.parse_object(value text)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.parse_object(text) is 'The JSON object; null for anything else, also if a key is repeated.';

create function outbox.parse_timestamp(value text)
  returns timestamp with time zone
  language plpgsql stable set search_path=pg_catalog, pg_temp set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function outbox.parse_timestamp(text) is 'The point in time, in UTC if it has no offset; null if it is none.';

create function outbox.pause_status_capture(keys text[], olds jsonb[], news jsonb[], is_insert boolean, why text, most_requests integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.pause_status_capture(text[],jsonb[],jsonb[],boolean,text,integer) is 'Generated by outbox.watch().';

create function outbox.pause_status_changed()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set enable_nestloop=off set jit=off;
comment on function outbox.pause_status_changed() is 'Generated by outbox.watch().';

create function outbox.post(topic text, delivery_id uuid, bodies jsonb)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.post(text,uuid,jsonb) is 'Hands pg_net one signed request with these bodies. pg_net sends it once the transaction has committed.';

create function outbox.post_json(url text, headers jsonb, body jsonb, OUT http_status integer, OUT problem text)
  returns record
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.post_json(text,jsonb,jsonb) is 'Posts JSON with the extension http and returns the status. Without the extension, uses pg_net and returns 202.';

create function outbox.postpone(event_ids uuid[], why text, reason text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.postpone(uuid[],text,text) is 'Postpones events that could not be sent, which is not a failure of theirs. Never raises.';

create function outbox.postpone_refused(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.postpone_refused(integer) is 'Postpones what commits could not hand to pg_net.';

create function outbox.project_host()
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.project_host() is 'The host of outbox_function_url, which identifies the project in notices and traces.';

create function outbox.raise_alert(kind text, amount numeric, detail text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.raise_alert(text,numeric,text) is 'Opens an alert of this kind, or adds to the open one. Never raises an error and never waits.';

create function outbox.reached_nobody(event outbox.events)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.reached_nobody(outbox.events) is 'Whether it was completed although nobody was notified.';

create function outbox.read_answer(http_status integer, content text, event_id uuid, alone boolean, OUT refused_with integer, OUT code text, OUT message text)
  returns record
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.read_answer(integer,text,uuid,boolean) is 'What an answer says about one event.';

create function outbox.read_pause_event(event jsonb, place bigint)
  returns outbox.pause_event
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.read_pause_event(jsonb,bigint) is 'A PauseEvent, or everything wrong with it.';

create function outbox.recall_versions(topic text, keys text[], states jsonb[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.recall_versions(text,text[],jsonb[]) is 'Raises versions to those of the events, after a restore of only one of them. A missing key gets the given state as its known state.';

create function outbox.recheck(topic text, keys text[], reason text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.recheck(text,text[],text) is 'Leaves keys that could not be compared to the sweep; null if not even the keys could be read.';

create function outbox.recheck_keys(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.recheck_keys(integer) is 'Compares again the keys that capture left to the sweep.';

create function outbox.reconcile()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.reconcile() is 'Queues changes that the triggers missed; returns how many.';

create function outbox.reconcile_each(topic text, keys text[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.reconcile_each(text,text[]) is 'reconcile_keys(), one by one if one of them fails.';

create function outbox.reconcile_keys(topic text, keys text[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.reconcile_keys(text,text[]) is 'Queues missed changes of these keys; returns how many.';

create function outbox.record_sql(t outbox.topics, key text, state text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.record_sql(outbox.topics,text,text) is 'SQL for the record that is sent for a state.';

create function outbox.redrive(event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language sql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.redrive(uuid,boolean,boolean) is 'outbox_redrive() for any topic.';

create function outbox.refusal(event jsonb)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.refusal(jsonb) is 'Why an event could not be claimed.';

create function outbox.release_forgotten(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.release_forgotten(integer) is 'Releases parked events that wait behind no other event.';

create function outbox.release_next(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.release_next(uuid[]) is 'Makes parked events due that are now first in line.';

create function outbox.replace_row()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.replace_row() is 'Makes an inserted row replace the one with the same key.';

create function outbox.request_size(event_id uuid, failures integer, largest integer)
  returns integer
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set jit=off;
comment on function outbox.request_size(uuid,integer,integer) is 'How many events may share a request with this one. Halved by every request that failed with its own error, so that an event that breaks requests is soon alone. An outage (no answer, 429, 502, 503) changes nothing.';

create function outbox.requests_left()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.requests_left() is 'How many requests this statement may post at the commit. The handler that settles them gets the rest.';

create function outbox.requests_of(due_ids uuid[])
  returns TABLE(topic text, event_ids uuid[], bodies jsonb)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.requests_of(uuid[]) is 'Groups the events that are due and first in line into requests, with their bodies as an array. Locks the events.';

create function outbox.require_array(elements jsonb, name text)
  returns void
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.require_array(jsonb,text) is 'Refuses anything but an array that is short enough to lock.';

create function outbox.resolve(event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language sql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.resolve(uuid,text,boolean) is 'outbox_resolve() for any topic.';

create function outbox.result_of(content text, event_id uuid)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.result_of(text,uuid) is 'The handler''s result for one event of a batch.';

create function outbox.routine(topic text, part text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.routine(text,text) is 'The name of a function generated for a topic.';

create function outbox.seconds_until(moment timestamp with time zone)
  returns integer
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.seconds_until(timestamp with time zone) is 'Whole seconds, from 1 to 60 even if the clock was set back.';

create function outbox.seed(t outbox.topics)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.seed(outbox.topics) is 'Stores the current states of a table''s rows as known.';

create function outbox.send_alerts()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.send_alerts() is 'Sends due notices to the URL in the Vault secret outbox_alert_url, if there is one; returns how many were accepted.';

create function outbox.send_directly()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function outbox.send_directly() is 'Sends the events that pg_net does not send; returns how many.';

create function outbox.settled_between(after timestamp with time zone, until timestamp with time zone, at_most integer)
  returns TABLE(event_id uuid, settled_at timestamp with time zone, failed boolean)
  language plpgsql stable set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.settled_between(timestamp with time zone,timestamp with time zone,integer) is 'The events that were completed or became dead letters, the earliest first; a few more than at_most if times are equal.';

create function outbox.settlement_problem(settlement jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.settlement_problem(jsonb) is 'Everything wrong with a settlement, or null.';

create function outbox.shape_problem(value jsonb, shape json)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.shape_problem(jsonb,json) is 'Everything wrong with the fields of a JSON object, or null. The shape has a word for each field, or {"enum": [..]}.';

create function outbox.shorten(message text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.shorten(text) is 'Shortens a message to fit last_error: 512 characters are at most 2 KB.';

create function outbox.sign(id text, unix_seconds bigint, body text, secrets text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.sign(text,bigint,text,text) is 'The webhook-signature header of Standard Webhooks: one signature per secret, so that secrets can be rotated.';

create function outbox.skip_row()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.skip_row() is 'Skips a restored row that means nothing in this database.';

create function outbox.span(trace_id text, span_id text, parent_id text, name text, kind integer, started_at timestamp with time zone, ended_at timestamp with time zone, failed boolean, attributes jsonb)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.span(text,text,text,text,integer,timestamp with time zone,timestamp with time zone,boolean,jsonb) is 'A span of OTLP/JSON. Kinds: 1 internal, 2 server, 3 client, 4 producer, 5 consumer.';

create function outbox.spans_of(event outbox.events, settled_at timestamp with time zone, failed boolean)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox.spans_of(outbox.events,timestamp with time zone,boolean) is 'The spans of an event: one from the change to the settlement; below it one for each attempt, from the dispatch to its end; below that one for the handler''s work. The ids are always the same.';

create function outbox.state_sql(t outbox.topics, alias text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.state_sql(outbox.topics,text) is 'SQL for the watched columns of a row, in the words that are sent; null if a value has no word.';

create function outbox.sweep()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function outbox.sweep() is 'Ends attempts that nobody ended, then dispatches due events; returns how many.';

create function outbox.take_back(silent uuid[])
  returns SETOF bigint
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function outbox.take_back(uuid[]) is 'Removes requests with expired signatures from pg_net''s queue.';

create function outbox.take_turns(readings outbox.pause_event[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.take_turns(outbox.pause_event[]) is 'Lets only one caller at a time notify about a mentor, because two could write in either order.';

create function outbox.topic_problem(t outbox.topics, OUT problem text, OUT cure text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.topic_problem(outbox.topics) is 'Why the table cannot be watched and what to do, or null.';

create function outbox.touch()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.touch() is 'Keeps updated_at current, unless the update itself changes it.';

create function outbox.traceparent(event_id uuid, incoming text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.traceparent(uuid,text) is 'The traceparent that travels with an event: in the incoming trace, or in one named by the event id.';

create function outbox.trigger_of(topic text, part text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function outbox.trigger_of(text,text) is 'The name of a topic''s trigger: insert, update or key.';

create function outbox.trigger_states(t outbox.topics)
  returns TABLE(relation text, name text, is_original boolean, is_enabled boolean)
  language sql stable set search_path=pg_catalog, pg_temp set quote_all_identifiers=off;
comment on function outbox.trigger_states(outbox.topics) is 'Whether the triggers that capture and dispatch are exactly as created, and enabled.';

create function outbox.triggers_of(t outbox.topics)
  returns TABLE(name text, definition text)
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.triggers_of(outbox.topics) is 'The triggers of a topic and their definitions.';

create function outbox.undo_future(at_most integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.undo_future(integer) is 'Ends waits that began before the clock was set back.';

create function outbox.unwatch(topic text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.unwatch(text) is 'Undoes watch(). Queued events are still delivered; a topic with its own function must be drained first. If the topic is declared again, versions continue where they were.';

create function outbox.usable_secrets()
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.usable_secrets() is 'Whether each secret that a dispatch needs is in Vault and of the right form. Never a value, nor why not.';

create function outbox.vault_secret(name text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.vault_secret(text) is 'The secret of this name, or an error that says how to store it.';

create function outbox.visible_keys(topic text, user_id uuid)
  returns text[]
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.visible_keys(text,uuid) is 'The keys whose events a user may see, from the topic''s visible_to function; none without one.';

create function outbox.watch()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.watch() is 'Opens, updates and closes alerts; returns how many are open. A failed measurement does not stop the others.';

create function outbox.watch(topic text, relation text, key text DEFAULT 'id'::text, columns text[] DEFAULT NULL::text[], operations text[] DEFAULT '{UPDATE}'::text[], words jsonb DEFAULT '{}'::jsonb, condition text DEFAULT NULL::text, payload text DEFAULT NULL::text, latest_only boolean DEFAULT false, fed_by text DEFAULT 'outbox'::text, visible_to text DEFAULT NULL::text, function_url text DEFAULT 'outbox_function_url'::text, max_attempts integer DEFAULT NULL::integer)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.watch(text,text,text,text[],text[],jsonb,text,text,boolean,text,text,text,integer) is 'Declares a topic: from now on, each change of these columns is an event. Checks everything first. Call it again to change a topic. Arguments: docs/topics.md.';

create function outbox.watch_for(alert text, measured numeric, tolerated integer, is_over boolean, advice text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function outbox.watch_for(text,numeric,integer,boolean,text) is 'Opens, updates or closes an alert.';

create function outbox.why_given_up(event outbox.events)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.why_given_up(outbox.events) is 'Why an event is given up; null while it is retried.';

create function outbox.withdraw(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function outbox.withdraw(uuid[]) is 'Makes events due again and does not count their delivery.';

create function outbox.written_as(value text, type text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function outbox.written_as(text,text) is 'How this type spells a value; null if it has no such value.';

create function public.outbox_claim(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off set lock_timeout=2s;
comment on function outbox_claim(jsonb) is 'Claims an array of events ({eventId, topic, key, version?, occurredAt, source, record, oldRecord}), each for one lease. Answers in the same order, each with its eventId: claimed (token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt; also of an erased event), payload_mismatch (same id, other event), failed (a dead letter), out_of_order (retryAfterSeconds), unknown_event (this outbox never queued it) or invalid (message).';
grant execute on function outbox_claim(jsonb) to service_role;

create function public.outbox_erase(topic text, event_id uuid)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set lock_timeout=2s;
comment on function outbox_erase(text,uuid) is 'Erases a settled event and its history, and leaves a tombstone. Returns erased, not_settled or unknown.';
grant execute on function outbox_erase(text,uuid) to service_role;

create function public.outbox_fail(topic text, event_id uuid, message text, receipt jsonb DEFAULT '{}'::jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function outbox_fail(text,uuid,text,jsonb) is 'Turns a completed event into a dead letter, because the work started for it has failed. Returns failed, already_failed, in_flight (not settled yet: call again after retryAfterSeconds), stale (its receipt does not contain the given one: other work was started since) or unknown.';
grant execute on function outbox_fail(text,uuid,text,jsonb) to service_role;

create function public.outbox_get_event(topic text, event_id uuid, user_id uuid DEFAULT NULL::uuid)
  returns jsonb
  language sql stable security definer set search_path=pg_catalog, pg_temp;
comment on function outbox_get_event(text,uuid,uuid) is 'An event with its last attempts and its newest dead letter; null if the user may see no such event.';
grant execute on function outbox_get_event(text,uuid,uuid) to service_role;

create function public.outbox_health()
  returns jsonb
  language plpgsql stable security definer set search_path=pg_catalog, pg_temp set lock_timeout=1s;
comment on function outbox_health() is 'outbox.health, open alerts, triggers, jobs and usable secrets as JSON. Costs the same however much is queued.';
grant execute on function outbox_health() to service_role;

create function public.outbox_list_events(query jsonb)
  returns jsonb
  language plpgsql stable security definer set search_path=pg_catalog, pg_temp;
comment on function outbox_list_events(jsonb) is 'A page of events, newest first, and next (pass it as after) if there are more.';
grant execute on function outbox_list_events(jsonb) to service_role;

create function public.outbox_metrics()
  returns jsonb
  language plpgsql stable security definer set search_path=pg_catalog, pg_temp set jit=off;
comment on function outbox_metrics() is 'How many events of each topic were completed in the last 15 minutes, and seconds from the change to the settlement.';
grant execute on function outbox_metrics() to service_role;

create function public.outbox_redrive(topic text, event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function outbox_redrive(text,uuid,boolean,boolean) is 'Sends an event that failed or reached nobody again, like a new one; with force even if a later one is settled.';
grant execute on function outbox_redrive(text,uuid,boolean,boolean) to service_role;

create function public.outbox_resolve(topic text, event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function outbox_resolve(text,uuid,text,boolean) is 'Closes an event without sending it, because a person has dealt with it. Cancels it if it is pending.';
grant execute on function outbox_resolve(text,uuid,text,boolean) to service_role;

create function public.outbox_settle(settlements jsonb, topic text DEFAULT NULL::text, take integer DEFAULT 0)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off set lock_timeout=2s;
comment on function outbox_settle(jsonb,text,integer) is 'Settles an array of claimed events. Answers settled, in the same order, each with its eventId: completed, released (it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was changed) or invalid (message). And next: at most take further events of the topic, claimed for the caller; with take 0 they are dispatched instead.';
grant execute on function outbox_settle(jsonb,text,integer) to service_role;

create function public.pause_status_notify(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status_notify(jsonb) is 'Notifies the coordinators of an array of PauseEvents, in one transaction and once per event id. Answers in the same order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded (a later version of the key was notified, and the event has no force) or invalid (message). A receipt with notified 0 is replaced once there is somebody to notify.';
grant execute on function pause_status_notify(jsonb) to service_role;

create view outbox.health with (security_invoker=true) as
 SELECT ( SELECT COALESCE(GREATEST(ceil(EXTRACT(epoch FROM clock_timestamp() - min(q.created_at))), 0::numeric), 0::numeric)::integer AS "coalesce"
           FROM outbox.events q
          WHERE (q.status = ANY (ARRAY['pending'::text, 'processing'::text])) AND (q.source = 'outbox'::text OR q.last_dispatched_at IS NOT NULL)) AS oldest_unnotified_seconds,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.events q
                  WHERE q.status = 'pending'::text
                 LIMIT 10000) c) AS pending,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.events q
                  WHERE q.status = 'processing'::text
                 LIMIT 10000) c) AS processing,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.events q
                  WHERE q.dead_letter_id IS NOT NULL
                 LIMIT 10000) c) AS failed,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.dead_letters d
                  WHERE d.resolution IS NULL
                 LIMIT 10000) c) AS dead_letters_open,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.events q
                  WHERE q.status = 'completed'::text AND (q.receipt -> 'notified'::text) = '0'::jsonb AND NOT q.receipt ? 'acknowledged'::text
                 LIMIT 10000) c) AS without_recipients,
    attempts AS attempts_last_15_min,
    COALESCE(round(100.0 * failures::numeric / NULLIF(attempts, 0)::numeric, 1), 0::numeric) AS failure_rate_last_15_min,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.attempts a
                  WHERE a.http_status = 401 AND a.claim_token IS NULL AND strpos(a.error, 'stale_signature'::text) = 0 AND a.ended_at > (statement_timestamp() - '00:15:00'::interval)
                 LIMIT 10000) c) AS unauthorized_last_15_min,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM outbox.events q
                  WHERE q.status = 'processing'::text AND q.lease_expires_at < (statement_timestamp() - '00:01:00'::interval)
                 LIMIT 10000) c) AS expired_leases,
    ( SELECT h.last_at
           FROM outbox.heartbeats h
          WHERE h.job = 'sweep'::text) AS last_sweep_at,
    ( SELECT count(*) AS count
           FROM outbox.alerts a
          WHERE a.closed_at IS NULL) AS alerts_open
   FROM ( SELECT count(*) AS attempts,
            count(*) FILTER (WHERE a.outcome <> 'completed'::text) AS failures
           FROM outbox.latest_attempts a
          WHERE a.ended_at > (statement_timestamp() - '00:15:00'::interval)) recent;
comment on view outbox.health is 'The current state: ages in seconds, the failure rate in percent. Counts stop at 10,000, attempts at 1,000.';

create view outbox.latest_attempts with (security_invoker=true) as
 SELECT id,
    event_id,
    attempt,
    why,
    dispatched_at,
    delivery_id,
    claim_token,
    outcome,
    http_status,
    error,
    duration_ms,
    ended_at
   FROM outbox.attempts a
  WHERE ended_at < (statement_timestamp() + '00:01:00'::interval)
  ORDER BY ended_at DESC
 LIMIT 1000;
comment on view outbox.latest_attempts is 'The last 1,000 attempts that have ended.';

select cron.schedule('outbox-alert', '* * * * *', 'select outbox.send_alerts()');

select cron.schedule('outbox-direct', '5 seconds', 'select outbox.send_directly()');

select cron.schedule('outbox-reconcile', '*/5 * * * *', 'select outbox.reconcile()');

select cron.schedule('outbox-retention', '*/10 * * * *', 'select outbox.forget_settled()');

select cron.schedule('outbox-sweep', '5 seconds', 'select outbox.sweep()');

select cron.schedule('outbox-traces', '* * * * *', 'select outbox.export_traces()');

select cron.schedule('outbox-watch', '* * * * *', 'select outbox.watch()');
