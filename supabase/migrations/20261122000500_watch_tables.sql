-- Purpose: outbox.watch(): puts triggers on a table that write to the outbox in the transaction that changes it.
-- Locks:   the watched table, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch(t.topic) from outbox.topics t;
--          drop function outbox.feed_by(text, text), outbox.unwatch(text),
--          outbox.watch(text, text, text, text[], text[], jsonb, text, text, boolean, text, text, text, integer),
--          outbox.detach(outbox.topics), outbox.attach(outbox.topics), outbox.triggers_of(outbox.topics),
--          outbox.seed(outbox.topics), outbox.changed_sql(outbox.topics),
--          outbox.capture_sql(outbox.topics), outbox.happens_sql(outbox.topics, text, text),
--          outbox.record_sql(outbox.topics, text, text),
--          outbox.compared_sql(outbox.topics, text), outbox.state_sql(outbox.topics, text),
--          outbox.columns_sql(outbox.topics), outbox.has_unique_key(regclass, text[]), outbox.fill(text, jsonb),
--          outbox.key_sql(outbox.topics, text), outbox.topic_problem(outbox.topics),
--          outbox.column_problem(outbox.topics, text), outbox.written_as(text, text), outbox.routine(text, text),
--          outbox.trigger_of(text, text),
--          outbox.carry_over(text, text, text, jsonb), outbox.recall_versions(text, text[], jsonb[]), outbox.requests_left(),
--          outbox.recheck(text, text[], text).

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
  'Leaves keys whose change could not be compared to the sweep; null when not even the keys could be read.';

create or replace function outbox.requests_left() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  statements constant text := coalesce(current_setting('outbox.statements', true), '');
begin
  if length(statements) >= 5 then
    return 0;
  end if;
  -- One stroke for each: a count would have to be cast, and any role may write to this setting.
  perform set_config('outbox.statements', statements || '|', true);
  return 5;
end
$$;
comment on function outbox.requests_left() is
  'How many requests this statement may post at the commit: 5 for the first five statements of a transaction. Those who '
  'settle these are handed the rest.';

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
  'Raises versions to those of the events, after a restore of one without the other. A key that is not there is known by '
  'the state that is given.';

