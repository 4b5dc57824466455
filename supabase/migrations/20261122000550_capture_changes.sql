-- Purpose: capture: the functions that a topic's triggers run, which write to the outbox in the transaction of the change.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.recheck(topic text, keys text[], reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into outbox.rechecks (topic, key, reason)
  select recheck.topic, k.key, outbox.shorten(reason)
  from unnest(coalesce(nullif(keys, '{}'), array[null]::text[])) as k (key);
end
$$;
comment on function outbox.recheck(text, text[], text) is
  'Leaves keys that could not be compared to the sweep; null if not even the keys could be read.';

create or replace function outbox.recall_versions(topic text, keys text[], states jsonb[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into outbox.keys as k (topic, key, version, known)
  select recall_versions.topic, given.key, max(q.version), given.state
  from unnest(keys, states) as given (key, state)
  join outbox.events q on q.topic = recall_versions.topic and q.key = given.key
  where q.version is not null
  group by given.key, given.state
  order by given.key
  on conflict on constraint keys_pkey do update
  set version = excluded.version
  where k.version < excluded.version;
end
$$;
comment on function outbox.recall_versions(text, text[], jsonb[]) is
  'Raises versions to those of the events, after a restore of only one of them. A missing key gets the given state as '
  'its known state.';

create or replace function outbox.carry_over(topic text, old_key text, new_key text, state jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if state is null then
    -- Written instead of read: serializable transactions conflict over what they read.
    insert into outbox.keys as k (topic, key)
    values (topic, old_key)
    on conflict on constraint keys_pkey do update
    set known = k.known
    returning k.known into state;
  end if;
  insert into outbox.keys as k (topic, key, known)
  values (topic, new_key, state)
  on conflict on constraint keys_pkey do update
  set known = excluded.known, was = null
  where k.known is distinct from excluded.known;
  return state;
end
$$;
comment on function outbox.carry_over(text, text, text, jsonb) is
  'Moves the known state of a row to its new key; returns that state.';

create or replace function outbox.fill(template text, parts jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- In one pass, because a part may itself contain braces.
  return (
    select string_agg(case when g.place % 2 = 0 then parts ->> g.piece else g.piece end, '' order by g.place)
    from regexp_split_to_table(template, '[{}]') with ordinality as g (piece, place)
  );
end
$$;
comment on function outbox.fill(text, jsonb) is 'Fills in the {parts} of a template.';

create or replace function outbox.requests_left() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  statements constant text := coalesce(current_setting('outbox.statements', true), '');
begin
  if length(statements) >= 5 then
    return 0;
  end if;
  -- A tally, not a number: any role can write to this setting, and a cast could fail.
  perform set_config('outbox.statements', statements || '|', true);
  return 2;
end
$$;
comment on function outbox.requests_left() is
  'How many requests this statement may post at the commit. The handler that settles them gets the rest.';

create or replace function outbox.incoming_traceparent() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  headers constant text := current_setting('request.headers', true);
begin
  if headers is null or strpos(headers, 'traceparent') = 0 then
    return null;
  end if;
  begin
    return substring(
      headers::json ->> 'traceparent' from '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$'
    );
  exception when others then
    -- Any role can write to this setting.
    return null;
  end;
end
$$;
comment on function outbox.incoming_traceparent() is
  'The traceparent of the request that PostgREST is serving in this transaction, or null.';

create or replace function outbox.changed_keys_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if not t.unique_key then
    return outbox.fill($sql$
    happened as (
      select c.key, c.new, c.place from unnest(keys, news) with ordinality as c (key, new, place) where {happens}
    ), counted as (
      insert into outbox.keys as k (topic, key, version)
      select {topic}, h.key, count(*) from happened h group by h.key order by h.key
      on conflict (topic, key) do update set version = k.version + excluded.version
      returning k.key, k.version
    ), changed as (
      select
        h.key, n.version + 1 - row_number() over (partition by h.key order by h.place desc) as version,
        h.new as known, jsonb 'null' as was
      from happened h
      join counted n on n.key = h.key
    )$sql$, jsonb_build_object(
      'topic', quote_literal(t.topic), 'happens', outbox.happens_sql(t, 'null::jsonb', 'c.new')
    ));
  end if;
  return outbox.fill($sql$
    changed as (
      insert into outbox.keys as k (topic, key, version, known, was)
      select {topic}, c.key, ({first})::integer, c.new, case when {first} then coalesce(c.old, 'null') end
      from unnest(keys, olds, news) as c (key, old, new)
      where is_insert or c.new is not null
      order by c.key
      on conflict (topic, key) do update
      set
        version = k.version + ({happens})::integer,
        known = excluded.known,
        was = case when {happens} then case when is_insert then 'null' else k.known end end
      where k.known is distinct from excluded.known or is_insert and {happens}
      returning k.key, k.version, k.known, k.was
    )$sql$, jsonb_build_object(
    'topic', quote_literal(t.topic),
    'first', outbox.happens_sql(t, 'c.old', 'c.new'),
    'happens', outbox.happens_sql(t, '(case when not is_insert then k.known end)', 'excluded.known')
  ));
end
$$;
comment on function outbox.changed_keys_sql(outbox.topics) is
  'SQL that stores the new known state of each key, and returns the old one if the change is an event.';

create or replace function outbox.capture_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  name constant text[] := parse_ident(t.relation);
begin
  return outbox.fill($sql$
create or replace function outbox.{capture}(
  keys text[], olds jsonb[], news jsonb[], is_insert boolean, why text, most_requests integer
) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $capture$
declare
  moment constant timestamptz := clock_timestamp();
  moment_as_text constant text := outbox.iso(moment);
  incoming constant text := outbox.incoming_traceparent();
  operation constant text := case when is_insert then 'INSERT' else 'UPDATE' end;
  -- Signing and queueing a request costs the writer 12 µs an event. The handler that settles these gets the others.
  size constant integer := least((select s.events_per_request from outbox.settings s), 25);
  patience constant integer := coalesce((select s.acknowledge_timeout_seconds from outbox.settings s), 15);
  queued integer;
begin
  with {changed_keys}, placed as (
    select
      gen_random_uuid() as event_id, c.key, c.version, {record} as record,
      case when c.was <> 'null' then {old_record} end as old_record,
      row_number() over (order by c.key, c.version) - 1 as place
    from changed c
    where c.was is not null
  ), requests as (
    select
      p.place / size as request,
      case count(*) when 1 then min(p.event_id::text)::uuid else gen_random_uuid() end as id,
      jsonb_agg(jsonb_build_object(
        'topic', {topic}, 'type', operation, 'schema', {schema}, 'table', {table}, 'event_id', p.event_id,
        'version', p.version, 'timestamp', moment_as_text, 'record', p.record, 'old_record', p.old_record,
        'traceparent', outbox.traceparent(p.event_id, incoming)
      ) order by p.place) as bodies
    from placed p
    where p.place / size < most_requests
    group by 1
  )
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source, traceparent,
    attempts, delivery_id, leads, last_dispatched_at, dispatch_reason, next_attempt_at
  )
  select
    p.event_id, {topic}, p.key, p.version, operation, p.record, p.old_record, moment, 'outbox', incoming,
    (r.id is not null)::integer, r.id, case p.place % size when 0 then r.bodies end,
    case when r.id is not null then moment end, why,
    case when r.id is null then moment else moment + make_interval(secs => patience) end
  from placed p
  left join requests r on r.request = p.place / size;
  get diagnostics queued = row_count;
  return queued;
end
$capture$;
comment on function outbox.{capture}(text[], jsonb[], jsonb[], boolean, text, integer) is 'Generated by outbox.watch().';
$sql$, jsonb_build_object(
    'capture', outbox.routine(t.topic, 'capture'),
    'changed_keys', outbox.changed_keys_sql(t),
    'topic', quote_literal(t.topic), 'schema', quote_literal(name[1]), 'table', quote_literal(name[2]),
    'record', outbox.record_sql(t, 'c.key', 'c.known'), 'old_record', outbox.record_sql(t, 'c.key', 'c.was')
  ));
end
$$;
comment on function outbox.capture_sql(outbox.topics) is
  'The function that queues an event, with the key''s next version, for each key whose new state is not the known one. '
  'The commit posts the first most_requests requests; the rest is due.';

create or replace function outbox.changed_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return outbox.fill($sql$
create or replace function outbox.{changed}() returns trigger
-- A session plans this once, perhaps for one row; the plan must also work for a hundred thousand.
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_nestloop = off set jit = off as $changed$
declare
  keys text[];
  olds jsonb[];
  news jsonb[];
  requests integer;
begin
  if tg_level = 'ROW' then
    keys := array[{key_new}];
    news := array[{state_new}];
    olds := array[outbox.carry_over({topic}, {key_old}, {key_new}, {state_old})];
  elsif tg_op = 'INSERT' then
    select array_agg({key_n}), array_agg(null::jsonb), array_agg({state_n}) into keys, olds, news
    from new_rows n;
  else
    select array_agg({key_n}), array_agg({state_o}), array_agg({state_n}) into keys, olds, news
    from new_rows n
    join old_rows o on o.{key} = n.{key}
    where {compared_n} is distinct from {compared_o};
  end if;
  if keys is not null then
    requests := case when tg_op = any({operations}) then outbox.requests_left() else 0 end;
    perform outbox.{capture}(keys, olds, news, tg_op = 'INSERT', 'commit', requests);
  end if;
  return null;
exception
  when unique_violation then
    perform outbox.recall_versions({topic}, keys, olds);
    perform outbox.{capture}(keys, olds, news, tg_op = 'INSERT', 'commit', 0);
    return null;
  when serialization_failure then
    -- reconcile() has written a key that this transaction's snapshot cannot see.
    {left_to_sweep}
    return null;
  when data_exception or syntax_error_or_access_rule_violation then
    -- A column was renamed or retyped. The write succeeds, and reconcile() finds the change later by the known state.
    perform outbox.recheck({topic}, null, sqlerrm);
    raise warning 'topic % misses changes of %: %', {topic}, tg_relid::regclass, sqlerrm;
    return null;
end
$changed$;
comment on function outbox.{changed}() is 'Generated by outbox.watch().';
$sql$, jsonb_build_object(
    'changed', outbox.routine(t.topic, 'changed'), 'capture', outbox.routine(t.topic, 'capture'),
    'topic', quote_literal(t.topic), 'operations', quote_literal(t.operations), 'key', quote_ident(t.key_column),
    'key_n', outbox.key_sql(t, 'n'), 'key_new', outbox.key_sql(t, 'new'), 'key_old', outbox.key_sql(t, 'old'),
    'state_n', outbox.state_sql(t, 'n'), 'state_o', outbox.state_sql(t, 'o'),
    'state_new', outbox.state_sql(t, 'new'), 'state_old', outbox.state_sql(t, 'old'),
    'compared_n', outbox.compared_sql(t, 'n'), 'compared_o', outbox.compared_sql(t, 'o'),
    -- If keys are not unique, reconcile() could not find this row later, so the write fails and its author retries.
    'left_to_sweep', case when t.unique_key then format('perform outbox.recheck(%L, keys, null);', t.topic) else 'raise;' end
  ));
end
$$;
comment on function outbox.changed_sql(outbox.topics) is
  'The function of the topic''s triggers. If it cannot write to the outbox, the change of the table fails too, so that '
  'no change is unnoticed.';

