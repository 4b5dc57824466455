-- Written by npm run db:dump from supabase/migrations. Do not edit.

create schema pause_status;
comment on schema pause_status is 'The outbox of mentor transitions. Private: other roles reach it only through the functions public.pause_status_*.';

create type pause_status.job_state as (
  job text,
  is_scheduled boolean,
  last_run_at timestamp with time zone,
  missing text,
  failing text,
  silent text
);
comment on type pause_status.job_state is 'A scheduled job, and what is wrong with it: missing from pg_cron, failing, or silent for too long. Nulls: nothing.';

create type pause_status.judgement as (
  event pause_status.webhook_queue,
  outcome text,
  error text,
  http_status integer,
  duration_ms integer,
  receipt jsonb,
  retry_after interval,
  failures integer,
  own_failures integer,
  first_failed_at timestamp with time zone,
  last_failed_at timestamp with time zone,
  why_given_up text,
  verdict text
);
comment on type pause_status.judgement is 'What the end of an attempt means for its event.';

create type pause_status.measurement as (
  value numeric,
  threshold numeric,
  is_wrong boolean,
  detail text
);
comment on type pause_status.measurement is 'What is measured for an alert. is_wrong: true opens it, false closes it, null leaves it as it is.';

create type pause_status.net_answer as (
  event_id uuid,
  request_id bigint,
  is_waiting boolean,
  held interval,
  http_status integer,
  code text,
  entry jsonb,
  message text
);
comment on type pause_status.net_answer is 'What pg_net knows of a delivery: is_waiting while it has not sent it, held is how long it kept it. Code is the problem''s, entry the handler''s result for the event.';

create type pause_status.reading as (
  place integer,
  event_id_as_given jsonb,
  problem text,
  event_id uuid,
  mentor_id uuid,
  transition text,
  old_status text,
  new_status text,
  occurred_at timestamp with time zone,
  source text,
  version bigint,
  fingerprint text,
  payload jsonb,
  forced boolean
);
comment on type pause_status.reading is 'What an element of an array of events says, or what is wrong with it.';

create table pause_status.alerts (
  id uuid not null default gen_random_uuid(),
  kind text not null,
  opened_at timestamp with time zone not null default clock_timestamp(),
  last_seen_at timestamp with time zone not null default clock_timestamp(),
  closed_at timestamp with time zone,
  value numeric not null,
  threshold numeric not null,
  detail text not null,
  constraint alerts_pkey PRIMARY KEY (id),
  constraint alerts_close_after_they_open CHECK (closed_at >= opened_at),
  constraint alerts_kind_is_known CHECK (kind = ANY (ARRAY['oldest_unnotified'::text, 'dead_letters'::text, 'no_recipients'::text, 'failure_rate'::text, 'stuck_leases'::text, 'unauthorized'::text, 'sweep_silent'::text, 'capture_missing'::text, 'capture_failed'::text, 'job_missing'::text, 'job_failing'::text, 'unknown_event'::text, 'clock_skew'::text]))
);
alter table pause_status.alerts enable row level security;
CREATE UNIQUE INDEX alerts_one_open_per_kind_idx ON pause_status.alerts USING btree (kind) WHERE (closed_at IS NULL);
CREATE TRIGGER alerts_replace_row BEFORE INSERT ON pause_status.alerts FOR EACH ROW WHEN (new.closed_at IS NULL AND new.opened_at < now()) EXECUTE FUNCTION pause_status.replace_row();
comment on table pause_status.alerts is 'One row from the moment something is wrong until it no longer is.';
comment on column pause_status.alerts.last_seen_at is 'When the cause was last seen.';
comment on column pause_status.alerts.value is 'The last value while it was open; of unknown_event, clock_skew and capture_failed, how many there were.';
comment on column pause_status.alerts.detail is 'What to do about it.';

create table pause_status.dead_letter_queue (
  id uuid not null default gen_random_uuid(),
  event_id uuid not null,
  mentor_id uuid not null,
  version bigint,
  reason text not null,
  payload jsonb not null,
  attempts integer not null,
  first_failed_at timestamp with time zone not null,
  last_failed_at timestamp with time zone not null,
  last_error text not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  resolution text,
  resolved_at timestamp with time zone,
  notes text,
  constraint dead_letter_queue_pkey PRIMARY KEY (id),
  constraint dead_letter_queue_event_id_fkey FOREIGN KEY (event_id) REFERENCES pause_status.webhook_queue(event_id) ON DELETE CASCADE,
  constraint dead_letter_queue_first_is_not_after_last CHECK (first_failed_at <= last_failed_at),
  constraint dead_letter_queue_last_error_is_at_most_2_kb CHECK (octet_length(last_error) <= 2048),
  constraint dead_letter_queue_notes_are_at_most_8_kb CHECK (octet_length(notes) <= 8192),
  constraint dead_letter_queue_reason_is_known CHECK (reason = ANY (ARRAY['rejected'::text, 'refused'::text, 'exhausted'::text, 'cancelled'::text])),
  constraint dead_letter_queue_resolution_has_time CHECK ((resolution IS NULL) = (resolved_at IS NULL)),
  constraint dead_letter_queue_resolution_is_known CHECK (resolution = ANY (ARRAY['redriven'::text, 'resolved'::text]))
);
alter table pause_status.dead_letter_queue enable row level security;
CREATE INDEX dead_letter_queue_created_at_idx ON pause_status.dead_letter_queue USING btree (created_at);
CREATE INDEX dead_letter_queue_event_id_idx ON pause_status.dead_letter_queue USING btree (event_id);
CREATE UNIQUE INDEX dead_letter_queue_one_open_per_event_idx ON pause_status.dead_letter_queue USING btree (event_id) WHERE (resolution IS NULL);
CREATE INDEX dead_letter_queue_resolved_at_idx ON pause_status.dead_letter_queue USING btree (resolved_at) WHERE (resolution = 'resolved'::text);
comment on table pause_status.dead_letter_queue is 'Events that failed for good, until a person redrives or resolves them. They do not hold up their successors.';
comment on column pause_status.dead_letter_queue.reason is 'rejected: the handler, called without pg_net, answered 400 or 422; refused: the orchestrator would never accept it; exhausted: given up, for the reason that last_error ends with; cancelled: a person withdrew it.';
comment on column pause_status.dead_letter_queue.attempts is 'How often the event had been sent when it failed.';
comment on column pause_status.dead_letter_queue.resolution is 'Null while open; redriven: it was sent again; resolved: a person closed it.';

create table pause_status.deliveries (
  id uuid not null,
  request_id bigint,
  error text,
  event_ids uuid[],
  dispatched_at timestamp with time zone not null default clock_timestamp(),
  constraint deliveries_pkey PRIMARY KEY (id),
  constraint deliveries_were_sent_or_say_why_not CHECK ((request_id IS NULL) = (error IS NOT NULL))
);
alter table pause_status.deliveries enable row level security;
CREATE INDEX deliveries_dispatched_at_idx ON pause_status.deliveries USING btree (dispatched_at);
CREATE INDEX deliveries_failed_idx ON pause_status.deliveries USING btree (dispatched_at) WHERE (error IS NOT NULL);
CREATE TRIGGER deliveries_skip_restored BEFORE INSERT ON pause_status.deliveries FOR EACH ROW WHEN (new.dispatched_at < now()) EXECUTE FUNCTION pause_status.skip_row();
comment on table pause_status.deliveries is 'The requests that were handed to pg_net, and those that could not be.';
comment on column pause_status.deliveries.id is 'The webhook-id of the request.';
comment on column pause_status.deliveries.request_id is 'pg_net''s id of the request.';
comment on column pause_status.deliveries.error is 'Why it could not be handed over.';
comment on column pause_status.deliveries.event_ids is 'The events of a request that could not be handed over.';

