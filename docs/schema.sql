-- Written by npm run db:dump from supabase/migrations. Do not edit.

create schema pause_status;
comment on schema pause_status is 'The outbox of mentor transitions. Private: other roles reach it only through the functions public.pause_status_*.';

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
  id bigint generated always as identity not null,
  kind text not null,
  opened_at timestamp with time zone not null default clock_timestamp(),
  closed_at timestamp with time zone,
  value numeric not null,
  threshold numeric not null,
  detail text not null,
  constraint alerts_pkey PRIMARY KEY (id),
  constraint alerts_close_after_they_open CHECK (closed_at >= opened_at),
  constraint alerts_kind_is_known CHECK (kind = ANY (ARRAY['oldest_unnotified'::text, 'dead_letters'::text, 'failure_rate'::text, 'stuck_leases'::text, 'unauthorized'::text, 'sweep_silent'::text]))
);
alter table pause_status.alerts enable row level security;
CREATE UNIQUE INDEX alerts_one_open_per_kind_idx ON pause_status.alerts USING btree (kind) WHERE (closed_at IS NULL);
comment on table pause_status.alerts is 'One row from the moment a threshold is passed until it no longer is.';
comment on column pause_status.alerts.value is 'The last value while it was open.';
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
  constraint dead_letter_queue_reason_is_known CHECK (reason = ANY (ARRAY['rejected'::text, 'refused'::text, 'exhausted'::text])),
  constraint dead_letter_queue_resolution_has_time CHECK ((resolution IS NULL) = (resolved_at IS NULL)),
  constraint dead_letter_queue_resolution_is_known CHECK (resolution = ANY (ARRAY['redriven'::text, 'resolved'::text]))
);
alter table pause_status.dead_letter_queue enable row level security;
CREATE INDEX dead_letter_queue_created_at_idx ON pause_status.dead_letter_queue USING btree (created_at);
CREATE INDEX dead_letter_queue_event_id_idx ON pause_status.dead_letter_queue USING btree (event_id);
CREATE UNIQUE INDEX dead_letter_queue_one_open_per_event_idx ON pause_status.dead_letter_queue USING btree (event_id) WHERE (resolution IS NULL);
comment on table pause_status.dead_letter_queue is 'Events that failed for good, until a person redrives or resolves them. They do not hold up their successors.';
comment on column pause_status.dead_letter_queue.reason is 'rejected: the handler answered 400 or 422; refused: the orchestrator would never accept it; exhausted: given up, for the reason that last_error ends with.';
comment on column pause_status.dead_letter_queue.attempts is 'How often the event had been sent when it failed.';
comment on column pause_status.dead_letter_queue.resolution is 'Null while open; redriven: it was sent again; resolved: a person closed it.';

create table pause_status.erased_events (
  event_id uuid not null,
  fingerprint text not null,
  erased_at timestamp with time zone not null default clock_timestamp(),
  constraint erased_events_pkey PRIMARY KEY (event_id),
  constraint erased_events_fingerprint_is_concealed CHECK (fingerprint ~ '^sha256:[0-9a-f]{64}$'::text)
);
alter table pause_status.erased_events enable row level security;
CREATE INDEX erased_events_erased_at_idx ON pause_status.erased_events USING btree (erased_at);
comment on table pause_status.erased_events is 'Tombstones: the identity of events that a person erased, so that a later delivery of one is a duplicate.';
comment on column pause_status.erased_events.fingerprint is 'Concealed: a fingerprint names the mentor and the time, which is what was to be erased.';

create table pause_status.heartbeats (
  job text not null,
  last_at timestamp with time zone not null default clock_timestamp(),
  constraint heartbeats_pkey PRIMARY KEY (job)
) with (fillfactor=50);
alter table pause_status.heartbeats enable row level security;
comment on table pause_status.heartbeats is 'When each piece of scheduled work last ran to its end.';

create table pause_status.mentor_states (
  mentor_id uuid not null,
  notified_version bigint,
  notified_status text,
  constraint mentor_states_pkey PRIMARY KEY (mentor_id)
);
alter table pause_status.mentor_states enable row level security;
comment on table pause_status.mentor_states is 'The status each mentor''s coordinators know of.';
comment on column pause_status.mentor_states.notified_version is 'Version of the last completed event; null before it.';
comment on column pause_status.mentor_states.notified_status is 'Status after the last completed event; before it, the status the mentor was first seen with.';

