-- Purpose: the handler's first call, which claims events; and the tombstones of erased events, which a claim must know.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.fingerprint(event jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return concat_ws(' ', event ->> 'topic', event ->> 'key', event ->> 'occurredAt', coalesce(event ->> 'version', '-'));
end
$$;
comment on function outbox.fingerprint(jsonb) is 'What identifies an event besides its id, as one text.';

create or replace function outbox.fingerprint(event outbox.events) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return outbox.fingerprint(jsonb_build_object(
    'topic', event.topic, 'key', event.key, 'version', event.version,
    'occurredAt', coalesce(event.occurred_as, outbox.iso(event.occurred_at))
  ));
end
$$;
comment on function outbox.fingerprint(outbox.events) is 'The same for a stored event.';

create or replace function outbox.conceal(fingerprint text) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  -- A strong random salt, against precomputed hashes, and so that equal fingerprints do not look equal.
  salt constant text := encode(uuid_send(gen_random_uuid()), 'hex');
begin
  return 'sha256:' || salt || ':' || encode(sha256(convert_to(salt || fingerprint, 'UTF8')), 'hex');
end
$$;
comment on function outbox.conceal(text) is
  'A fingerprint that can only be compared, not read: sha256:<salt>:<hash>.';

create or replace function outbox.is_concealed_as(fingerprint text, concealed text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return concealed like 'sha256:%'
    and encode(sha256(convert_to(split_part(concealed, ':', 2) || fingerprint, 'UTF8')), 'hex')
      = split_part(concealed, ':', 3);
end
$$;
comment on function outbox.is_concealed_as(text, text) is 'Whether this is the fingerprint that was concealed.';

create or replace function outbox.erased_as(event_id uuid, fingerprint text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select case
      when outbox.is_concealed_as(erased_as.fingerprint, e.fingerprint) then 'completed' else 'payload_mismatch'
    end
    from outbox.erased e
    where e.event_id = erased_as.event_id
  );
end
$$;
comment on function outbox.erased_as(uuid, text) is
  'The answer to a claim of an erased event: completed or payload_mismatch. Null for any other event.';

create or replace function outbox.is_same(known outbox.events, event jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return known.topic = event ->> 'topic'
    and known.key = event ->> 'key'
    and coalesce(known.occurred_as, outbox.iso(known.occurred_at)) = event ->> 'occurredAt'
    and known.version is not distinct from
      case event ->> 'source' when 'outbox' then (event ->> 'version')::bigint end
    and known.record @> (event -> 'record')
    -- fold() may have put a later event of ours in the place of earlier ones since it was sent.
    and (known.source = 'outbox' or known.old_record is not distinct from nullif(event -> 'oldRecord', 'null'));
end
$$;
comment on function outbox.is_same(outbox.events, jsonb) is
  'Whether a delivery is of this event. The time is compared as text: parsing would merge events.';

create or replace function outbox.claim_problem(event jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'the event is malformed: ' || nullif(concat_ws('; ',
    outbox.shape_problem(event, '{
      "eventId": "uuid", "topic": "text", "key": "text", "occurredAt": "text",
      "source": {"enum": ["outbox", "webhook"]}, "version": "version?", "record": "object", "oldRecord": "object?"
    }'),
    case when event ->> 'source' = 'outbox' and event ->> 'version' is null
      then 'version must be given when source is outbox' end
  ), '');
end
$$;
comment on function outbox.claim_problem(jsonb) is 'Everything wrong with an event to claim, or null.';

create or replace function outbox.hold(event_ids uuid[]) returns setof outbox.events
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  moment timestamptz := clock_timestamp();
  lease interval := (select make_interval(secs => s.lease_seconds) from outbox.settings s);
begin
  return query
  with lapsed as (
    insert into outbox.attempts (
      event_id, attempt, why, dispatched_at, delivery_id, claim_token, outcome, error
    )
    select
      q.event_id, q.attempts, q.dispatch_reason, q.last_dispatched_at, q.delivery_id, q.claim_token, 'lease',
      'lease: it ran out before the handler settled the event, which then came again'
    from outbox.events q
    where q.event_id = any(event_ids) and q.status = 'processing' and q.lease_expires_at <= moment
    returning event_id
  )
  update outbox.events q
  set
    status = 'processing',
    -- A dispatch was counted when it was made; any other delivery is counted here.
    attempts = q.attempts + (q.delivery_id is null)::integer,
    failures = q.failures + (q.status = 'processing')::integer,
    first_failed_at = case q.status when 'processing' then coalesce(q.first_failed_at, moment) else q.first_failed_at end,
    last_failed_at = case q.status when 'processing' then moment else q.last_failed_at end,
    claim_token = q.claim_token + 1,
    lease_expires_at = moment + lease,
    next_attempt_at = null,
    leads = null
  where q.event_id = any(event_ids)
    -- In a case, so that the planner does not scan everything that is pending.
    and case
      when q.status = 'pending' or q.status = 'processing' and q.lease_expires_at <= moment
        then outbox.is_first_in_line(q.topic, q.key, q.version)
    end
  returning q.*;
end
$$;
comment on function outbox.hold(uuid[]) is
  'Claims those of the locked events that are first in line, and pending or claimed under an expired lease.';

create or replace function outbox.fold(topic text, key text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  waiting outbox.events[];
  first outbox.events;
  last outbox.events;
begin
  waiting := array(
    select q
    from outbox.events q
    where q.topic = fold.topic and q.key = fold.key and q.version is not null and q.status in ('pending', 'processing')
    order by q.version
    for update skip locked
  );
  first := waiting[1];
  last := waiting[cardinality(waiting)];
  -- A claimed event may have been handled. A gap means that another session has locked an event.
  if cardinality(waiting) < 2 or last.version - first.version <> cardinality(waiting) - 1
    or exists (select from unnest(waiting) w where w.status <> 'pending' or w.claim_token > 0) then
    return null;
  end if;
  update outbox.events q
  set
    status = 'completed', completed_at = clock_timestamp(), next_attempt_at = null, leads = null,
    receipt = jsonb_build_object('superseded', true, 'version', last.version)
  where q.event_id = any(array(select w.event_id from unnest(waiting) w))
    and (q.event_id <> last.event_id or last.record is not distinct from first.old_record);
  update outbox.events q
  set old_record = first.old_record, next_attempt_at = clock_timestamp(), delivery_id = null, leads = null
  where q.event_id = last.event_id and q.status = 'pending';
  return last.event_id;
end
$$;
comment on function outbox.fold(text, text) is
  'Settles all waiting events of a key but the last, which becomes a change from the state before the first. If they '
  'cancel out, settles the last too. Returns the last if there was anything to fold.';

create or replace function outbox.fold_latest(event_ids uuid[]) returns uuid[]
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
begin
  return array(
    select outbox.fold(k.topic, k.key)
    from (
      select distinct q.topic, q.key
      from outbox.events q
      join outbox.topics t on t.topic = q.topic
      where q.event_id = any(event_ids) and t.latest_only
    ) as k
  );
end
$$;
comment on function outbox.fold_latest(uuid[]) is 'fold() for the keys of these events whose topics are latest_only.';

create or replace function outbox.insert_stock(events jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  insert into outbox.events (
    event_id, topic, key, type, record, old_record, occurred_at, occurred_as, source
  )
  select distinct on (1)
    (e ->> 'eventId')::uuid, e ->> 'topic', e ->> 'key',
    case jsonb_typeof(e -> 'oldRecord') when 'object' then 'UPDATE' else 'INSERT' end,
    e -> 'record', nullif(e -> 'oldRecord', 'null'), outbox.parse_timestamp(e ->> 'occurredAt'), e ->> 'occurredAt', 'webhook'
  from jsonb_array_elements(events) with ordinality as given (e, place)
  where e ->> 'source' = 'webhook'
    and outbox.erased_as((e ->> 'eventId')::uuid, outbox.fingerprint(e)) is null
  order by 1, given.place
  on conflict (event_id) do nothing;

  -- It may have just been erased: its row was gone before the tombstone became visible.
  delete from outbox.events q
  using outbox.erased e
  where q.event_id = e.event_id and q.source = 'webhook' and q.claim_token = 0
    and e.event_id = any(array(
      select (g ->> 'eventId')::uuid from jsonb_array_elements(events) g where outbox.is_uuid(g ->> 'eventId')
    ));
end
$$;
comment on function outbox.insert_stock(jsonb) is
  'Inserts stock webhooks into the outbox, by event id. A claim inserts nothing else.';

create or replace function outbox.refusal(event jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off as $$
declare
  known outbox.events;
  erased_as text;
  earlier_lease_ends timestamptz;
begin
  select q.* into known from outbox.events q where q.event_id = (event ->> 'eventId')::uuid;
  if not found then
    erased_as := outbox.erased_as((event ->> 'eventId')::uuid, outbox.fingerprint(event));
    if erased_as is null then
      perform outbox.raise_alert('unknown_event', 1, (
        'events that this outbox does not have were refused: a clone or branch of this project shares its function URL '
        'and webhook secret, or a crash lost their transactions'
      ));
      return '{"outcome": "unknown_event"}';
    end if;
    return jsonb_build_object('outcome', erased_as)
      || case erased_as when 'completed' then jsonb '{"receipt": {"erased": true}}' else '{}' end;
  elsif not outbox.is_same(known, event) then
    return '{"outcome": "payload_mismatch"}';
  elsif known.status = 'completed' then
    return jsonb_build_object('outcome', 'completed', 'receipt', known.receipt);
  elsif known.status = 'failed' then
    return '{"outcome": "failed"}';
  elsif known.status = 'processing' then
    return jsonb_build_object('outcome', 'in_flight', 'retryAfterSeconds', outbox.seconds_until(known.lease_expires_at));
  end if;

  select q.lease_expires_at into earlier_lease_ends
  from outbox.events q
  where q.topic = known.topic and q.key = known.key and q.version < known.version
    and q.status in ('pending', 'processing')
  order by q.version
  limit 1;
  return case
    when found then jsonb_build_object('outcome', 'out_of_order', 'retryAfterSeconds', greatest(
      outbox.seconds_until(earlier_lease_ends), (select s.retry_base_seconds from outbox.settings s)
    ))
    -- It has been released since, so it can be claimed in a moment.
    else jsonb '{"outcome": "in_flight", "retryAfterSeconds": 1}'
  end;
end
$$;
comment on function outbox.refusal(jsonb) is 'Why an event could not be claimed.';

create or replace function outbox.folded_with(event_ids uuid[]) returns setof uuid
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off as $$
begin
  return query
  select distinct waiting.event_id
  from outbox.events q
  join outbox.topics t on t.topic = q.topic and t.latest_only
  cross join lateral (
    select w.event_id
    from outbox.events w
    where w.topic = q.topic and w.key = q.key and w.version is not null and w.status in ('pending', 'processing')
    -- One index search for each key. Otherwise the planner would read everything that is pending.
    offset 0
  ) as waiting
  where q.event_id = any(event_ids);
end
$$;
comment on function outbox.folded_with(uuid[]) is 'All events that fold_latest() may lock.';

create or replace function outbox.lock_line(event_ids uuid[]) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off
set jit = off set lock_timeout = '300ms' as $$
declare
  give_up constant timestamptz := clock_timestamp() + interval '1 second';
  folded uuid[];
  heads uuid[];
begin
  while clock_timestamp() < give_up loop
    folded := array(select outbox.folded_with(event_ids));
    if folded = '{}' and not exists (
      select from outbox.events q
      where q.event_id = any(event_ids) and not outbox.is_first_in_line(q.topic, q.key, q.version)
    ) then
      return true;
    end if;
    heads := array(select outbox.heads_of(event_ids));
    begin
      -- All in one order, as in every claim and settlement.
      perform from outbox.events q where q.event_id = any(event_ids || heads || folded) order by q.event_id for update;
      if array(select outbox.heads_of(event_ids)) <@ heads then
        return true;
      end if;
      -- One of them was settled while we waited. Unlocks all, and begins again with its successor.
      raise sqlstate 'PS000';
    exception when sqlstate 'PS000' then
      null;
    end;
  end loop;
  return false;
exception when lock_not_available or deadlock_detected then
  return false;
end
$$;
comment on function outbox.lock_line(uuid[]) is
  'Locks these events, the first in line of their keys, and all that fold_latest() may lock. So a settlement of an earlier '
  'event either ends first, and the caller sees it, or begins afterwards, and finds the later event unlocked. Otherwise a '
  'claim could refuse an event while the settlement before it passes over that event because of the claim. Returns '
  'whether it could: a session that hangs is not waited for. Then the sweep or reconcile() sends what was refused.';

create or replace function public.outbox_claim(events jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set jit = off set lock_timeout = '2s' as $$
declare
  lease_seconds constant integer := (select s.lease_seconds from outbox.settings s);
  -- In the order of the events; the id is null if the event has a problem.
  problems text[];
  ids uuid[];
  known outbox.events[];
  held outbox.events[];
  answers jsonb;
begin
  perform outbox.require_array(events, 'events');
  problems := array(
    select outbox.claim_problem(g.e) from jsonb_array_elements(events) with ordinality as g (e, place) order by g.place
  );
  ids := array(
    select case when p.problem is null then (events -> (p.place - 1)::integer ->> 'eventId')::uuid end
    from unnest(problems) with ordinality as p (problem, place)
    order by p.place
  );
  if events @> '[{"source": "webhook"}]' then
    perform outbox.insert_stock((
      select jsonb_agg(events -> (i.place - 1)::integer order by i.place)
      from unnest(ids) with ordinality as i (id, place)
      where i.id is not null
    ));
  end if;
  if outbox.lock_line(ids) then
    perform outbox.dispatch(array_remove(outbox.fold_latest(ids), null), 'settled');
  end if;

  -- Locked in one order, so that overlapping batches wait for each other instead of deadlocking.
  known := array(select q from outbox.events q where q.event_id = any(ids) order by q.event_id for update);
  -- If a batch has two equal events, the first one gets the claim.
  held := array(
    select h
    from outbox.hold(array(
      select k.event_id
      from unnest(known) k
      where outbox.is_same(k, events -> array_position(ids, k.event_id) - 1)
    )) h
  );

  select
    coalesce(jsonb_agg(jsonb_build_object('eventId', coalesce(to_jsonb(i.id), given.e -> 'eventId', 'null')) || case
      when i.id is null then jsonb_build_object('outcome', 'invalid', 'message', problems[i.place])
      when h.claim_token is not null then jsonb_build_object(
        'outcome', 'claimed', 'token', h.claim_token, 'attempt', greatest(h.attempts, 1), 'leaseSeconds', lease_seconds
      )
      else outbox.refusal(given.e)
    end order by i.place), '[]')
  into answers
  from unnest(ids) with ordinality as i (id, place)
  cross join lateral (select events -> (i.place - 1)::integer as e) as given
  left join unnest(held) h on h.event_id = i.id and i.place = array_position(ids, h.event_id);
  return answers;
end
$$;
comment on function public.outbox_claim(jsonb) is
  'Claims an array of events ({eventId, topic, key, version?, occurredAt, source, record, oldRecord}), each for one '
  'lease. Answers in the same order, each with its eventId: claimed (token, attempt, leaseSeconds), in_flight '
  '(retryAfterSeconds), completed (receipt; also of an erased event), payload_mismatch (same id, other event), failed '
  '(a dead letter), out_of_order (retryAfterSeconds), unknown_event (this outbox never queued it) or invalid (message).';

revoke all on function public.outbox_claim(jsonb) from public, anon, authenticated;
grant execute on function public.outbox_claim(jsonb) to service_role;