create table pause_status.erased_events (
  event_id uuid not null,
  fingerprint text not null,
  erased_at timestamp with time zone not null default clock_timestamp(),
  constraint erased_events_pkey PRIMARY KEY (event_id),
  constraint erased_events_fingerprint_is_concealed CHECK (fingerprint ~ '^sha256:[0-9a-f]{32}:[0-9a-f]{64}$'::text)
);
alter table pause_status.erased_events enable row level security;
CREATE INDEX erased_events_erased_at_idx ON pause_status.erased_events USING btree (erased_at);
comment on table pause_status.erased_events is 'Tombstones: the identity of events that a person erased, so that a later delivery of one is a duplicate.';
comment on column pause_status.erased_events.fingerprint is 'Concealed: a fingerprint names the mentor and the time, which is what was to be erased.';

create table pause_status.heartbeats (
  job text not null,
  last_at timestamp with time zone not null default clock_timestamp(),
  failed_at timestamp with time zone,
  last_error text,
  constraint heartbeats_pkey PRIMARY KEY (job),
  constraint heartbeats_failure_has_error CHECK ((failed_at IS NULL) = (last_error IS NULL))
) with (fillfactor=50);
alter table pause_status.heartbeats enable row level security;
CREATE TRIGGER heartbeats_replace_row BEFORE INSERT ON pause_status.heartbeats FOR EACH ROW EXECUTE FUNCTION pause_status.replace_row();
comment on table pause_status.heartbeats is 'When each scheduled job last ran to its end, and the last error it met.';
comment on column pause_status.heartbeats.failed_at is 'When last_error was met. A later last_at means that the job has run without an error since.';

create table pause_status.mentor_states (
  mentor_id uuid not null,
  version bigint not null default 0,
  known_status text,
  made_event boolean not null default false,
  constraint mentor_states_pkey PRIMARY KEY (mentor_id),
  constraint mentor_states_count_up CHECK (version >= 0)
) with (fillfactor=50);
alter table pause_status.mentor_states enable row level security;
comment on table pause_status.mentor_states is 'What was last queued for each mentor. Written only under the lock of the mentor''s profile. A row outlives the profile, so that a version is never given twice.';
comment on column pause_status.mentor_states.version is 'The last version given to the mentor; 0 before the first.';
comment on column pause_status.mentor_states.known_status is 'The status as last queued, or as first seen. Capture and reconcile() compare with it, not with the row before.';
comment on column pause_status.mentor_states.made_event is 'Whether the last change of known_status made an event.';

create table pause_status.orchestrated_mentors (
  mentor_id uuid not null,
  version bigint not null,
  constraint orchestrated_mentors_pkey PRIMARY KEY (mentor_id)
);
alter table pause_status.orchestrated_mentors enable row level security;
comment on table pause_status.orchestrated_mentors is 'The highest version of each mentor that coordinators were told about: who comes later with a lower one is refused.';

create table pause_status.orchestrations (
  event_id uuid not null,
  fingerprint text not null,
  receipt jsonb not null,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint orchestrations_pkey PRIMARY KEY (event_id)
);
alter table pause_status.orchestrations enable row level security;
CREATE INDEX orchestrations_created_at_idx ON pause_status.orchestrations USING btree (created_at);
comment on table pause_status.orchestrations is 'The orchestrator''s idempotency keys: what was answered to each event, so that a repetition gets the same answer. Where nobody was notified, a repetition notifies the coordinators that the mentor has by then.';

create table pause_status.rechecks (
  id uuid not null default gen_random_uuid(),
  mentor_id uuid,
  reason text,
  created_at timestamp with time zone not null default clock_timestamp(),
  constraint rechecks_pkey PRIMARY KEY (id)
);
alter table pause_status.rechecks enable row level security;
CREATE INDEX rechecks_created_at_idx ON pause_status.rechecks USING btree (created_at);
comment on table pause_status.rechecks is 'Changes that capture could not compare and that must not fail for it. The sweep looks at them again.';
comment on column pause_status.rechecks.mentor_id is 'Null when the trigger could not even read the mentor''s id.';
comment on column pause_status.rechecks.reason is 'The error to raise an alert for; null when it was only a conflict.';

create table pause_status.settings (
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
  fed_by text not null default 'outbox'::text,
  constraint settings_pkey PRIMARY KEY (singleton),
  constraint settings_acknowledge_timeout_is_1_to_3600_seconds CHECK (acknowledge_timeout_seconds >= 1 AND acknowledge_timeout_seconds <= 3600),
  constraint settings_alert_failure_is_1_to_100_percent CHECK (alert_failure_percent >= 1 AND alert_failure_percent <= 100),
  constraint settings_alerts_start_at_one CHECK (LEAST(alert_unnotified_seconds, alert_dead_letters, alert_failure_least_attempts, alert_expired_leases, alert_unauthorized, alert_sweep_silent_seconds) >= 1),
  constraint settings_fed_by_is_known CHECK (fed_by = ANY (ARRAY['outbox'::text, 'webhook'::text])),
  constraint settings_hold_up_is_at_most_30_days CHECK (hold_up_seconds >= 0 AND hold_up_seconds <= 2592000),
  constraint settings_is_one_row CHECK (singleton),
  constraint settings_lease_is_1_to_60_seconds CHECK (lease_seconds >= 1 AND lease_seconds <= 60),
  constraint settings_max_attempts_is_1_to_100 CHECK (max_attempts >= 1 AND max_attempts <= 100),
  constraint settings_reconcile_batch_is_1_to_5000_mentors CHECK (reconcile_batch_size >= 1 AND reconcile_batch_size <= 5000),
  constraint settings_request_holds_1_to_200_events CHECK (events_per_request >= 1 AND events_per_request <= 200),
  constraint settings_request_timeout_is_100_to_60000_ms CHECK (request_timeout_ms >= 100 AND request_timeout_ms <= 60000),
  constraint settings_retention_batch_is_1_to_100000_rows CHECK (retention_batch_size >= 1 AND retention_batch_size <= 100000),
  constraint settings_retention_is_1_to_3650_days CHECK (retention_days >= 1 AND retention_days <= 3650),
  constraint settings_retry_base_is_1_to_3600_seconds CHECK (retry_base_seconds >= 1 AND retry_base_seconds <= 3600),
  constraint settings_retry_cap_is_at_least_the_base CHECK (retry_cap_seconds >= retry_base_seconds AND retry_cap_seconds <= 86400),
  constraint settings_retry_for_is_at_most_30_days CHECK (retry_for_seconds >= 0 AND retry_for_seconds <= 2592000),
  constraint settings_sweep_batch_is_1_to_5000_events CHECK (sweep_batch_size >= 1 AND sweep_batch_size <= 5000)
);
alter table pause_status.settings enable row level security;
CREATE TRIGGER settings_replace_row BEFORE INSERT ON pause_status.settings FOR EACH ROW EXECUTE FUNCTION pause_status.replace_row();
comment on table pause_status.settings is 'The one row of settings; change it with update, it takes effect at once.';
comment on column pause_status.settings.singleton is 'Always true: as the primary key it keeps this a single row.';
comment on column pause_status.settings.lease_seconds is 'Seconds a claim is held. A handler that died is replaced after this long.';
comment on column pause_status.settings.acknowledge_timeout_seconds is 'Seconds after a dispatch until the sweep takes an unclaimed event for unacknowledged.';
comment on column pause_status.settings.max_attempts is 'Failures after which an event becomes a dead letter, if others were completed meanwhile; a redrive gives it as many again. If none was, it is no failure of this event, and the next two settings decide.';
comment on column pause_status.settings.retry_for_seconds is 'Seconds that an event is tried again, from its first failure on, while no other is completed either. 0: only max_attempts counts.';
comment on column pause_status.settings.hold_up_seconds is 'The same once a later event of the mentor waits behind it: seconds that it may be held up.';
comment on column pause_status.settings.retry_base_seconds is 'Seconds before the first retry; doubled by each failure.';
comment on column pause_status.settings.retry_cap_seconds is 'Seconds that no retry waits longer than, whatever Retry-After asks for, until max_attempts is used up.';
comment on column pause_status.settings.request_timeout_ms is 'Milliseconds pg_net waits for the handler. pg_net starts no other request before the slowest of a batch has ended.';
comment on column pause_status.settings.events_per_request is 'Events that travel together in one signed request at most; fewer after each error, so that a bad one is found.';
comment on column pause_status.settings.sweep_batch_size is 'Events that one sweep sends at most.';
comment on column pause_status.settings.reconcile_batch_size is 'Mentors that one reconciliation enqueues at most.';
comment on column pause_status.settings.retention_days is 'Days that completed events, resolved dead letters, attempts, receipts and closed alerts are kept.';
comment on column pause_status.settings.retention_batch_size is 'Rows of a table that one run of retention deletes at most.';
comment on column pause_status.settings.alert_unnotified_seconds is 'Alert oldest_unnotified: seconds that the oldest unsettled event has been waiting.';
comment on column pause_status.settings.alert_dead_letters is 'Alert dead_letters: open dead letters that raise it. It lasts until the last one is redriven or resolved.';
comment on column pause_status.settings.alert_failure_percent is 'Alert failure_rate: percent of the attempts of the last 15 minutes that failed.';
comment on column pause_status.settings.alert_failure_least_attempts is 'Attempts in the last 15 minutes below which the failure rate says nothing.';
comment on column pause_status.settings.alert_expired_leases is 'Alert stuck_leases: leases that ran out over a minute ago and were not taken back by the sweep.';
comment on column pause_status.settings.alert_unauthorized is 'Alert unauthorized: deliveries of the last 15 minutes that the handler answered with 401.';
comment on column pause_status.settings.alert_sweep_silent_seconds is 'Alert sweep_silent: seconds since the last sweep.';
comment on column pause_status.settings.fed_by is 'outbox: changes are captured by our triggers; webhook: only stock database webhooks report them, so nothing is captured or reconciled. Change it with pause_status.feed_by().';

