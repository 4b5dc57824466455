-- Purpose: outbox.watch(): declares a topic, and puts its triggers on the table.
-- Locks:   the watched table, share row exclusive: writers wait while its rows are read once.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.trigger_of(topic text, part text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return 'outbox_' || outbox.routine(topic, part);
end
$$;
comment on function outbox.trigger_of(text, text) is 'The name of a topic''s trigger: insert, update or key.';

create or replace function outbox.triggers_of(t outbox.topics) returns table (name text, definition text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  run constant text := format('EXECUTE FUNCTION outbox.%I()', outbox.routine(t.topic, 'changed'));
  -- Spelled as pg_get_triggerdef() spells them, so that the two can be compared.
  cast_to constant text := case (
    select a.atttypid from pg_attribute a where a.attrelid = to_regclass(t.relation) and a.attname = t.key_column
  ) when 'varchar'::regtype then '(%s.%I)::text' else '%s.%I' end;
begin
  return query
  select outbox.trigger_of(t.topic, x.part), format('CREATE TRIGGER %I %s %s', outbox.trigger_of(t.topic, x.part), x.rest, run)
  from (
    values
      ('insert', format('AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT', t.relation)),
      -- No column list: it would miss changes by a BEFORE trigger, and PostgreSQL does not allow one here.
      ('update', format(
        'AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT', t.relation
      )),
      ('key', format(
        'AFTER UPDATE ON %s FOR EACH ROW WHEN ((%s IS DISTINCT FROM %s))', t.relation,
        format(cast_to, 'old', t.key_column), format(cast_to, 'new', t.key_column)
      ))
  ) as x (part, rest)
  -- If keys are not unique, only inserted rows are events.
  where t.unique_key or x.part = 'insert';
end
$$;
comment on function outbox.triggers_of(outbox.topics) is 'The triggers of a topic and their definitions.';

create or replace function outbox.attach(t outbox.topics) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  wanted record;
begin
  execute outbox.capture_sql(t);
  execute outbox.changed_sql(t);
  if not t.unique_key then
    perform outbox.detach(t);
  end if;
  for wanted in select * from outbox.triggers_of(t) loop
    execute replace(wanted.definition, 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
    execute format(
      'comment on trigger %I on %s is %L', wanted.name, t.relation, 'outbox.watch() of ' || (to_jsonb(t) - 'created_at')::text
    );
    execute format(
      'alter table %s %s trigger %I', t.relation, case t.fed_by when 'outbox' then 'enable' else 'disable' end, wanted.name
    );
  end loop;

  -- Planned now, so that a mistake fails here and not at a user's first UPDATE.
  execute format('select outbox.%I(''{}'', ''{}'', ''{}'', false, ''commit'', 0)', outbox.routine(t.topic, 'capture'));
  execute format(
    'select %s, %s is distinct from %s from %s n, %4$s o where false', outbox.state_sql(t, 'n'),
    outbox.compared_sql(t, 'n'), outbox.compared_sql(t, 'o'), t.relation
  );
end
$$;
comment on function outbox.attach(outbox.topics) is 'Creates or replaces the functions and triggers of a topic.';

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
comment on function outbox.seed(outbox.topics) is 'Stores the current states of a table''s rows as known.';

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
    ), 'unique_key', outbox.has_unique_key(to_regclass(relation), array[key]),
    'columns', columns, 'operations', operations, 'words', coalesce(words, '{}'),
    'condition', condition, 'payload', payload, 'latest_only', latest_only,
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

  -- Locked, so that nobody writes between the creation of the triggers and that of the known state.
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
  -- If the declaration has not changed, the known state stays, so that reconcile() finds what was missed.
  if t.unique_key and (before.relation, before.key_column, before.columns, before.words, before.fed_by)
    is distinct from (t.relation, t.key_column, t.columns, t.words, t.fed_by)
  then
    perform outbox.seed(t);
  end if;
end
$$;
comment on function outbox.watch(text, text, text, text[], text[], jsonb, text, text, boolean, text, text, text, integer) is
  'Declares a topic: from now on, each change of these columns is an event. Checks everything first. Call it again to '
  'change a topic. Arguments: docs/topics.md.';

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
  'Undoes watch(). Queued events are still delivered; a topic with its own function must be drained first. If the topic '
  'is declared again, versions continue where they were.';

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
  'Declares what reports the changes of a topic: outbox (our triggers) or webhook (only stock database webhooks). When '
  'it returns to outbox, the current state becomes the known state.';