create table pause_status.mentor_versions (
  mentor_id uuid not null,
  version bigint not null,
  constraint mentor_versions_pkey PRIMARY KEY (mentor_id),
  constraint mentor_versions_start_at_one CHECK (version >= 1)
) with (fillfactor=50);
alter table pause_status.mentor_versions enable row level security;
comment on table pause_status.mentor_versions is 'The last version given to each mentor. It outlives the profile, so that a mentor''s version is never given twice.';

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
comment on table pause_status.orchestrations is 'The orchestrator''s idempotency keys: what was answered to each event, so that a repetition gets the same answer.';

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
  alert_dead_letters_per_hour integer not null default 1,
  alert_failure_percent integer not null default 50,
  alert_failure_least_attempts integer not null default 10,
  alert_expired_leases integer not null default 1,
  alert_unauthorized integer not null default 1,
  alert_sweep_silent_seconds integer not null default 180,
  constraint settings_pkey PRIMARY KEY (singleton),
  constraint settings_acknowledge_timeout_is_1_to_3600_seconds CHECK (acknowledge_timeout_seconds >= 1 AND acknowledge_timeout_seconds <= 3600),
  constraint settings_alert_failure_is_1_to_100_percent CHECK (alert_failure_percent >= 1 AND alert_failure_percent <= 100),
  constraint settings_alerts_start_at_one CHECK (LEAST(alert_unnotified_seconds, alert_dead_letters_per_hour, alert_failure_least_attempts, alert_expired_leases, alert_unauthorized, alert_sweep_silent_seconds) >= 1),
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
comment on column pause_status.settings.alert_dead_letters_per_hour is 'Alert dead_letters: events that became dead letters in the last hour and still are.';
comment on column pause_status.settings.alert_failure_percent is 'Alert failure_rate: percent of the attempts of the last 15 minutes that failed.';
comment on column pause_status.settings.alert_failure_least_attempts is 'Attempts in the last 15 minutes below which the failure rate says nothing.';
comment on column pause_status.settings.alert_expired_leases is 'Alert stuck_leases: leases that ran out over a minute ago and were not taken back by the sweep.';
comment on column pause_status.settings.alert_unauthorized is 'Alert unauthorized: deliveries of the last 15 minutes that the handler answered with 401.';
comment on column pause_status.settings.alert_sweep_silent_seconds is 'Alert sweep_silent: seconds since the last sweep.';