create table pause_status.webhook_attempts (
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
  constraint webhook_attempts_pkey PRIMARY KEY (id),
  constraint webhook_attempts_count_up CHECK (attempt >= 0 AND duration_ms >= 0),
  constraint webhook_attempts_error_is_at_most_2_kb CHECK (octet_length(error) <= 2048),
  constraint webhook_attempts_failure_has_error CHECK ((outcome = 'completed'::text) = (error IS NULL)),
  constraint webhook_attempts_outcome_is_known CHECK (outcome = ANY (ARRAY['completed'::text, 'permanent'::text, 'transient'::text, 'parked'::text, 'lease'::text, 'unacknowledged'::text, 'rejected'::text, 'dispatch'::text])),
  constraint webhook_attempts_why_is_known CHECK (why = ANY (ARRAY['commit'::text, 'settled'::text, 'sweep'::text, 'redrive'::text, 'reconcile'::text]))
);
alter table pause_status.webhook_attempts enable row level security;
CREATE INDEX webhook_attempts_ended_at_idx ON pause_status.webhook_attempts USING btree (ended_at);
CREATE INDEX webhook_attempts_event_id_idx ON pause_status.webhook_attempts USING btree (event_id, ended_at);
CREATE INDEX webhook_attempts_unauthorized_idx ON pause_status.webhook_attempts USING btree (ended_at) WHERE ((http_status = 401) AND (claim_token IS NULL));
comment on table pause_status.webhook_attempts is 'History, only ever added to: one row when an attempt ends, whatever ended it.';
comment on column pause_status.webhook_attempts.attempt is 'The event''s count of dispatches (or of claims, when somebody else sent it) when the attempt ended.';
comment on column pause_status.webhook_attempts.why is 'What made the dispatch; null when somebody else sent the event.';
comment on column pause_status.webhook_attempts.claim_token is 'The token of the claim that ended; null without one.';
comment on column pause_status.webhook_attempts.outcome is 'completed; permanent, transient, parked (the handler gave it back); lease (ran out); unacknowledged (never claimed); rejected (the handler, called without pg_net, answered 400 or 422); dispatch (could not be sent at all: one row for each new reason).';
comment on column pause_status.webhook_attempts.duration_ms is 'Milliseconds the handler worked on it, as it says.';

create table pause_status.webhook_queue (
  event_id uuid not null default gen_random_uuid(),
  mentor_id uuid not null,
  version bigint,
  transition text not null,
  old_status text not null,
  new_status text not null,
  occurred_at timestamp with time zone,
  source text not null,
  payload jsonb,
  fingerprint text not null,
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
  last_error text,
  receipt jsonb,
  created_at timestamp with time zone not null default clock_timestamp(),
  completed_at timestamp with time zone,
  dead_letter_id uuid,
  leads jsonb,
  constraint webhook_queue_pkey PRIMARY KEY (event_id),
  constraint webhook_queue_gives_a_version_once UNIQUE (mentor_id, version),
  constraint webhook_queue_counts_up CHECK (attempts >= 0 AND own_failures >= 0 AND own_failures <= failures AND claim_token >= 0),
  constraint webhook_queue_delivery_was_dispatched CHECK (delivery_id IS NULL OR dispatch_reason IS NOT NULL AND last_dispatched_at IS NOT NULL),
  constraint webhook_queue_dispatch_reason_is_known CHECK (dispatch_reason = ANY (ARRAY['commit'::text, 'settled'::text, 'sweep'::text, 'redrive'::text, 'reconcile'::text])),
  constraint webhook_queue_failures_have_times CHECK ((failures = 0 OR first_failed_at IS NOT NULL) AND (first_failed_at IS NULL) = (last_failed_at IS NULL)),
  constraint webhook_queue_last_error_is_at_most_2_kb CHECK (octet_length(last_error) <= 2048),
  constraint webhook_queue_only_outbox_has_version CHECK (
CASE source
    WHEN 'outbox'::text THEN COALESCE(version, 0::bigint) >= 1 AND (payload IS NOT NULL OR occurred_at IS NOT NULL)
    WHEN 'webhook'::text THEN version IS NULL AND payload IS NOT NULL
    ELSE false
END),
  constraint webhook_queue_status_agrees_with_columns CHECK (
CASE status
    WHEN 'pending'::text THEN (next_attempt_at IS NOT NULL OR source = 'webhook'::text) AND lease_expires_at IS NULL AND completed_at IS NULL AND receipt IS NULL AND dead_letter_id IS NULL
    WHEN 'processing'::text THEN lease_expires_at IS NOT NULL AND next_attempt_at IS NULL AND completed_at IS NULL AND receipt IS NULL AND dead_letter_id IS NULL
    WHEN 'completed'::text THEN completed_at IS NOT NULL AND receipt IS NOT NULL AND next_attempt_at IS NULL AND lease_expires_at IS NULL AND dead_letter_id IS NULL
    WHEN 'failed'::text THEN dead_letter_id IS NOT NULL AND next_attempt_at IS NULL AND lease_expires_at IS NULL AND completed_at IS NULL AND receipt IS NULL
    ELSE false
END),
  constraint webhook_queue_transition_agrees_with_statuses CHECK (transition = 'PAUSE'::text AND old_status = 'active'::text AND new_status = 'paused'::text OR transition = 'RESUME'::text AND old_status = 'paused'::text AND new_status = 'active'::text)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=1000);
