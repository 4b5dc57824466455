-- Purpose: finds changes that no trigger saw: a disabled trigger, session_replication_role = replica, a restore.
-- Locks:   none on existing tables; later, row locks of what it queues.
-- Undo:    select cron.unschedule('outbox-reconcile'); drop function outbox.reconcile(),
--          outbox.reconcile_topic(outbox.topics, integer), outbox.reconcile_keys(text, text[]), outbox.release_forgotten(integer).

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.reconcile_keys(topic text, keys text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  t outbox.topics;
  now_there record;
  queued integer;
begin
  select x.* into t from outbox.topics x where x.topic = reconcile_keys.topic;
  -- Whoever is changing a row right now explains it in a moment: skipped, never waited for.
  execute format(
    'with held as materialized (
       select %5$s as key, %2$s as state from %3$s n where n.%1$I = any($1::text[]::%4$s[]) order by n.%1$I
       for no key update skip locked
     ) select array_agg(h.key) as keys, array_agg(h.state) as states from held h',
    t.key_column, outbox.state_sql(t, 'n'), t.relation, t.key_type, outbox.key_sql(t, 'n')
  )
  into now_there
  using keys;

  -- After a restore of keys without events, or the other way round.
  perform outbox.recall_versions(topic, keys, null);
  -- Read only now: what was committed before the locks were taken is known. A key that no trigger saw is an insert.
  execute format(
    'select coalesce(sum(n), 0) from (
       select outbox.%I(array_agg(h.key), array_agg(k.known), array_agg(h.state), k.key is null, ''reconcile'', 5) as n
       from unnest($1, $2) as h (key, state)
       left join outbox.keys k on k.topic = $3 and k.key = h.key
       group by k.key is null
     ) as queued',
    outbox.routine(topic, 'capture')
  )
  into queued
  using now_there.keys, now_there.states, topic;
  return queued;
end
$$;
comment on function outbox.reconcile_keys(text, text[]) is
  'Queues an event for each of these keys whose state is not the known one; returns how many.';

create or replace function outbox.release_forgotten(at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  heads uuid[];
begin
  heads := array(
    select parked.event_id
    from (
      select q.event_id, q.topic, q.key, q.version
      from outbox.events q
      where q.status = 'pending' and q.delivery_id is null and q.next_attempt_at = 'infinity'
      -- Each is one look into an index; a million would take seconds.
      limit 10000
    ) as parked
    where outbox.is_first_in_line(parked.topic, parked.key, parked.version)
    limit at_most
  );
  perform outbox.release_next(heads);
  return cardinality(heads);
end
$$;
comment on function outbox.release_forgotten(integer) is
  'Releases parked events that wait behind nobody, which a person''s own statement can leave; returns how many.';

create or replace function outbox.reconcile_topic(t outbox.topics, at_most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  suspects text[];
  suspect text;
  queued integer := 0;
  failed text;
begin
  execute format(
    'select array(
       select %1$s
       from %2$s n
       left join outbox.keys k on k.topic = %3$L and k.key = %1$s
       where k.key is null or %4$s is distinct from k.known and %4$s is not null
       limit %5$s
     )',
    outbox.key_sql(t, 'n'), t.relation, t.topic, outbox.state_sql(t, 'n'), at_most
  )
  into suspects;

  begin
    return outbox.reconcile_keys(t.topic, suspects);
  exception when others then
    raise warning 'reconciling % keys of % one by one: %', cardinality(suspects), t.topic, sqlerrm;
  end;
  foreach suspect in array suspects loop
    begin
      queued := queued + outbox.reconcile_keys(t.topic, array[suspect]);
    exception when others then
      failed := coalesce(failed, format('key %s of topic %s cannot be reconciled: %s', suspect, t.topic, sqlerrm));
    end;
  end loop;
  if failed is not null then
    perform outbox.beat('reconcile', failed);
  end if;
  return queued;
end
$$;
comment on function outbox.reconcile_topic(outbox.topics, integer) is
  'Queues the difference between what a table says and what was last queued; returns how many events it made.';

create or replace function outbox.reconcile() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  batch integer := coalesce((select s.reconcile_batch_size from outbox.settings s), 500);
  t outbox.topics;
  queued integer := 0;
  problem text := outbox.attempt(format('select outbox.release_forgotten(%s)', batch));
begin
  -- Before its parts, which note their own errors.
  perform outbox.beat('reconcile', problem);
  for t in select x.* from outbox.topics x where x.fed_by = 'outbox' and x.unique_key order by x.topic loop
    begin
      queued := queued + outbox.reconcile_topic(t, batch);
    exception when others then
      perform outbox.beat('reconcile', format('topic %s cannot be read: %s', t.topic, sqlerrm));
    end;
  end loop;
  return queued;
end
$$;
comment on function outbox.reconcile() is
  'Queues the difference between what the watched tables say and what was last queued; returns how many events it made.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;

select cron.schedule('outbox-reconcile', '*/5 * * * *', 'select outbox.reconcile()');