create table pause_status.webhook_attempts (
  id bigint generated always as identity not null,
  event_id uuid not null,
  attempt integer not null,
  why text,
  dispatched_at timestamp with time zone,
  delivery_id uuid,
  request_id bigint,
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
CREATE INDEX webhook_attempts_event_id_idx ON pause_status.webhook_attempts USING btree (event_id, id);
comment on table pause_status.webhook_attempts is 'History, only ever added to: one row when an attempt ends, whatever ended it.';
comment on column pause_status.webhook_attempts.attempt is 'The event''s count of dispatches (or of claims, when somebody else sent it) when the attempt ended.';
comment on column pause_status.webhook_attempts.why is 'What made the dispatch; null when somebody else sent the event.';
comment on column pause_status.webhook_attempts.claim_token is 'The token of the claim that ended; null without one.';
comment on column pause_status.webhook_attempts.outcome is 'completed; permanent, transient, parked (the handler gave it back); lease (ran out); unacknowledged (never claimed); rejected (the handler answered 400 or 422); dispatch (could not be sent at all: one row for each new reason).';
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
  request_id bigint,
  last_error text,
  receipt jsonb,
  created_at timestamp with time zone not null default clock_timestamp(),
  completed_at timestamp with time zone,
  dead_letter_id uuid,
  queued_by xid8 default pg_current_xact_id(),
  leads boolean not null default true,
  constraint webhook_queue_pkey PRIMARY KEY (event_id),
  constraint webhook_queue_gives_a_version_once UNIQUE (mentor_id, version),
  constraint webhook_queue_dead_letter_id_fkey FOREIGN KEY (dead_letter_id) REFERENCES pause_status.dead_letter_queue(id),
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
CREATE INDEX webhook_queue_under_way_idx ON pause_status.webhook_queue USING btree (next_attempt_at) WHERE ((status = 'pending'::text) AND (delivery_id IS NOT NULL));
CREATE INDEX webhook_queue_unsettled_idx ON pause_status.webhook_queue USING btree (mentor_id, version) WHERE (status = ANY (ARRAY['pending'::text, 'processing'::text]));
CREATE INDEX webhook_queue_untimely_idx ON pause_status.webhook_queue USING btree (created_at, event_id) WHERE (GREATEST((created_at - occurred_at), (occurred_at - created_at)) > '01:00:00'::interval);
CREATE CONSTRAINT TRIGGER webhook_queue_dispatch_at_commit AFTER INSERT ON pause_status.webhook_queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.leads AND new.source = 'outbox'::text AND new.status = 'pending'::text) EXECUTE FUNCTION pause_status.dispatch_at_commit();
comment on table pause_status.webhook_queue is 'The outbox, the record of truth: one row per transition, written by the transaction that made it.';
comment on column pause_status.webhook_queue.event_id is 'One key from end to end: webhook-id, the orchestrator''s Idempotency-Key, the notification''s event_id.';
comment on column pause_status.webhook_queue.version is 'Per-mentor counter given under the profile''s row lock: order without clocks. Null for a webhook from elsewhere.';
comment on column pause_status.webhook_queue.occurred_at is 'When it happened; null when a sender''s text is no timestamp. It identifies, it never orders.';
comment on column pause_status.webhook_queue.source is 'outbox: captured by our trigger and sent by us; webhook: sent, and sent again, by somebody else.';
comment on column pause_status.webhook_queue.payload is 'What is sent, where the other columns do not say it: null for what our trigger captured. See payload_of().';
comment on column pause_status.webhook_queue.fingerprint is 'Tells another payload under the same event id apart.';
comment on column pause_status.webhook_queue.attempts is 'How often the event was sent to the handler: dispatches, or the claims of a webhook from elsewhere.';
comment on column pause_status.webhook_queue.failures is 'Failures since it was queued or redriven.';
comment on column pause_status.webhook_queue.own_failures is 'Of these, those before which another event was completed since this one''s last failure: at settings.max_attempts it becomes a dead letter.';
comment on column pause_status.webhook_queue.claim_token is 'Fencing token, one more for each claim: who comes late with an older one changes nothing.';
comment on column pause_status.webhook_queue.next_attempt_at is 'When the sweep may send it (again), or, while a delivery is under way, when it counts as unacknowledged. Null while claimed or settled, and for what somebody else sends.';
comment on column pause_status.webhook_queue.dispatch_reason is 'What made the last dispatch: commit, settled (its predecessor was, or others of its large update), sweep, redrive or reconcile.';
comment on column pause_status.webhook_queue.delivery_id is 'webhook-id of the request it travels in: its own id when alone. Null while no delivery is under way.';
comment on column pause_status.webhook_queue.request_id is 'pg_net''s id of that request. Only a hint: pg_net gives the same ids again after a crash.';
comment on column pause_status.webhook_queue.last_error is 'Why it is not completed yet, or what to do about it.';
comment on column pause_status.webhook_queue.receipt is 'What the orchestrator answered; duplicates get it too.';
comment on column pause_status.webhook_queue.dead_letter_id is 'The dead letter of a failed event, open or resolved.';
comment on column pause_status.webhook_queue.queued_by is 'The transaction that queued it, so that its commit finds its events among all that are due. Null for what a large update leaves to those who settle its first events: these are due from the moment they occurred at.';
comment on column pause_status.webhook_queue.leads is 'Whether it takes the events that were queued with it along at the commit; one of each statement is enough.';
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
CREATE TRIGGER pause_status_capture_update AFTER UPDATE ON peer_mentor_profiles REFERENCING OLD TABLE AS old_profiles NEW TABLE AS new_profiles FOR EACH STATEMENT EXECUTE FUNCTION pause_status.capture_transitions();
comment on table public.peer_mentor_profiles is 'Mentor profiles. A change of status between active and paused is told to the mentor''s coordinators.';
comment on column public.peer_mentor_profiles.status is 'active, paused, or a word of the project''s own; only changes between active and paused are told.';
comment on trigger pause_status_capture_insert on public.peer_mentor_profiles is 'Remembers the status a new mentor starts with.';
comment on trigger pause_status_capture_update on public.peer_mentor_profiles is 'Queues pauses and resumes in the transaction that makes them.';

create function pause_status.answer_with_event(answer jsonb, event_id uuid)
  returns jsonb
  language sql stable set search_path="";
comment on function pause_status.answer_with_event(jsonb,uuid) is 'An answer and the event as it is after it; null when there is none.';

create function pause_status.backoff(attempt integer)
  returns interval
  language plpgsql volatile set search_path="";
comment on function pause_status.backoff(integer) is 'How long to wait after this many failures: exponential, capped, with jitter.';