alter table pause_status.webhook_queue enable row level security;
CREATE INDEX webhook_queue_completed_idx ON pause_status.webhook_queue USING btree (completed_at) WHERE (status = 'completed'::text);
CREATE INDEX webhook_queue_created_at_idx ON pause_status.webhook_queue USING btree (created_at, event_id);
CREATE INDEX webhook_queue_dead_letter_id_idx ON pause_status.webhook_queue USING btree (dead_letter_id) WHERE (dead_letter_id IS NOT NULL);
CREATE INDEX webhook_queue_due_idx ON pause_status.webhook_queue USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (delivery_id IS NULL));
CREATE INDEX webhook_queue_leases_idx ON pause_status.webhook_queue USING btree (lease_expires_at) WHERE (status = 'processing'::text);
CREATE INDEX webhook_queue_oldest_idx ON pause_status.webhook_queue USING btree (created_at) WHERE ((status = ANY (ARRAY['pending'::text, 'processing'::text])) AND ((source = 'outbox'::text) OR (last_dispatched_at IS NOT NULL)));
CREATE INDEX webhook_queue_reached_nobody_idx ON pause_status.webhook_queue USING btree (completed_at) WHERE ((status = 'completed'::text) AND ((receipt -> 'notified'::text) = '0'::jsonb) AND (NOT (receipt ? 'acknowledged'::text)));
CREATE INDEX webhook_queue_under_way_idx ON pause_status.webhook_queue USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (delivery_id IS NOT NULL));
CREATE INDEX webhook_queue_unsettled_idx ON pause_status.webhook_queue USING btree (mentor_id, version) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));
CREATE INDEX webhook_queue_untimely_idx ON pause_status.webhook_queue USING btree (created_at, event_id) WHERE (GREATEST((created_at - occurred_at), (occurred_at - created_at)) > '01:00:00'::interval);
CREATE CONSTRAINT TRIGGER webhook_queue_dispatch_at_commit AFTER INSERT ON pause_status.webhook_queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.leads IS NOT NULL AND new.status = 'pending'::text) EXECUTE FUNCTION pause_status.dispatch_at_commit();
comment on table pause_status.webhook_queue is 'The outbox, the record of truth: one row per transition, written by the transaction that made it.';
comment on column pause_status.webhook_queue.event_id is 'One key from end to end: webhook-id, the orchestrator''s Idempotency-Key, the notification''s event_id.';
comment on column pause_status.webhook_queue.version is 'Per-mentor counter given under the profile''s row lock: order without clocks. Null for a webhook from elsewhere.';
comment on column pause_status.webhook_queue.occurred_at is 'When it happened; null when a sender''s text is no timestamp. It identifies, it never orders.';
comment on column pause_status.webhook_queue.source is 'outbox: captured by our trigger and sent by us; webhook: sent, and sent again, by somebody else.';
comment on column pause_status.webhook_queue.payload is 'What is sent, where the other columns do not say it: null for what our trigger captured. See payload_of().';
comment on column pause_status.webhook_queue.fingerprint is 'Tells another payload under the same event id apart.';
comment on column pause_status.webhook_queue.attempts is 'How often the event was sent to the handler: dispatches, and claims of what was not dispatched.';
comment on column pause_status.webhook_queue.failures is 'Failures since it was queued or redriven.';
comment on column pause_status.webhook_queue.own_failures is 'Of these, those before which another event was completed since this one''s last failure: at settings.max_attempts it becomes a dead letter.';
comment on column pause_status.webhook_queue.claim_token is 'Fencing token, one more for each claim: who comes late with an older one changes nothing.';
comment on column pause_status.webhook_queue.next_attempt_at is 'When the sweep may send it (again), or, while a delivery is under way, when it counts as unacknowledged. Infinity while it waits behind an earlier event of the mentor; null while claimed or settled, and for stock webhooks.';
comment on column pause_status.webhook_queue.dispatch_reason is 'What made the last dispatch: commit, settled (an earlier event was), sweep, redrive or reconcile.';
comment on column pause_status.webhook_queue.delivery_id is 'webhook-id of the request it travels in: its own id when alone. Null while no delivery is under way.';
comment on column pause_status.webhook_queue.last_error is 'Why it is not completed yet, or what to do about it.';
comment on column pause_status.webhook_queue.receipt is 'What the orchestrator answered; duplicates get it too.';
comment on column pause_status.webhook_queue.dead_letter_id is 'The dead letter of a failed event, open or resolved.';
comment on column pause_status.webhook_queue.leads is 'The body of the request that the commit posts, on the first event of each request. Null otherwise, and once claimed.';
comment on trigger webhook_queue_dispatch_at_commit on pause_status.webhook_queue is 'The fast path. What it misses, the sweep sends.';

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
CREATE TRIGGER pause_status_capture_insert AFTER INSERT ON peer_mentor_profiles REFERENCING NEW TABLE AS new_profiles FOR EACH STATEMENT EXECUTE FUNCTION pause_status.capture_mentors();
CREATE TRIGGER pause_status_capture_key AFTER UPDATE ON peer_mentor_profiles FOR EACH ROW WHEN (old.id IS DISTINCT FROM new.id) EXECUTE FUNCTION pause_status.capture_key();
CREATE TRIGGER pause_status_capture_update AFTER UPDATE ON peer_mentor_profiles REFERENCING OLD TABLE AS old_profiles NEW TABLE AS new_profiles FOR EACH STATEMENT EXECUTE FUNCTION pause_status.capture_transitions();
CREATE TRIGGER peer_mentor_profiles_touch BEFORE UPDATE ON peer_mentor_profiles FOR EACH ROW EXECUTE FUNCTION pause_status.touch();
comment on table public.peer_mentor_profiles is 'Mentor profiles. A change of status between active and paused is told to the mentor''s coordinators.';
comment on column public.peer_mentor_profiles.status is 'active, paused, or a word of the project''s own; only changes between active and paused are told.';
comment on trigger pause_status_capture_insert on public.peer_mentor_profiles is 'Remembers the status a new mentor starts with.';
comment on trigger pause_status_capture_key on public.peer_mentor_profiles is 'The same for updates that change a mentor''s id.';
comment on trigger pause_status_capture_update on public.peer_mentor_profiles is 'Queues pauses and resumes in the transaction that makes them.';
comment on trigger peer_mentor_profiles_touch on public.peer_mentor_profiles is 'Keeps updated_at current.';

create function pause_status.answer_settlement(settlement jsonb, settled jsonb)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.answer_settlement(jsonb,jsonb) is 'What a settlement came to. Settled has the verdicts by event id.';

create function pause_status.answer_with_event(answer jsonb, event_id uuid)
  returns jsonb
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.answer_with_event(jsonb,uuid) is 'An answer and the event as it is after it; null when there is none.';

create function pause_status.answers_to(event_ids uuid[])
  returns SETOF pause_status.net_answer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off set lock_timeout=100ms;
comment on function pause_status.answers_to(uuid[]) is 'What pg_net knows of the deliveries of these events.';

create function pause_status.attempt(command text, OUT problem text)
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.attempt(text) is 'Runs one part of a job. When it fails, nothing of it is left and the job goes on; returns the error, or null.';