create or replace function outbox.carry_over(topic text, old_key text, new_key text, state jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if state is null then
    -- Written to be read: serializable transactions conflict over what they read.
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
  'Lets a row whose key changes be known under the new key as it was under the old one; returns that state.';

create or replace function outbox.routine(topic text, part text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return replace(topic, '-', '_') || '_' || part;
end
$$;
comment on function outbox.routine(text, text) is 'The name of a function that is generated for a topic.';

create or replace function outbox.trigger_of(topic text, part text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'outbox_' || outbox.routine(topic, part);
end
$$;
comment on function outbox.trigger_of(text, text) is 'The name of a topic''s trigger: insert, update or key.';

create or replace function outbox.written_as(value text, type text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select %L::%s::text', value, type) into value;
  return value;
exception when others then
  return null;
end
$$;
comment on function outbox.written_as(text, text) is 'How a value of this type is written; null if there is no such value.';

create or replace function outbox.column_problem(t outbox.topics, name text, out problem text, out cure text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  col record;
  never text;
begin
  select a.attnotnull, a.attgenerated, y.typname, format_type(a.atttypid, a.atttypmod) as type, (
    select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid in (y.oid, y.typbasetype)
  ) as labels
  into col
  from pg_attribute a
  join pg_type y on y.oid = a.atttypid
  where a.attrelid = to_regclass(t.relation) and a.attname = name and a.attnum > 0 and not a.attisdropped;

  if not found then
    problem := format('there is no column %s', name);
    cure := 'Its columns are ' || (
      select string_agg(a.attname, ', ' order by a.attnum)
      from pg_attribute a
      where a.attrelid = to_regclass(t.relation) and a.attnum > 0 and not a.attisdropped
    );
  elsif col.attgenerated = 'v' then
    problem := format('%s is a virtual column, which no trigger can read', name);
    cure := 'Generate it as stored.';
  elsif name = t.key_column and col.typname not in ('uuid', 'int2', 'int4', 'int8', 'text', 'varchar') then
    problem := format('the key %s must be uuid, a whole number or text, but it is %s', name, col.type);
  elsif name = t.key_column and not (col.attnotnull and outbox.has_unique_key(to_regclass(t.relation), array[name])) then
    problem := format('the key %s may be null, or may be there twice', name);
    cure := format('Run: alter table %s alter %I set not null, add unique (%2$I)', t.relation, name);
  else
    -- A value that is written otherwise, such as t of a boolean, would never be met.
    select string_agg(v, ', ') into never
    from jsonb_each(t.words -> name) as w (word, meant), jsonb_array_elements_text(w.meant) as v
    where outbox.written_as(v, col.type) is distinct from v;
    if never is not null then
      problem := format('%s of type %s can never be: %s', name, col.type, never);
      cure := 'Its words are ' || col.labels;
    end if;
  end if;
end
$$;
comment on function outbox.column_problem(outbox.topics, text) is 'What is wrong with a column, and what to do; or null.';

create or replace function outbox.topic_problem(t outbox.topics, out problem text, out cure text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  rel record;
  name text;
begin
  select c.oid, c.relkind, c.relowner into rel from pg_class c where c.oid = to_regclass(t.relation);
  if rel.oid is null then
    problem := 'there is no such table';
  elsif rel.relkind <> 'r' then
    problem := 'it must be an ordinary table, but it is partitioned, a view or a foreign table';
    cure := 'An update by another name would go unnoticed: watch the table that is written to.';
  elsif exists (select from pg_inherits i where rel.oid in (i.inhrelid, i.inhparent)) then
    problem := 'it must stand for itself, but it is a partition, or it inherits, or it is inherited';
    cure := 'An update by another name would go unnoticed: watch the table that is written to.';
  elsif not pg_has_role(rel.relowner, 'usage') then
    problem := format('it must belong to %s, but it belongs to %s', current_user, pg_get_userbyid(rel.relowner));
    cure := format('Run: alter table %s owner to %I', t.relation, current_user);
  elsif to_regprocedure(t.visible_to || '(uuid)') is null and t.visible_to is not null then
    problem := format('there is no function %s(uuid)', t.visible_to);
  elsif coalesce(cardinality(t.columns), 0) = 0 then
    problem := 'it names no columns';
  elsif exists (select from jsonb_object_keys(t.words) w where w <> all(t.columns)) then
    problem := 'it has words for a column that it does not watch';
  else
    foreach name in array array[t.key_column] || t.columns loop
      select p.problem, p.cure into problem, cure from outbox.column_problem(t, name) p;
      exit when problem is not null;
    end loop;
  end if;
end
$$;
comment on function outbox.topic_problem(outbox.topics) is 'Why the table cannot be watched so, and what to do; or null.';

create or replace function outbox.has_unique_key(relation regclass, columns text[]) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select
    from pg_index i
    where i.indrelid = relation and i.indisunique and i.indisvalid and i.indimmediate
      and i.indpred is null and i.indexprs is null
      and array(
        select a.attname::text collate "C"
        from unnest(i.indkey) with ordinality as k (attnum, place)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where k.place <= i.indnkeyatts
        order by 1
      ) = array(select c collate "C" from unnest(columns) c order by 1)
  );
end
$$;
comment on function outbox.has_unique_key(regclass, text[]) is
  'Whether exactly these columns are unique, in all rows and at every moment: a key that may be deferred lets a value be '
  'there twice until the commit.';

-- The SQL of a topic is put together from six expressions.

create or replace function outbox.key_sql(t outbox.topics, alias text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return format('%s.%I::%s::text', alias, t.key_column, t.key_type);
end
$$;
comment on function outbox.key_sql(outbox.topics, text) is
  'SQL for the key of a row; an error if the column is another one by now, whose values are not of the declared type.';

create or replace function outbox.columns_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return format('%I text, ', t.key_column) || (
    select string_agg(
      format('%I %s', a.attname, case when t.words ? a.attname then 'text' else format_type(a.atttypid, a.atttypmod) end), ', '
    )
    from pg_attribute a
    where a.attrelid = to_regclass(t.relation) and a.attname = any(t.columns) and a.attname <> t.key_column
  );
end
$$;
comment on function outbox.columns_sql(outbox.topics) is 'The names and types of old and new in a condition and a payload.';

create or replace function outbox.state_sql(t outbox.topics, alias text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  name text;
  value text;
  pairs text[] := '{}';
  known text[] := '{}';
begin
  foreach name in array t.columns loop
    value := format('%s.%I', alias, name);
    if t.words ? name then
      value := format('case %s::text %s end', value, (
        select string_agg(format('when %L then %L', v, w.word), ' ')
        from jsonb_each(t.words -> name) as w (word, meant), jsonb_array_elements_text(w.meant) as v
      ));
      known := known || format('%s is not null', value);
    end if;
    pairs := pairs || format('%L, %s', name, value);
  end loop;
  value := format('jsonb_build_object(%s)', array_to_string(pairs, ', '));
  return case when known = '{}' then value else
    format('case when %s then %s end', array_to_string(known, ' and '), value)
  end;
end
$$;
comment on function outbox.state_sql(outbox.topics, text) is
  'SQL for the watched columns of a row, in the words that are sent; null if a value means none of them.';

create or replace function outbox.compared_sql(t outbox.topics, alias text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- As text where there are words: not every type that has them can be compared.
  return format('row(%s)', (
    select string_agg(format('%s.%I%s', alias, c, case when t.words ? c then '::text' end), ', ') from unnest(t.columns) c
  ));
end
$$;
comment on function outbox.compared_sql(outbox.topics, text) is 'SQL for what of a row an update must change to be looked at.';

create or replace function outbox.record_sql(t outbox.topics, key text, state text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  plain constant text := format('jsonb_build_object(%L, %s) || %s', t.key_column, key, state);
begin
  return case when t.payload is null then plain else format(
    '(select (%s)::jsonb from jsonb_to_record(%s) as new (%s))', t.payload, plain, outbox.columns_sql(t)
  ) end;
end
$$;
comment on function outbox.record_sql(outbox.topics, text, text) is 'SQL for the record that is sent of a state.';

create or replace function outbox.happens_sql(t outbox.topics, old text, new text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return format(
    '%2$s is not null and case when is_insert then %3$s else %4$s and %1$s is not null and %1$s <> %2$s end%5$s', old, new,
    ('INSERT' = any(t.operations))::text, ('UPDATE' = any(t.operations))::text,
    case when t.condition is null then '' else format(
      ' and coalesce((select (%s) from jsonb_to_record(coalesce(%s, ''{}'')) as old (%s), jsonb_to_record(%s) as new (%3$s)), '
        'false)', t.condition, old, outbox.columns_sql(t), new
    ) end
  );
end
$$;
comment on function outbox.happens_sql(outbox.topics, text, text) is
  'SQL for whether a change from one state to another is an event.';

create or replace function outbox.capture_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  template constant text := $sql$
create or replace function outbox.{capture}(
  keys text[], olds jsonb[], news jsonb[], is_insert boolean, why text, most_requests integer
) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $capture$
declare
  moment constant timestamptz := clock_timestamp();
  size constant integer := coalesce((select s.events_per_request from outbox.settings s), 100);
  patience constant integer := coalesce((select s.acknowledge_timeout_seconds from outbox.settings s), 15);
  queued integer;
begin
  with changed as (
    -- What is known changes first. Only that makes an event, and only if it happens as declared.
    insert into outbox.keys as k (topic, key, version, known, was)
    select {topic}, c.key, ({first_happens})::integer, c.new, case when {first_happens} then coalesce(c.old, 'null') end
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
  ), placed as (
    select
      gen_random_uuid() as event_id, c.key, c.version, {record} as record,
      case when c.was <> 'null' then {old_record} end as old_record,
      row_number() over (order by c.key) - 1 as place
    from changed c
    where c.was is not null
  ), requests as (
    select
      p.place / size as request,
      case count(*) when 1 then min(p.event_id::text)::uuid else gen_random_uuid() end as id,
      jsonb_agg(
        outbox.body_of(
          {topic}, {relation}, case when is_insert then 'INSERT' else 'UPDATE' end, p.event_id, p.version,
          outbox.iso(moment), p.record, p.old_record
        )
        order by p.place
      ) as bodies
    from placed p
    where p.place / size < most_requests
    group by 1
  )
  insert into outbox.events (
    event_id, topic, key, version, type, record, old_record, occurred_at, source,
    attempts, delivery_id, leads, last_dispatched_at, dispatch_reason, next_attempt_at
  )
  select
    p.event_id, {topic}, p.key, p.version, case when is_insert then 'INSERT' else 'UPDATE' end, p.record, p.old_record,
    moment, 'outbox', (r.id is not null)::integer, r.id,
    case when p.place % size = 0 then case when r.id = p.event_id then r.bodies -> 0 else r.bodies end end,
    case when r.id is not null then moment end, why,
    case when r.id is null then moment else moment + make_interval(secs => patience) end
  from placed p
  left join requests r on r.request = p.place / size;
  get diagnostics queued = row_count;
  return queued;
end
$capture$;
comment on function outbox.{capture}(text[], jsonb[], jsonb[], boolean, text, integer) is 'Generated by outbox.watch().';
revoke all on function outbox.{capture}(text[], jsonb[], jsonb[], boolean, text, integer)
  from public, anon, authenticated, service_role;
$sql$;
begin
  return outbox.fill(template, jsonb_build_object(
    'capture', outbox.routine(t.topic, 'capture'),
    'topic', quote_literal(t.topic),
    'relation', quote_literal(t.relation),
    'first_happens', outbox.happens_sql(t, 'c.old', 'c.new'),
    'happens', outbox.happens_sql(t, '(case when not is_insert then k.known end)', 'excluded.known'),
    'record', outbox.record_sql(t, 'c.key', 'c.known'),
    'old_record', outbox.record_sql(t, 'c.key', 'c.was')
  ));
end
$$;
comment on function outbox.capture_sql(outbox.topics) is
  'The function that queues an event, with its key''s next version, for each of these keys whose new state is not the '
  'known one. The first most_requests requests are posted at the commit; the rest is due.';

create or replace function outbox.changed_sql(t outbox.topics) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  template constant text := $sql$
create or replace function outbox.{changed}()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- The plan is made once in a session, perhaps for an update of one row: it must do for one of a hundred thousand.
set enable_nestloop = off
set jit = off
as $changed$
declare
  keys text[];
  olds jsonb[];
  news jsonb[];
begin
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
    if keys is null then
      return null;
    end if;
  exception
    when undefined_column or undefined_function or datatype_mismatch or cannot_coerce or invalid_text_representation then
      -- Somebody renamed or retyped a column. Better late than refused: what is known still tells what was missed.
      perform outbox.recheck({topic}, null, sqlerrm);
      raise warning 'topic % misses changes of %: %', {topic}, tg_relid::regclass, sqlerrm;
      return null;
    when serialization_failure then
      perform outbox.recheck({topic}, keys, null);
      return null;
  end;

  begin
    perform outbox.{capture}(
      keys, olds, news, tg_op = 'INSERT', 'commit', case when tg_op = any({operations}) then outbox.requests_left() else 0 end
    );
  exception
    when unique_violation then
      perform outbox.recall_versions({topic}, keys, olds);
      perform outbox.{capture}(keys, olds, news, tg_op = 'INSERT', 'commit', 0);
    when serialization_failure then
      -- reconcile() has written a key since this transaction began, and its snapshot hides that.
      perform outbox.recheck({topic}, keys, null);
  end;
  return null;
end
$changed$;
comment on function outbox.{changed}() is 'Generated by outbox.watch().';
revoke all on function outbox.{changed}() from public, anon, authenticated, service_role;
$sql$;
begin
  return outbox.fill(template, jsonb_build_object(
    'changed', outbox.routine(t.topic, 'changed'),
    'capture', outbox.routine(t.topic, 'capture'),
    'topic', quote_literal(t.topic),
    'operations', quote_literal(t.operations),
    'key', quote_ident(t.key_column),
    'key_n', outbox.key_sql(t, 'n'), 'key_new', outbox.key_sql(t, 'new'), 'key_old', outbox.key_sql(t, 'old'),
    'state_n', outbox.state_sql(t, 'n'), 'state_o', outbox.state_sql(t, 'o'),
    'state_new', outbox.state_sql(t, 'new'), 'state_old', outbox.state_sql(t, 'old'),
    'compared_n', outbox.compared_sql(t, 'n'), 'compared_o', outbox.compared_sql(t, 'o')
  ));
end
$$;
comment on function outbox.changed_sql(outbox.topics) is
  'The function of the topic''s triggers. If the outbox cannot be written, the change of the table fails too: nothing goes '
  'unnoticed.';

create or replace function outbox.fill(template text, parts jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- In one pass: a part may itself have braces.
  return (
    select string_agg(case when g.place % 2 = 0 then parts ->> g.piece else g.piece end, '' order by g.place)
    from regexp_split_to_table(template, '[{}]') with ordinality as g (piece, place)
  );
end
$$;
comment on function outbox.fill(text, jsonb) is 'A template with its {parts} filled in.';

create or replace function outbox.seed(t outbox.topics) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format(
    'insert into outbox.keys as k (topic, key, known)
     select %L, %s, %s from %s n order by 2
     on conflict (topic, key) do update set known = excluded.known, was = null
     where k.known is distinct from excluded.known',
    t.topic, outbox.key_sql(t, 'n'), outbox.state_sql(t, 'n'), t.relation
  );
end
$$;
comment on function outbox.seed(outbox.topics) is 'Makes the states of a table''s rows the known ones.';

create or replace function outbox.triggers_of(t outbox.topics) returns table (name text, definition text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  run constant text := format('EXECUTE FUNCTION outbox.%I()', outbox.routine(t.topic, 'changed'));
  -- As pg_get_triggerdef() writes them, so that the two can be compared.
  cast_to constant text := case (
    select a.atttypid from pg_attribute a where a.attrelid = to_regclass(t.relation) and a.attname = t.key_column
  ) when 'varchar'::regtype then '(%s.%I)::text' else '%s.%I' end;
begin
  return query
  select outbox.trigger_of(t.topic, x.part), format('CREATE TRIGGER %I %s %s', outbox.trigger_of(t.topic, x.part), x.rest, run)
  from (
    values
      ('insert', format('AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT', t.relation)),
      -- No column list: PostgreSQL allows none here, and it would miss what a BEFORE trigger changed.
      ('update', format(
        'AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT', t.relation
      )),
      ('key', format(
        'AFTER UPDATE ON %s FOR EACH ROW WHEN ((%s IS DISTINCT FROM %s))', t.relation,
        format(cast_to, 'old', t.key_column), format(cast_to, 'new', t.key_column)
      ))
  ) as x (part, rest);
end
$$;
comment on function outbox.triggers_of(outbox.topics) is 'The triggers of a topic, and how they are created.';

create or replace function outbox.attach(t outbox.topics) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  wanted record;
begin
  execute outbox.capture_sql(t);
  execute outbox.changed_sql(t);
  for wanted in select * from outbox.triggers_of(t) loop
    execute replace(wanted.definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
    execute format(
      'comment on trigger %I on %s is %L', wanted.name, t.relation, 'outbox.watch() of ' || (to_jsonb(t) - 'created_at')::text
    );
    execute format(
      'alter table %s %s trigger %I', t.relation, case t.fed_by when 'outbox' then 'enable' else 'disable' end, wanted.name
    );
  end loop;

  -- Planned now, so that what does not fit fails here and not at a user's first UPDATE.
  execute format('select outbox.%I(''{}'', ''{}'', ''{}'', false, ''commit'', 0)', outbox.routine(t.topic, 'capture'));
  execute format(
    'select %s, %s is distinct from %s from %s n, %4$s o where false', outbox.state_sql(t, 'n'),
    outbox.compared_sql(t, 'n'), outbox.compared_sql(t, 'o'), t.relation
  );
end
$$;
comment on function outbox.attach(outbox.topics) is 'Makes the functions and triggers of a topic, or makes them new.';

create or replace function outbox.watch(
  topic text,
  relation text,
  key text default 'id',
  columns text[] default null,
  operations text[] default '{UPDATE}',
  words jsonb default '{}',
  condition text default null,
  payload text default null,
  latest_only boolean default false,
  fed_by text default 'outbox',
  visible_to text default null,
  function_url text default 'outbox_function_url',
  max_attempts integer default null
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  before outbox.topics;
  t outbox.topics;
  checked record;
begin
  select x.* into before from outbox.topics x where x.topic = watch.topic;
  t := jsonb_populate_record(null::outbox.topics, jsonb_build_object(
    'topic', topic, 'relation', relation, 'key_column', key, 'key_type', (
      select format_type(a.atttypid, null) from pg_attribute a where a.attrelid = to_regclass(relation) and a.attname = key
    ), 'columns', columns, 'operations', operations,
    'words', coalesce(words, '{}'), 'condition', condition, 'payload', payload, 'latest_only', latest_only,
    'fed_by', fed_by, 'visible_to', visible_to, 'function_url', function_url, 'max_attempts', max_attempts,
    'created_at', clock_timestamp()
  ));
  select p.problem, p.cure into checked from outbox.topic_problem(t) p;
  if checked.problem is not null then
    raise exception 'topic % cannot watch %: %', topic, relation, checked.problem
      using errcode = 'wrong_object_type', hint = coalesce(checked.cure, 'Correct the arguments of outbox.watch().');
  end if;
  t.relation := (
    select format('%I.%I', n.nspname, c.relname)
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = to_regclass(watch.relation)
  );
  delete from outbox.topics x where x.topic = watch.topic;
  insert into outbox.topics values (t.*);

  -- Nobody writes between the triggers and the states that they compare with.
  execute format('lock table %s in share row exclusive mode', t.relation);
  if before.relation <> t.relation then
    perform outbox.detach(before);
  end if;
  begin
    perform outbox.attach(t);
  exception when syntax_error_or_access_rule_violation or data_exception then
    raise exception 'topic % cannot watch %: its columns, condition or payload do not fit: %', topic, relation, sqlerrm
      using errcode = sqlstate, hint = 'A condition is SQL over old and new, a payload over new: the watched columns.';
  end;
  -- Declared as before, it keeps what is known: reconcile() then finds what was missed.
  if (before.relation, before.key_column, before.columns, before.words, before.fed_by)
    is distinct from (t.relation, t.key_column, t.columns, t.words, t.fed_by)
  then
    perform outbox.seed(t);
  end if;
end
$$;
comment on function outbox.watch(text, text, text, text[], text[], jsonb, text, text, boolean, text, text, text, integer) is
  'Declares a topic: from now on, each change of these columns is an event. Checks everything at once, and may be called '
  'again to change a topic. Arguments: docs/topics.md.';

create or replace function outbox.detach(t outbox.topics) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  name text;
begin
  foreach name in array array['insert', 'update', 'key'] loop
    if to_regclass(t.relation) is not null then
      execute format('drop trigger if exists %I on %s', outbox.trigger_of(t.topic, name), t.relation);
    end if;
  end loop;
end
$$;
comment on function outbox.detach(outbox.topics) is 'Drops the triggers of a topic.';

create or replace function outbox.unwatch(topic text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  t outbox.topics;
begin
  delete from outbox.topics x where x.topic = unwatch.topic returning x.* into t;
  if not found then
    raise exception 'there is no topic %', topic using errcode = 'no_data_found';
  elsif t.function_url <> 'outbox_function_url' and exists (
    select from outbox.events q where q.topic = unwatch.topic and q.status in ('pending', 'processing')
  ) then
    raise exception 'topic % has events on their way to a function of its own', topic
      using errcode = 'object_in_use',
      hint = format('Run: select outbox.feed_by(%L, ''webhook''), and try again when they are settled.', topic);
  end if;
  delete from outbox.rechecks r where r.topic = unwatch.topic;
  perform outbox.detach(t);
  execute format('drop function if exists outbox.%I()', outbox.routine(topic, 'changed'));
  execute format(
    'drop function if exists outbox.%I(text[], jsonb[], jsonb[], boolean, text, integer)', outbox.routine(topic, 'capture')
  );
end
$$;
comment on function outbox.unwatch(text) is
  'Undoes watch(). What is queued is still delivered, for which a topic with a function of its own has to wait; and '
  'versions go on where they were if the topic comes back.';

create or replace function outbox.feed_by(topic text, source text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  t outbox.topics;
begin
  select x.* into strict t from outbox.topics x where x.topic = feed_by.topic;
  perform outbox.watch(
    t.topic, t.relation, t.key_column, t.columns, t.operations, t.words, t.condition, t.payload, t.latest_only, source,
    t.visible_to, t.function_url, t.max_attempts
  );
end
$$;
comment on function outbox.feed_by(text, text) is
  'Declares what reports the changes of a topic: outbox, our triggers; or webhook, stock database webhooks only. Back at '
  'outbox, keys start with the state they have then.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