create function pause_status.call_handler(event_ids uuid[], payloads jsonb, function_url text, secrets text, timeout_ms integer)
  returns jsonb
  language plpgsql volatile set search_path="";
comment on function pause_status.call_handler(uuid[],jsonb,text,text,integer) is 'Sends events in one signed request and waits for the answer: status, text to be shown, and content. Never raises.';

create function pause_status.capture_mentors()
  returns trigger
  language plpgsql volatile security definer set search_path="";
comment on function pause_status.capture_mentors() is 'Remembers the status that new mentors start with.';

create function pause_status.capture_transitions()
  returns trigger
  language plpgsql volatile security definer set search_path="" set enable_nestloop=off set enable_seqscan=off;
comment on function pause_status.capture_transitions() is 'Queues the transitions of a statement with their mentors'' next versions. If the outbox cannot be written, the change of the profiles fails too: no transition goes unnoticed.';

create function pause_status.claim(readings pause_status.reading[])
  returns TABLE(place integer, event_id uuid, token bigint, attempt integer)
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.claim(pause_status.reading[]) is 'Claims what can be claimed, each event for itself; returns the claims.';

create function pause_status.claim_next(reading pause_status.reading, settings pause_status.settings)
  returns jsonb
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.claim_next(pause_status.reading,pause_status.settings) is 'Claims a pending event of whose mentor no earlier version is unsettled, and answers so; null for any other event.';

create function pause_status.conceal(fingerprint text)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.conceal(text) is 'A fingerprint that can still be compared, but no longer read.';

create function pause_status.describe_attempt(attempt pause_status.webhook_attempts)
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.describe_attempt(pause_status.webhook_attempts) is 'An attempt as the REST contract has it.';

create function pause_status.describe_dead_letter(letter pause_status.dead_letter_queue)
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.describe_dead_letter(pause_status.dead_letter_queue) is 'A dead letter as the REST contract has it.';

create function pause_status.describe_event(event pause_status.webhook_queue)
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.describe_event(pause_status.webhook_queue) is 'An event as the REST contract has it.';

create function pause_status.dispatch(event_ids uuid[], why text)
  returns integer
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.dispatch(uuid[],text) is 'Hands those of the events to pg_net that are due and their mentor''s lowest unsettled version; returns how many. Never raises.';

create function pause_status.dispatch_at_commit()
  returns trigger
  language plpgsql volatile security definer set search_path="";
comment on function pause_status.dispatch_at_commit() is 'Dispatches what a transaction queued when it commits, with the rights of the outbox, not of the writer.';

create function pause_status.dispatch_due(why text, at_most integer)
  returns integer
  language plpgsql volatile set search_path="" set enable_seqscan=off set enable_bitmapscan=off;
comment on function pause_status.dispatch_due(text,integer) is 'Dispatches the heads of line that have been due for longest; returns how many.';

create function pause_status.dispatch_rest(event_ids uuid[])
  returns integer
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.dispatch_rest(uuid[]) is 'Dispatches some more of the large updates that these events, settled now, are from; returns how many.';

create function pause_status.dispatch_transaction()
  returns void
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off set lock_timeout=2s;
comment on function pause_status.dispatch_transaction() is 'Dispatches what the current transaction queued, once its mentors'' earlier events have been settled or have not.';

create function pause_status.end_attempts(endings jsonb)
  returns TABLE(event_id uuid, mentor_id uuid, verdict text)
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off;
comment on function pause_status.end_attempts(jsonb) is 'Ends attempts at events that the caller has locked: adds to their history and completes them (receipt), makes them pending again (transient, parked, lease, unacknowledged) or dead letters (permanent, rejected, or given up).';

create function pause_status.end_direct(calls jsonb)
  returns integer
  language plpgsql volatile set search_path="" set plan_cache_mode=force_custom_plan;
comment on function pause_status.end_direct(jsonb) is 'Counts the failure of those events that were sent directly and that the handler did not claim; returns how many will be tried again.';

create function pause_status.end_leases(at_most integer)
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.end_leases(integer) is 'Takes events back from claimants whose lease ran out; returns how many.';

create function pause_status.end_unacknowledged(at_most integer)
  returns integer
  language plpgsql volatile set search_path="" set plan_cache_mode=force_custom_plan;
comment on function pause_status.end_unacknowledged(integer) is 'Ends the deliveries that nobody claimed in time, with the handler''s answer as the reason; returns how many.';

create function pause_status.erase(event_id uuid)
  returns jsonb
  language plpgsql volatile set search_path="";