create function pause_status.await_settlements(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=200ms;
comment on function pause_status.await_settlements(uuid[]) is 'Waits until nobody is settling an earlier event of these mentors: whoever does cannot see the later one yet.';

create function pause_status.backoff(attempt integer)
  returns interval
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.backoff(integer) is 'How long to wait after this many failures: exponential, capped, with jitter.';

create function pause_status.beat(job text, error text DEFAULT NULL::text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.beat(text,text) is 'Notes that a job has run to its end, and the first error of a part that it went on without.';

create function pause_status.call_handler(event_ids uuid[], payloads jsonb, function_url text, secrets text, timeout_ms integer)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.call_handler(uuid[],jsonb,text,text,integer) is 'Sends events in one signed request and waits for the answer: status and content, or text that says why there is none. Never raises.';

create function pause_status.cancel(event pause_status.webhook_queue, notes text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.cancel(pause_status.webhook_queue,text) is 'Settles a pending event, which the caller has locked, without sending it, and dispatches the mentor''s next one. A request that is under way already is answered 409 dead_letter.';

create function pause_status.capture_key()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set jit=off;
comment on function pause_status.capture_key() is 'Queues the transition of an update that changes the mentor''s id as well: the statement trigger finds its rows by it.';

create function pause_status.capture_mentors()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set jit=off;
comment on function pause_status.capture_mentors() is 'Remembers the status that new mentors start with, also when a mentor of that id was deleted before.';

create function pause_status.capture_state(OUT attached boolean, OUT enabled boolean, OUT problem text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.capture_state() is 'Whether our triggers are on what is public.peer_mentor_profiles now, unaltered and enabled; the problem is null when all changes are captured and dispatched, or need not be because stock webhooks report them.';

create function pause_status.capture_transitions()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set enable_nestloop=off set jit=off;
comment on function pause_status.capture_transitions() is 'Queues the transitions of a statement. If the outbox cannot be written, the change of the profiles fails too: no transition goes unnoticed.';

create function pause_status.claim(event_ids uuid[])
  returns SETOF pause_status.webhook_queue
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.claim(uuid[]) is 'Claims what can be claimed of these events, each for itself.';

create function pause_status.claim_next(mentor_ids uuid[], most integer)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_bitmapscan=off set jit=off;
comment on function pause_status.claim_next(uuid[],integer) is 'Claims the next events of these mentors, then whatever else is due, as PauseEvents with their tokens. Waits for no lock: what somebody else holds is theirs.';

create function pause_status.close_unseen()
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.close_unseen() is 'Closes alerts of what is only noticed when it happens, an hour after the last time: nothing can tell that it is over. While its cause lasts, it happens again with the next event or change.';

create function pause_status.conceal(fingerprint text)
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.conceal(text) is 'A fingerprint that can no longer be read, only compared: sha256:<salt>:<hash>.';

create function pause_status.describe_answer(http_status integer, content text, alone boolean, result jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.describe_answer(integer,text,boolean,jsonb) is 'What the history of an event says of the handler''s answer: all of it if the event was alone in its request, else the result for the event, else the problem''s code. Null without a status and a result.';

create function pause_status.describe_attempt(attempt pause_status.webhook_attempts)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.describe_attempt(pause_status.webhook_attempts) is 'An attempt as the REST contract has it.';

create function pause_status.describe_dead_letter(letter pause_status.dead_letter_queue)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.describe_dead_letter(pause_status.dead_letter_queue) is 'A dead letter as the REST contract has it.';

create function pause_status.describe_event(event pause_status.webhook_queue)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.describe_event(pause_status.webhook_queue) is 'An event as the REST contract has it.';

create function pause_status.describe_jobs()
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.describe_jobs() is 'pause_status.job_states() as the REST contract has it. Never raises.';

create function pause_status.dispatch(event_ids uuid[], why text)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.dispatch(uuid[],text) is 'Hands those of the events to pg_net that are due and their mentor''s lowest unsettled version; returns how many. Never raises.';

create function pause_status.dispatch_at_commit()
  returns trigger
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function pause_status.dispatch_at_commit() is 'Posts the request that an event leads, with the rights of the outbox, not of the writer. Never raises.';

create function pause_status.dispatch_due(why text, at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set enable_bitmapscan=off set jit=off;
comment on function pause_status.dispatch_due(text,integer) is 'Dispatches the heads of line that have been due for longest; returns how many.';

create function pause_status.dispatch_next(mentor_ids uuid[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.dispatch_next(uuid[]) is 'Dispatches the event that is first in line of each of these mentors; returns how many.';

create function pause_status.end_attempts(endings jsonb)
  returns TABLE(event_id uuid, mentor_id uuid, verdict text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function pause_status.end_attempts(jsonb) is 'Ends attempts at events that the caller has locked: adds to their history and completes them (receipt), makes them pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or given up).';

create function pause_status.end_attempts_each(endings jsonb)
  returns TABLE(event_id uuid, mentor_id uuid, verdict text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.end_attempts_each(jsonb) is 'end_attempts(), except that one event that cannot be written does not hold up the others: it opens an alert.';

create function pause_status.end_direct(calls jsonb)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off;
comment on function pause_status.end_direct(jsonb) is 'Counts the failure of those events that were sent directly and that the handler did not claim; returns how many will be tried again.';

create function pause_status.end_leases(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.end_leases(integer) is 'Takes events back from claimants whose lease ran out; returns how many.';

create function pause_status.end_settled(settlements jsonb)
  returns TABLE(event_id uuid, mentor_id uuid, verdict text)
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.end_settled(jsonb) is 'Ends the attempts whose claims these settlements still hold; returns what became of them.';

create function pause_status.end_unacknowledged(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.end_unacknowledged(integer) is 'Ends the deliveries that nobody claimed in time, with the handler''s answer as the reason; returns how many.';

create function pause_status.ending_of(event_id uuid, answer pause_status.net_answer)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.ending_of(uuid,pause_status.net_answer) is 'How an attempt ends that the handler did not claim.';

create function pause_status.erase(event_id uuid)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.erase(uuid) is 'Erases a settled event with its payload, attempts, receipt and dead letters, and leaves a tombstone: erased (also when it was before), not_settled (pending, processing, or its dead letter is open) or unknown. What coordinators were told stays in public.notifications.';

create function pause_status.erase_from_net(event_id uuid, mentor_id uuid)
  returns bigint[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms set jit=off;
comment on function pause_status.erase_from_net(uuid,uuid) is 'Deletes pg_net''s answers that name an event, or a mentor unless that is null, and our requests that wait with the event; returns their ids. Never raises.';

create function pause_status.erase_traces(event_id uuid, mentor_id uuid)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.erase_traces(uuid,uuid) is 'Erases what names an event outside of its own rows, and the mentor if it was the last event of one without a profile.';

create function pause_status.erased_as(event_id uuid, fingerprint text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.erased_as(uuid,text) is 'What a claim of an erased event is answered: completed, or payload_mismatch. Null for any other event.';

create function pause_status.event_history(event_id uuid)
  returns SETOF pause_status.webhook_attempts
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

create function pause_status.feed_by(source text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.feed_by(text) is 'Declares what reports changes: outbox, our own triggers; or webhook, stock database webhooks only, with the triggers disabled and nothing reconciled. Back at outbox, mentors start with the status they have then.';

create function pause_status.find_events(query jsonb, timely boolean)
  returns SETOF pause_status.webhook_queue
  language plpgsql stable set search_path=pg_catalog, pg_temp set TimeZone=UTC set DateStyle=ISO, MDY set plan_cache_mode=force_custom_plan set jit=off;
comment on function pause_status.find_events(jsonb,boolean) is 'The events that a query asks for, newest first, and one more: those created within an hour of when they occurred (timely), the others, or all (null). Between two times of occurrence the timely ones are found by when they were created, so that a day long ago is found at once.';

create function pause_status.fingerprint(mentor uuid, transition text, occurred_at text, version bigint)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.fingerprint(uuid,text,text,bigint) is 'What must be equal in two deliveries of one event. The time is the sender''s text: parsing would merge events.';

create function pause_status.forget(relation text, key text, query text, older_than timestamp with time zone, batch integer, OUT deleted integer, OUT problem text)
  returns record
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function pause_status.forget(text,text,text,timestamp with time zone,integer) is 'Deletes a batch of what the query finds, row by row if it fails as a whole; returns how many rows, and the first error.';

create function pause_status.forget_mentors(mentor_ids uuid[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms set jit=off;
comment on function pause_status.forget_mentors(uuid[]) is 'Forgets those of the mentors who have neither a profile nor an event; returns how many.';

create function pause_status.forget_settled()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.forget_settled() is 'Deletes a batch of what was settled longer than settings.retention_days ago; returns how many rows. Open dead letters, unsettled events and events that reached nobody are never deleted. A part that fails does not stop the others.';

create function pause_status.gone_mentors(at_most integer)
  returns uuid[]
  language plpgsql stable set search_path=pg_catalog, pg_temp set jit=off;
comment on function pause_status.gone_mentors(integer) is 'Mentors who have neither a profile nor an event any more.';

create function pause_status.handler_address(OUT function_url text, OUT secrets text)
  returns record
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.handler_address() is 'Where events are sent, and the secrets to sign them with; or an error that says what is missing.';

create function pause_status.has_key_twice(part json)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.has_key_twice(json) is 'Whether it is an object with a key twice, of which jsonb would keep the last. Objects inside it are not looked at.';

create function pause_status.has_unique_key(relation regclass, columns text[])
  returns boolean
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.has_unique_key(regclass,text[]) is 'Whether exactly these columns are unique, in all rows and at every moment: a key that may be deferred lets an id be there twice until the commit, and capture would fail the statement that does it.';

create function pause_status.hold(event_ids uuid[])
  returns SETOF pause_status.webhook_queue
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.hold(uuid[]) is 'Claims those of the events, which the caller has locked, that can be claimed: pending, or claimed by somebody whose lease has run out, and their mentor''s lowest unsettled version.';

create function pause_status.http_schema()
  returns text
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.http_schema() is 'Where the extension http is, quoted; null without it. Somebody may have installed it elsewhere before us.';

create function pause_status.insert_stock(readings pause_status.reading[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function pause_status.insert_stock(pause_status.reading[]) is 'Puts stock webhooks into the queue, which keeps them apart by their event id. Nothing else is inserted by a claim.';

create function pause_status.is_authorized_again()
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.is_authorized_again() is 'Whether a delivery was claimed after the last one that was refused with 401 for its secret.';

create function pause_status.is_bigint(value text)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.is_bigint(text) is 'Whether the text is a whole number that can be cast to bigint.';

create function pause_status.is_concealed_as(fingerprint text, concealed text)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.is_concealed_as(text,text) is 'Whether this is the fingerprint that was concealed.';

create function pause_status.is_first_in_line(mentor uuid, candidate bigint)
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set jit=off;
comment on function pause_status.is_first_in_line(uuid,bigint) is 'Whether no lower version of the mentor is unsettled. An event without a version waits for nobody.';

create function pause_status.is_only_run(job text)
  returns boolean
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.is_only_run(text) is 'Whether no other run of the job is under way; then none can begin before this transaction ends.';

create function pause_status.is_superseded(event pause_status.webhook_queue)
  returns boolean
  language plpgsql stable set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.is_superseded(pause_status.webhook_queue) is 'Whether a later event of the mentor is settled, or was and is forgotten since: sending this one would undo it. Events without a version are compared by when they were created.';

create function pause_status.is_uuid(value text)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.is_uuid(text) is 'Whether the text can be cast to uuid.';

create function pause_status.iso(moment timestamp with time zone)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.iso(timestamp with time zone) is 'A time as ISO 8601 in UTC with all of its microseconds, whatever the session''s TimeZone and DateStyle are: as it is sent, it is part of the fingerprint.';

create function pause_status.job_states()
  returns SETOF pause_status.job_state
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.job_states() is 'How the scheduled jobs are. A job of every minute or more often is silent after settings.alert_sweep_silent_seconds, the rarer ones after five and ten times as long. A beat that far in the future is no sign of life either.';

create function pause_status.judge(endings jsonb)
  returns SETOF pause_status.judgement
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function pause_status.judge(jsonb) is 'What these ends of attempts mean for their events; changes nothing.';

create function pause_status.keeps_requests(waiting interval)
  returns boolean
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.keeps_requests(interval) is 'Whether pg_net has kept a request of ours for this long without sending it.';

create function pause_status.lease_left(event pause_status.webhook_queue)
  returns integer
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.lease_left(pause_status.webhook_queue) is 'Whole seconds until the claim of an event ends, from 1 to 60.';

create function pause_status.list_problem(query jsonb)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function pause_status.list_problem(jsonb) is 'All that is wrong with a query of events, or null.';

create function pause_status.may_send_more()
  returns boolean
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.may_send_more() is 'Whether this statement''s events are sent at the commit: true for the first 5 of a transaction. Those who settle these are handed the rest.';

create function pause_status.measure(kind text)
  returns pause_status.measurement
  language plpgsql stable set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.measure(text) is 'Measures for one kind of alert what the queue says.';

create function pause_status.measure_jobs(kind text)
  returns pause_status.measurement
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.measure_jobs(text) is 'Measures for one kind of alert whether the triggers and the scheduled jobs work.';

create function pause_status.next_attempt(judged pause_status.judgement)
  returns timestamp with time zone
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.next_attempt(pause_status.judgement) is 'When a released event may be sent again; null for one that is settled, or that somebody else sends.';

create function pause_status.next_of(mentor_ids uuid[])
  returns TABLE(event_id uuid)
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.next_of(uuid[]) is 'The event that is first in line of each of these mentors, unless it waits for a retry.';

create function pause_status.not_sent(refuses boolean, waiting interval, tried uuid[], at_most integer)
  returns SETOF pause_status.webhook_queue
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off set lock_timeout=100ms;
comment on function pause_status.not_sent(boolean,interval,uuid[],integer) is 'Heads of line that pg_net refused, or whose request it has kept for this long. Without locks on them: the handler needs these rows while it is called.';

create function pause_status.notification_id(event_id uuid, coordinator_id uuid)
  returns uuid
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.notification_id(uuid,uuid) is 'The id of what a coordinator is told about an event: the same each time, so a receipt can name it beforehand.';

create function pause_status.notify(readings pause_status.reading[])
  returns uuid[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function pause_status.notify(pause_status.reading[]) is 'Notifies the coordinators of each event that nobody was notified of, unless it is superseded. Returns the events whose receipts it wrote.';

create function pause_status.old_rows(OUT relation text, OUT key text, OUT keep interval, OUT rounds integer, OUT query text)
  returns SETOF record
  language sql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.old_rows() is 'What retention deletes: the rows of a relation whose key the query finds, older than its $1. Keep is how long they are kept, null for settings.retention_days; rounds is how many batches one run deletes at most.';

create function pause_status.open_alerts()
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.open_alerts() is 'The open alerts as the REST contract has them, oldest first.';

create function pause_status.other_ways_in(watched regclass)
  returns SETOF text
  language sql stable set search_path=pg_catalog, pg_temp set quote_all_identifiers=off;
comment on function pause_status.other_ways_in(regclass) is 'How to close the ways to write mentors by the name of another table, which fires no statement triggers of this one.';

create function pause_status.outage_backoff(failures integer, failing_since timestamp with time zone)
  returns interval
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.outage_backoff(integer,timestamp with time zone) is 'How long to wait at least once the attempts are used up: a quarter of the time that it has failed, with jitter.';

create function pause_status.pace(job text, command text, wanted text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.pace(text,text,text) is 'Schedules a job, or changes how often it runs: pg_cron keeps a row for each run, so an idle database is swept less.';

create function pause_status.pace_jobs()
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.pace_jobs() is 'Runs the sweep and the direct calls every five seconds while something is unsettled, and less often otherwise.';

create function pause_status.park(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.park(uuid[]) is 'Takes events that wait behind an earlier one of their mentor out of what is due, until release_next() puts them back.';

create function pause_status.parse_object(value text)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.parse_object(text) is 'The JSON object; null when it is no JSON, no object, has a key twice itself, or holds what jsonb cannot.';

create function pause_status.parse_timestamp(value text)
  returns timestamp with time zone
  language plpgsql stable set search_path=pg_catalog, pg_temp set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function pause_status.parse_timestamp(text) is 'The point in time, in UTC without an offset; null when the text is none.';

create function pause_status.payload(event_id uuid, mentor_id uuid, old_status text, new_status text, version bigint, occurred_at text)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.payload(uuid,uuid,text,text,bigint,text) is 'The body of a delivery, in the shape of a Supabase database webhook. It carries no profile data.';

create function pause_status.payload_of(event pause_status.webhook_queue)
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.payload_of(pause_status.webhook_queue) is 'What is sent for an event: the same each time, because what it is made of never changes.';

create function pause_status.pg_net_problem()
  returns text
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.pg_net_problem() is 'Why pg_net takes no requests: not installed, not loaded, not granted, locked. Null when it takes them.';

create function pause_status.post(delivery_id uuid, body jsonb)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.post(uuid,jsonb) is 'Hands pg_net one signed request, to be sent when the transaction has committed, and notes its id in pause_status.deliveries.';

create function pause_status.postpone(event_ids uuid[], why text, reason text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.postpone(uuid[],text,text) is 'Keeps events that could not be sent at all. This is never the event''s fault, so it counts as no failure. Never raises.';

create function pause_status.postpone_refused(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.postpone_refused(integer) is 'Postpones the events of requests that their commits could not hand to pg_net; returns how many.';

create function pause_status.queue_transitions(mentor_ids uuid[], old_statuses text[], new_statuses text[], why text, most_requests integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set jit=off;
comment on function pause_status.queue_transitions(uuid[],text[],text[],text,integer) is 'Queues an event, with the mentor''s next version, for each of these mentors whose new status is not the known one. The first most_requests requests are posted when the transaction commits; the rest is due. Returns how many events.';

create function pause_status.raise_alert(kind text, amount numeric, detail text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.raise_alert(text,numeric,text) is 'Opens an alert of this kind, or adds to the open one. Never raises an error, and waits for nobody.';

create function pause_status.reached_nobody(event pause_status.webhook_queue)
  returns boolean
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.reached_nobody(pause_status.webhook_queue) is 'Whether an event was completed although no coordinator was notified. What another orchestrator answers without a figure notified says nothing.';

create function pause_status.read_events(events jsonb)
  returns pause_status.reading[]
  language plpgsql stable set search_path=pg_catalog, pg_temp set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function pause_status.read_events(jsonb) is 'The elements of an array of events in their order. One that is malformed has a problem, which lists all of it.';

create function pause_status.recall_versions(mentor_ids uuid[])
  returns void
  language sql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.recall_versions(uuid[]) is 'Raises the versions of mentors to those in the queue, after a restore of one without the other.';

create function pause_status.receipt(event pause_status.reading, coordinator_ids uuid[])
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.receipt(pause_status.reading,uuid[]) is 'What the orchestrator answers when it notifies these coordinators of an event.';

create function pause_status.recheck(mentor_ids uuid[], reason text)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.recheck(uuid[],text) is 'Leaves mentors whose change could not be compared to the sweep; null when not even their ids could be read.';

create function pause_status.recheck_mentors(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.recheck_mentors(integer) is 'Queues what capture left to the sweep, and raises an alert when it could not read the changes at all.';

create function pause_status.reconcile()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off;
comment on function pause_status.reconcile() is 'Queues the difference between what profiles say and what was last queued; returns how many events it made.';

create function pause_status.reconcile_mentors(mentor_ids uuid[])
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off;
comment on function pause_status.reconcile_mentors(uuid[]) is 'Queues an event for each of these mentors whose status is not the known one; returns how many.';

create function pause_status.redrive(event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.redrive(uuid,boolean,boolean) is 'Sends an event again that failed or that reached nobody, with as many attempts and as much time as a new one: redriven, or would_redrive (dry_run), superseded (see is_superseded(); force overrides it, for the orchestrator too), already_pending (it is on its way), not_failed (completed, and somebody was notified) or unknown.';

create function pause_status.refusal(reading pause_status.reading)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.refusal(pause_status.reading) is 'Why an event could not be claimed.';

create function pause_status.release_forgotten(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.release_forgotten(integer) is 'Releases parked events that wait behind nobody, which a person''s own statement can leave; returns how many.';

create function pause_status.release_next(mentor_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.release_next(uuid[]) is 'Makes the next event of each of these mentors due, if it was parked behind one that is settled now.';

create function pause_status.replace_row()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.replace_row() is 'Lets an inserted row take the place of the one with its key.';

create function pause_status.request_size(event_id uuid, failures integer, largest integer)
  returns integer
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set jit=off;
comment on function pause_status.request_size(uuid,integer,integer) is 'How many events may travel with this one. Halved by every request that was answered with an error of its own, so that an event that spoils requests soon travels alone. An outage (no answer, 429, 502, 503) changes nothing.';

create function pause_status.requests_waiting(at_most integer)
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.requests_waiting(integer) is 'How many requests pg_net has not finished yet, counted no further than at_most.';

create function pause_status.require_array(elements jsonb, name text)
  returns void
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.require_array(jsonb,text) is 'Refuses an argument that is no array, or one so long that its locks would be held for seconds.';

create function pause_status.require_boolean(value boolean, name text)
  returns void
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.require_boolean(boolean,text) is 'Refuses an argument that is null.';

create function pause_status.resolve(event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.resolve(uuid,text,boolean) is 'Closes an event without sending it, because a person has dealt with it: resolved (a dead letter, or acknowledged: it reached nobody) or cancelled (it was pending), or with dry_run would_resolve and would_cancel; in_flight (processed at this moment; retryAfterSeconds), already_resolved, not_failed or unknown.';

create function pause_status.result_of(content text, event_id uuid)
  returns jsonb
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.result_of(text,uuid) is 'The handler''s result for one event out of its answer to a delivery of several; null when it has none for it. The answer to a delivery of one is no list: there its HTTP status is the result.';

create function pause_status.send_batch(batch pause_status.webhook_queue[], function_url text, secrets text, timeout_ms integer)
  returns jsonb
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.send_batch(pause_status.webhook_queue[],text,text,integer) is 'Calls the handler for these events at once; returns for each the answer, and how it was when it was sent.';

create function pause_status.send_directly()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.send_directly() is 'Calls the handler for what pg_net does not send, until nothing is left or 20 seconds are over; returns how many events it sent. Does nothing without the extension http, or while another run is under way.';

create function pause_status.settlement_problem(settlement jsonb)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.settlement_problem(jsonb) is 'All that is wrong with a settlement, or null.';

create function pause_status.shorten(message text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.shorten(text) is 'Makes a message fit last_error: 512 characters are at most 2 KB.';

create function pause_status.sign(id text, unix_seconds bigint, body text, secrets text)
  returns text
  language plpgsql immutable set search_path=pg_catalog, pg_temp;
comment on function pause_status.sign(text,bigint,text,text) is 'The webhook-signature header of Standard Webhooks: one signature per secret, so that secrets can be rotated.';

create function pause_status.skip_row()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.skip_row() is 'Leaves a row out that a restore brings and that means nothing here.';

create function pause_status.sort_silent(at_most integer)
  returns pause_status.webhook_queue[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_custom_plan set jit=off set lock_timeout=100ms;
comment on function pause_status.sort_silent(integer) is 'The events whose delivery nobody claimed in time, locked. Deliveries that were posted late or came before their turn are dealt with here, and left out.';

create function pause_status.strike(names text[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.strike(text[]) is 'Takes ids out of the errors of jobs and out of alerts.';

create function pause_status.sweep()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp set enable_seqscan=off set jit=off;
comment on function pause_status.sweep() is 'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many it sent.';

create function pause_status.take_back(request_ids bigint[])
  returns bigint[]
  language plpgsql volatile set search_path=pg_catalog, pg_temp set lock_timeout=100ms;
comment on function pause_status.take_back(bigint[]) is 'Takes requests out of pg_net''s queue that it has not begun to send; returns their ids.';

create function pause_status.take_turns(readings pause_status.reading[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off set jit=off;
comment on function pause_status.take_turns(pause_status.reading[]) is 'Lets one caller at a time notify about a mentor; otherwise two could write in either order.';

create function pause_status.touch()
  returns trigger
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.touch() is 'Keeps updated_at current, unless the update itself changes it.';

create function pause_status.trigger_states()
  returns TABLE(relation text, name text, is_original boolean, is_enabled boolean)
  language sql stable set search_path=pg_catalog, pg_temp set quote_all_identifiers=off;
comment on function pause_status.trigger_states() is 'Whether the triggers that capture and dispatch are as the migrations create them, to the word, and enabled.';

create function pause_status.undo_future()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.undo_future() is 'Ends waits and leases that are longer than any that we give: the clock was set back meanwhile. Returns how many.';

create function pause_status.usable_secrets()
  returns jsonb
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.usable_secrets() is 'Whether each secret that a dispatch needs is in Vault and of the right form. Never a value, nor why not.';

create function pause_status.vault_secret(name text)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp;
comment on function pause_status.vault_secret(text) is 'A secret by name, or an error that says how to store it.';

create function pause_status.watch()
  returns integer
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.watch() is 'Opens, updates and closes alerts; returns how many are open. A measure that fails does not stop the others.';

create function pause_status.watch_for(alert text, measured pause_status.measurement)
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp;
comment on function pause_status.watch_for(text,pause_status.measurement) is 'Opens, updates or closes the alert of this kind.';

create function pause_status.why_given_up(mentor uuid, version bigint, failures integer, own_failures integer, failing_since timestamp with time zone)
  returns text
  language plpgsql stable set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set jit=off set enable_seqscan=off;
comment on function pause_status.why_given_up(uuid,bigint,integer,integer,timestamp with time zone) is 'Why an event that may yet succeed is given up: its attempts are used up, and either others were completed meanwhile (max_attempts), or it has failed for too long (retry_for_seconds), or held up the mentor''s next event for too long (hold_up_seconds). Null: it is tried again.';

create function pause_status.withdraw(event_ids uuid[])
  returns void
  language plpgsql volatile set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status.withdraw(uuid[]) is 'Makes events due again whose delivery came to nothing through no fault of anybody: it counts as no attempt.';

create function public.pause_status_claim(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off set lock_timeout=2s;
comment on function pause_status_claim(jsonb) is 'Claims an array of PauseEvents, each for one lease; answers in the same order, each with its eventId: claimed (token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt; also of an erased event), payload_mismatch (same key, other payload), failed (terminal), out_of_order (retryAfterSeconds: an earlier version of the mentor is unsettled), unknown_event (this outbox never queued it) or invalid (message).';
grant execute on function pause_status_claim(jsonb) to service_role;

create function public.pause_status_erase(event_id uuid)
  returns jsonb
  language sql volatile security definer set search_path=pg_catalog, pg_temp set lock_timeout=2s;
comment on function pause_status_erase(uuid) is 'pause_status.erase(): erased, not_settled or unknown.';
grant execute on function pause_status_erase(uuid) to service_role;

create function public.pause_status_get_event(event_id uuid, coordinator_id uuid DEFAULT NULL::uuid)
  returns jsonb
  language sql stable security definer set search_path=pg_catalog, pg_temp;
comment on function pause_status_get_event(uuid,uuid) is 'An event with its attempts (the last 1000, oldest first) and its newest dead letter. Null when there is none, or when a coordinator is given whose mentor it is not.';
grant execute on function pause_status_get_event(uuid,uuid) to service_role;

create function public.pause_status_health()
  returns jsonb
  language plpgsql stable security definer set search_path=pg_catalog, pg_temp set lock_timeout=1s set enable_seqscan=off set jit=off;
comment on function pause_status_health() is 'pause_status.health, the open alerts, triggers and jobs as JSON, and whether the secrets of Vault are usable; never a secret. Costs the same however much is queued.';
grant execute on function pause_status_health() to service_role;

create function public.pause_status_list_events(query jsonb)
  returns jsonb
  language plpgsql stable security definer set search_path=pg_catalog, pg_temp;
comment on function pause_status_list_events(jsonb) is 'A page of events, newest first: events, and next (to be given as after) when there are more. Filters: status, mentorId, transition, occurredFrom (inclusive), occurredTo (exclusive), and coordinatorId (only their mentors).';
grant execute on function pause_status_list_events(jsonb) to service_role;

create function public.pause_status_notify(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set plan_cache_mode=force_generic_plan set enable_seqscan=off set jit=off;
comment on function pause_status_notify(jsonb) is 'Tells the coordinators about an array of PauseEvents, in one transaction and once per event id; answers in the same order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded (they were told about a later version of the mentor, and the event has no force) or invalid (message). A receipt that says notified 0 is replaced once there is somebody to notify.';
grant execute on function pause_status_notify(jsonb) to service_role;

create function public.pause_status_redrive(event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function pause_status_redrive(uuid,boolean,boolean) is 'pause_status.redrive(), with the event after it: redriven, would_redrive, already_pending, superseded, not_failed or unknown.';
grant execute on function pause_status_redrive(uuid,boolean,boolean) to service_role;

create function public.pause_status_resolve(event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp;
comment on function pause_status_resolve(uuid,text,boolean) is 'pause_status.resolve(), with the event after it: resolved, cancelled, would_resolve, would_cancel, in_flight, already_resolved, not_failed or unknown.';
grant execute on function pause_status_resolve(uuid,text,boolean) to service_role;

create function public.pause_status_settle(settlements jsonb, take integer DEFAULT 0)
  returns jsonb
  language plpgsql volatile security definer set search_path=pg_catalog, pg_temp set lock_timeout=2s;
comment on function pause_status_settle(jsonb,integer) is 'Settles an array of claimed events. Answers settled, in the same order, each with its eventId: completed, released (it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was changed) or invalid (message). And next: at most take further events, claimed for the caller; with take 0 they are dispatched instead.';
grant execute on function pause_status_settle(jsonb,integer) to service_role;

create view pause_status.health with (security_invoker=true) as
 SELECT ( SELECT COALESCE(GREATEST(ceil(EXTRACT(epoch FROM clock_timestamp() - min(q.created_at))), 0::numeric), 0::numeric)::integer AS "coalesce"
           FROM pause_status.webhook_queue q
          WHERE (q.status = ANY (ARRAY['pending'::text, 'processing'::text])) AND (q.source = 'outbox'::text OR q.last_dispatched_at IS NOT NULL)) AS oldest_unnotified_seconds,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_queue q
                  WHERE q.status = 'pending'::text
                 LIMIT 10000) counted) AS pending,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_queue q
                  WHERE q.status = 'processing'::text
                 LIMIT 10000) counted) AS processing,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_queue q
                  WHERE q.dead_letter_id IS NOT NULL
                 LIMIT 10000) counted) AS failed,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.dead_letter_queue d
                  WHERE d.resolution IS NULL
                 LIMIT 10000) counted) AS dead_letters_open,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_queue q
                  WHERE q.status = 'completed'::text AND (q.receipt -> 'notified'::text) = '0'::jsonb AND NOT q.receipt ? 'acknowledged'::text
                 LIMIT 10000) counted) AS without_recipients,
    ( SELECT count(*) AS count
           FROM pause_status.latest_attempts a
          WHERE a.ended_at > (statement_timestamp() - '00:15:00'::interval)) AS attempts_last_15_min,
    ( SELECT COALESCE(round(100.0 * count(*) FILTER (WHERE a.outcome <> 'completed'::text)::numeric / NULLIF(count(*), 0)::numeric, 1), 0::numeric) AS "coalesce"
           FROM pause_status.latest_attempts a
          WHERE a.ended_at > (statement_timestamp() - '00:15:00'::interval)) AS failure_rate_last_15_min,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_attempts a
                  WHERE a.http_status = 401 AND a.claim_token IS NULL AND a.ended_at > (statement_timestamp() - '00:15:00'::interval) AND strpos(a.error, 'stale_signature'::text) = 0
                 LIMIT 10000) counted) AS unauthorized_last_15_min,
    ( SELECT count(*) AS count
           FROM ( SELECT
                   FROM pause_status.webhook_queue q
                  WHERE q.status = 'processing'::text AND q.lease_expires_at < (statement_timestamp() - '00:01:00'::interval)
                 LIMIT 10000) counted) AS expired_leases,
    ( SELECT h.last_at
           FROM pause_status.heartbeats h
          WHERE h.job = 'sweep'::text) AS last_sweep_at,
    ( SELECT count(*) AS count
           FROM pause_status.alerts a
          WHERE a.closed_at IS NULL) AS alerts_open;
comment on view pause_status.health is 'How things stand, in one row: ages in seconds, failure_rate_last_15_min in percent of the attempts that ended, of the last 1,000 at most. Counts end at 10,000.';

create view pause_status.latest_attempts with (security_invoker=true) as
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
   FROM pause_status.webhook_attempts a
  WHERE ended_at < (statement_timestamp() + '00:01:00'::interval)
  ORDER BY ended_at DESC
 LIMIT 1000;
comment on view pause_status.latest_attempts is 'The last 1,000 attempts that ended.';

select cron.schedule('pause-status-direct', '5 seconds', 'select pause_status.send_directly()');

select cron.schedule('pause-status-reconcile', '*/5 * * * *', 'select pause_status.reconcile()');

select cron.schedule('pause-status-retention', '*/10 * * * *', 'select pause_status.forget_settled()');

select cron.schedule('pause-status-sweep', '5 seconds', 'select pause_status.sweep()');

select cron.schedule('pause-status-watch', '* * * * *', 'select pause_status.watch()');
