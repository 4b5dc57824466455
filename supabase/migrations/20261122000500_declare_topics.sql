-- Purpose: checks that a topic fits its table, and writes the SQL expressions of its triggers.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.routine(topic text, part text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return replace(topic, '-', '_') || '_' || part;
end
$$;
comment on function outbox.routine(text, text) is 'The name of a function generated for a topic.';

create or replace function outbox.has_unique_key(relation regclass, columns text[]) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select
    from pg_index i
    -- A deferrable constraint allows duplicates until the commit.
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
  'Whether exactly these columns are unique, in all rows and at all times.';

create or replace function outbox.written_as(value text, type text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select %L::%s::text', value, type) into value;
  return value;
exception when others then
  return null;
end
$$;
comment on function outbox.written_as(text, text) is 'How this type spells a value; null if it has no such value.';

create or replace function outbox.column_problem(t outbox.topics, name text, out problem text, out cure text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  table_id constant regclass := to_regclass(t.relation);
  col record;
  never text;
begin
  select a.attnotnull, a.attgenerated, y.typname, format_type(a.atttypid, a.atttypmod) as type, (
    select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid in (y.oid, y.typbasetype)
  ) as labels
  into col
  from pg_attribute a
  join pg_type y on y.oid = a.atttypid
  where a.attrelid = table_id and a.attname = name and a.attnum > 0 and not a.attisdropped;

  if not found then
    problem := format('there is no column %s', name);
    cure := 'Its columns are ' || (
      select string_agg(a.attname, ', ' order by a.attnum)
      from pg_attribute a
      where a.attrelid = table_id and a.attnum > 0 and not a.attisdropped
    );
  elsif col.attgenerated = 'v' then
    problem := format('%s is a virtual column, which no trigger can read', name);
    cure := 'Generate it as stored.';
  elsif name = t.key_column and col.typname not in ('uuid', 'int2', 'int4', 'int8', 'text', 'varchar') then
    problem := format('the key %s must be uuid, a whole number or text, but it is %s', name, col.type);
  -- If only INSERT is watched, several rows may have the same key.
  elsif name = t.key_column and not (
    col.attnotnull and (t.operations = '{INSERT}' or outbox.has_unique_key(table_id, array[name]))
  ) then
    problem := format('the key %s may be null, or may be there twice', name);
    cure := format('Run: alter table %s alter %I set not null, add unique (%2$I)', t.relation, name);
  else
    -- A value in another spelling, such as t for a boolean, would never match.
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
comment on function outbox.column_problem(outbox.topics, text) is 'What is wrong with a column and what to do, or null.';

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
  elsif t.latest_only and not t.unique_key then
    problem := format('latest_only would leave out rows, because %s may be there twice', t.key_column);
  else
    foreach name in array array[t.key_column] || t.columns loop
      select p.problem, p.cure into problem, cure from outbox.column_problem(t, name) p;
      exit when problem is not null;
    end loop;
  end if;
end
$$;
comment on function outbox.topic_problem(outbox.topics) is 'Why the table cannot be watched and what to do, or null.';

create or replace function outbox.key_sql(t outbox.topics, alias text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- The cast fails if the column now has another type, under which the same key would be another text.
  return format('%s.%I::%s::text', alias, t.key_column, t.key_type);
end
$$;
comment on function outbox.key_sql(outbox.topics, text) is 'SQL for the key of a row.';

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
  'SQL for the watched columns of a row, in the words that are sent; null if a value has no word.';

create or replace function outbox.compared_sql(t outbox.topics, alias text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  -- As text if it has words: not every such type can be compared.
  return format('row(%s)', (
    select string_agg(format('%s.%I%s', alias, c, case when t.words ? c then '::text' end), ', ') from unnest(t.columns) c
  ));
end
$$;
comment on function outbox.compared_sql(outbox.topics, text) is 'SQL for the part of a row that an update must change.';

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
comment on function outbox.record_sql(outbox.topics, text, text) is 'SQL for the record that is sent for a state.';

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