comment on function pause_status.erase(uuid) is 'Erases a settled event with its payload, attempts, receipt and dead letters, and leaves a tombstone: erased (also when it was before), not_settled (pending, processing, or its dead letter is open) or unknown. What coordinators were told stays in public.notifications.';

create function pause_status.erased_as(event_id uuid, fingerprint text)
  returns text
  language plpgsql stable set search_path="";
comment on function pause_status.erased_as(uuid,text) is 'What a claim of an erased event is answered: completed, or payload_mismatch. Null for any other event.';

create function pause_status.event_history(event_id uuid)
  returns SETOF pause_status.webhook_attempts
  language sql stable set search_path="";
comment on function pause_status.event_history(uuid) is 'Every attempt at an event that has ended, oldest first.';

create function pause_status.find_events(query jsonb, timely boolean)
  returns SETOF pause_status.webhook_queue
  language plpgsql stable set search_path="" set TimeZone=UTC set DateStyle=ISO, MDY set plan_cache_mode=force_custom_plan;
comment on function pause_status.find_events(jsonb,boolean) is 'The events that a query asks for, newest first, and one more: those created within an hour of when they occurred (timely), the others, or all (null). Between two times of occurrence the timely ones are found by when they were created, so that a day long ago is found at once.';

create function pause_status.fingerprint(mentor uuid, transition text, occurred_at text, version bigint)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.fingerprint(uuid,text,text,bigint) is 'What must be equal in two deliveries of one event. The time is the sender''s text: parsing would merge events.';

create function pause_status.forget_settled()
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.forget_settled() is 'Deletes a batch of what was settled longer than settings.retention_days ago; returns how many rows. Open dead letters and unsettled events are never deleted.';

create function pause_status.hand_over(bodies jsonb[])
  returns TABLE(request bigint, delivery_id uuid, request_id bigint)
  language plpgsql volatile set search_path="";
comment on function pause_status.hand_over(jsonb[]) is 'Hands pg_net a request for each of the bodies, which it numbers from 0, or none at all. Never raises.';

create function pause_status.handler_address(OUT function_url text, OUT secrets text)
  returns record
  language plpgsql stable set search_path="";
comment on function pause_status.handler_address() is 'Where pg_net is to send events, and the secrets to sign them with; or an error that says what is missing.';

create function pause_status.http_schema()
  returns text
  language sql stable set search_path="";
comment on function pause_status.http_schema() is 'Where the extension http is, quoted; null without it. Somebody may have installed it elsewhere before us.';

create function pause_status.is_first_in_line(mentor uuid, candidate bigint)
  returns boolean
  language plpgsql stable set search_path="" set plan_cache_mode=force_generic_plan;
comment on function pause_status.is_first_in_line(uuid,bigint) is 'Whether no lower version of the mentor is unsettled. An event without a version waits for nobody.';

create function pause_status.iso(moment timestamp with time zone)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.iso(timestamp with time zone) is 'A time as ISO 8601 in UTC with all of its microseconds, whatever the session''s TimeZone and DateStyle are: as it is sent, it is part of the fingerprint.';

create function pause_status.list_problem(query jsonb)
  returns text
  language plpgsql stable set search_path="" set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function pause_status.list_problem(jsonb) is 'All that is wrong with a query of events, or null.';

create function pause_status.not_sent(waiting interval, tried uuid[], at_most integer)
  returns SETOF pause_status.webhook_queue
  language plpgsql stable set search_path="" set plan_cache_mode=force_custom_plan;
comment on function pause_status.not_sent(interval,uuid[],integer) is 'Heads of line whose request has been waiting in pg_net for this long, or that could not be given to it because it is not installed. Without locks: the handler needs these rows while it is called.';

create function pause_status.notification_id(event_id uuid, coordinator_id uuid)
  returns uuid
  language plpgsql immutable set search_path="";
comment on function pause_status.notification_id(uuid,uuid) is 'The id of what a coordinator is told about an event: the same each time, so a receipt can name it beforehand.';

create function pause_status.notify(readings pause_status.reading[])
  returns uuid[]
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off set enable_hashjoin=off set enable_mergejoin=off;
comment on function pause_status.notify(pause_status.reading[]) is 'Tells the coordinators of each event that nobody was told about, unless it is superseded; returns those events.';

create function pause_status.outage_backoff(failures integer, failing_since timestamp with time zone)
  returns interval
  language plpgsql volatile set search_path="";
comment on function pause_status.outage_backoff(integer,timestamp with time zone) is 'How long to wait at least once the attempts are used up: a quarter of the time that it has failed, with jitter.';

create function pause_status.payload(event_id uuid, mentor_id uuid, old_status text, new_status text, version bigint, occurred_at text)
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.payload(uuid,uuid,text,text,bigint,text) is 'The body of a delivery, in the shape of a Supabase database webhook. It carries no profile data.';

create function pause_status.payload_of(event pause_status.webhook_queue)
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.payload_of(pause_status.webhook_queue) is 'What is sent for an event: the same each time, because what it is made of never changes.';

create function pause_status.post(delivery_id uuid, body jsonb, function_url text, secrets text, timeout_ms integer)
  returns bigint
  language plpgsql volatile set search_path="";
comment on function pause_status.post(uuid,jsonb,text,text,integer) is 'Hands pg_net one signed request, to be sent when the transaction has committed; returns pg_net''s id of it.';

create function pause_status.postpone(event_ids uuid[], why text, reason text)
  returns void
  language sql volatile set search_path="";
comment on function pause_status.postpone(uuid[],text,text) is 'Keeps events that could not be sent at all: it is our mistake, so it counts as no failure and kills no event.';

create function pause_status.read_events(events jsonb)
  returns pause_status.reading[]
  language plpgsql stable set search_path="" set TimeZone=UTC set DateStyle=ISO, MDY;
comment on function pause_status.read_events(jsonb) is 'The elements of an array of events in their order. One that is malformed has a problem, which lists all of it.';

create function pause_status.reconcile()
  returns integer
  language plpgsql volatile set search_path="" set plan_cache_mode=force_custom_plan;
comment on function pause_status.reconcile() is 'Enqueues the difference between what profiles say and what coordinators know; returns how many events it made.';

create function pause_status.redrive(event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile set search_path="";
comment on function pause_status.redrive(uuid,boolean,boolean) is 'Sends a failed event again, with as many attempts and as much time as a new one: redriven, or would_redrive (dry_run), superseded (a newer version of the mentor is completed; force overrides it, for the orchestrator too), already_pending (it is on its way), not_failed (completed) or unknown.';

create function pause_status.refuse_erased(event_id uuid)
  returns void
  language plpgsql volatile set search_path="";
comment on function pause_status.refuse_erased(uuid) is 'Undoes a claim that saw neither the row, which is gone, nor the tombstone, which was not there yet.';

create function pause_status.request_size(event_id uuid, failures integer, largest integer)
  returns integer
  language plpgsql stable set search_path="" set plan_cache_mode=force_generic_plan;
comment on function pause_status.request_size(uuid,integer,integer) is 'With how many events at most this one travels: halved by every request that was answered with an error of its own, so that what spoils a request for its neighbours soon travels alone. An outage (no answer, 429, 502, 503) is no reason for more requests.';

create function pause_status.requests_waiting(at_most integer)
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.requests_waiting(integer) is 'How many requests pg_net has not finished yet, counted no further than at_most.';

create function pause_status.require_array(elements jsonb, name text)
  returns void
  language plpgsql immutable set search_path="";
comment on function pause_status.require_array(jsonb,text) is 'Refuses an argument that is no array, or one so long that its locks would be held for seconds.';

create function pause_status.require_boolean(value boolean, name text)
  returns void
  language plpgsql immutable set search_path="";
comment on function pause_status.require_boolean(boolean,text) is 'Refuses an argument that is null.';

create function pause_status.resolve(event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile set search_path="";
comment on function pause_status.resolve(uuid,text,boolean) is 'Closes an open dead letter without sending it, because a person has dealt with it: resolved, or would_resolve (dry_run), already_resolved, not_failed or unknown.';

create function pause_status.result_of(content text, event_id uuid)
  returns jsonb
  language plpgsql immutable set search_path="";
comment on function pause_status.result_of(text,uuid) is 'The handler''s result for one event out of its answer to a delivery of several; null when it has none for it. The answer to a delivery of one is no list: there its HTTP status is the result.';

create function pause_status.schedule_often(job text, command text)
  returns bigint
  language plpgsql volatile set search_path="";
comment on function pause_status.schedule_often(text,text) is 'Schedules a job every five seconds, or every minute where pg_cron knows no seconds; returns its id.';

create function pause_status.send_directly()
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.send_directly() is 'Calls the handler for what pg_net does not send, until nothing is left or 20 seconds are over; returns how many events it sent. Does nothing without the extension http, or while another run is under way.';

create function pause_status.settlement_problem(settlement jsonb)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.settlement_problem(jsonb) is 'All that is wrong with a settlement, or null.';

create function pause_status.shorten(message text)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.shorten(text) is 'Makes a message fit last_error: 512 characters are at most 2 KB.';

create function pause_status.sign(id text, unix_seconds bigint, body text, secrets text)
  returns text
  language plpgsql immutable set search_path="";
comment on function pause_status.sign(text,bigint,text,text) is 'The webhook-signature header of Standard Webhooks: one signature per secret, so that secrets can be rotated.';

create function pause_status.sweep()
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.sweep() is 'Ends expired leases and unacknowledged deliveries, then dispatches every due head of line; returns how many it sent.';

create function pause_status.take_back()
  returns void
  language plpgsql volatile set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.take_back() is 'Makes the events due again that the current transaction has handed to pg_net, which has not seen them yet. Never raises.';

create function pause_status.unexplained_profiles(mentor_ids uuid[], at_most integer)
  returns TABLE(mentor_id uuid, known_status text, status text)
  language sql stable set search_path="";
comment on function pause_status.unexplained_profiles(uuid[],integer) is 'Mentors whose status is not the one their coordinators know, although nothing is under way that would tell them.';

create function pause_status.usable_secrets()
  returns jsonb
  language plpgsql stable set search_path="";
comment on function pause_status.usable_secrets() is 'Whether each secret that a dispatch needs is in Vault and of the right form. Never a value, nor why not.';

create function pause_status.vault_secret(name text)
  returns text
  language plpgsql stable set search_path="";
comment on function pause_status.vault_secret(text) is 'A secret by name, or an error that says how to store it.';

create function pause_status.watch()
  returns integer
  language plpgsql volatile set search_path="";
comment on function pause_status.watch() is 'Opens, updates and closes alerts by the thresholds of the settings; returns how many are open.';

create function pause_status.why_given_up(mentor uuid, version bigint, failures integer, own_failures integer, failing_since timestamp with time zone)
  returns text
  language plpgsql stable set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status.why_given_up(uuid,bigint,integer,integer,timestamp with time zone) is 'Why an event that may yet succeed is given up: its attempts are used up, and either others were completed meanwhile (max_attempts), or it has failed for too long (retry_for_seconds), or held up the mentor''s next event for too long (hold_up_seconds). Null: it is tried again.';

create function public.pause_status_claim(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status_claim(jsonb) is 'Claims an array of PauseEvents, each for one lease; answers in the same order, each with its eventId: claimed (token, attempt, leaseSeconds), in_flight (retryAfterSeconds), completed (receipt; also of an erased event), payload_mismatch (same key, other payload), failed (terminal), out_of_order (retryAfterSeconds: an earlier version of the mentor is unsettled) or invalid (message).';
grant execute on function pause_status_claim(jsonb) to service_role;

create function public.pause_status_erase(event_id uuid)
  returns jsonb
  language sql volatile security definer set search_path="";
comment on function pause_status_erase(uuid) is 'pause_status.erase(): erased, not_settled or unknown.';
grant execute on function pause_status_erase(uuid) to service_role;

create function public.pause_status_get_event(event_id uuid, coordinator_id uuid DEFAULT NULL::uuid)
  returns jsonb
  language sql stable security definer set search_path="";
comment on function pause_status_get_event(uuid,uuid) is 'An event with its attempts (the last 1000, oldest first) and its newest dead letter. Null when there is none, or when a coordinator is given whose mentor it is not.';
grant execute on function pause_status_get_event(uuid,uuid) to service_role;

create function public.pause_status_health()
  returns jsonb
  language sql stable security definer set search_path="";
comment on function pause_status_health() is 'pause_status.health and the open alerts as JSON, and whether the secrets of Vault are usable; never a secret.';
grant execute on function pause_status_health() to service_role;

create function public.pause_status_list_events(query jsonb)
  returns jsonb
  language plpgsql stable security definer set search_path="";
comment on function pause_status_list_events(jsonb) is 'A page of events, newest first: events, and next (to be given as after) when there are more. Filters: status, mentorId, transition, occurredFrom (inclusive), occurredTo (exclusive), and coordinatorId (only their mentors).';
grant execute on function pause_status_list_events(jsonb) to service_role;

create function public.pause_status_notify(events jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status_notify(jsonb) is 'Tells the coordinators about an array of PauseEvents, in one transaction and once per event id; answers in the same order, each with its eventId: notified (receipt, replayed), payload_mismatch (same key, other payload), superseded (they were told about a later version of the mentor, and the event has no force) or invalid (message).';
grant execute on function pause_status_notify(jsonb) to service_role;

create function public.pause_status_redrive(event_id uuid, force boolean DEFAULT false, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path="";
comment on function pause_status_redrive(uuid,boolean,boolean) is 'pause_status.redrive(), with the event after it: redriven, would_redrive, already_pending, superseded, not_failed or unknown.';
grant execute on function pause_status_redrive(uuid,boolean,boolean) to service_role;

create function public.pause_status_resolve(event_id uuid, notes text DEFAULT NULL::text, dry_run boolean DEFAULT false)
  returns jsonb
  language plpgsql volatile security definer set search_path="";
comment on function pause_status_resolve(uuid,text,boolean) is 'pause_status.resolve(), with the event after it: resolved, would_resolve, already_resolved, not_failed or unknown.';
grant execute on function pause_status_resolve(uuid,text,boolean) to service_role;

create function public.pause_status_settle(settlements jsonb)
  returns jsonb
  language plpgsql volatile security definer set search_path="" set plan_cache_mode=force_generic_plan set enable_seqscan=off;
comment on function pause_status_settle(jsonb) is 'Settles an array of claimed events and dispatches their mentors'' next ones; answers in the same order, each with its eventId: completed, released (it will be sent again), dead (it is a dead letter now), stale (the claim is no longer this token''s; nothing was changed) or invalid (message).';
grant execute on function pause_status_settle(jsonb) to service_role;

create view pause_status.health with (security_invoker=true) as
 SELECT COALESCE(ceil(EXTRACT(epoch FROM clock_timestamp() - queue.oldest)), 0::numeric)::integer AS oldest_unnotified_seconds,
    queue.pending,
    queue.processing,
    ( SELECT count(*) AS count
           FROM pause_status.webhook_queue q
          WHERE q.dead_letter_id IS NOT NULL) AS failed,
    ( SELECT count(*) AS count
           FROM pause_status.dead_letter_queue d
          WHERE d.resolution IS NULL) AS dead_letters_open,
    ( SELECT count(*) AS count
           FROM pause_status.dead_letter_queue d
          WHERE d.resolution IS NULL AND d.created_at > (clock_timestamp() - '01:00:00'::interval)) AS dead_letters_last_hour,
    recent.attempts AS attempts_last_15_min,
    COALESCE(round(100.0 * recent.failures::numeric / NULLIF(recent.attempts, 0)::numeric, 1), 0::numeric) AS failure_rate_last_15_min,
    recent.unauthorized AS unauthorized_last_15_min,
    queue.expired_leases,
    heartbeat.last_at AS last_sweep_at,
    ( SELECT count(*) AS count
           FROM pause_status.alerts a
          WHERE a.closed_at IS NULL) AS alerts_open
   FROM ( SELECT min(q.created_at) FILTER (WHERE q.source = 'outbox'::text OR q.next_attempt_at IS NOT NULL) AS oldest,
            count(*) FILTER (WHERE q.status = 'pending'::text) AS pending,
            count(*) FILTER (WHERE q.status = 'processing'::text) AS processing,
            count(*) FILTER (WHERE q.lease_expires_at < (clock_timestamp() - '00:01:00'::interval)) AS expired_leases
           FROM pause_status.webhook_queue q
          WHERE q.status = ANY (ARRAY['pending'::text, 'processing'::text])) queue
     CROSS JOIN ( SELECT count(*) AS attempts,
            count(*) FILTER (WHERE a.outcome <> 'completed'::text) AS failures,
            count(*) FILTER (WHERE a.http_status = 401 AND a.claim_token IS NULL) AS unauthorized
           FROM pause_status.webhook_attempts a
          WHERE a.ended_at > (clock_timestamp() - '00:15:00'::interval)) recent
     LEFT JOIN pause_status.heartbeats heartbeat ON heartbeat.job = 'sweep'::text;
comment on view pause_status.health is 'How things stand, in one row: ages in seconds, failure_rate_last_15_min in percent of the attempts that ended.';

select cron.schedule('pause-status-direct', '5 seconds', 'select pause_status.send_directly()');

select cron.schedule('pause-status-reconcile', '*/5 * * * *', 'select pause_status.reconcile()');

select cron.schedule('pause-status-retention', '*/10 * * * *', 'select pause_status.forget_settled()');

select cron.schedule('pause-status-sweep', '5 seconds', 'select pause_status.sweep()');

select cron.schedule('pause-status-watch', '* * * * *', 'select pause_status.watch()');
