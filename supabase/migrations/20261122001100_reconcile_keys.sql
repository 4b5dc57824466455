-- Purpose: finds changes that the triggers missed: a disabled trigger, session_replication_role = replica, a restore.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.reconcile_keys(topic text, keys text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  t outbox.topics := (select x from outbox.topics x where x.topic = reconcile_keys.topic);
  present record;
  queued integer;
begin
  -- Skips a row that is being changed: its trigger queues that change in a moment.
  execute format(
    'with held as materialized (
       select %5$s as key, %2$s as state from %3$s n where n.%1$I = any($1::text[]::%4$s[]) order by n.%1$I
       for no key update skip locked
     ) select array_agg(h.key) as keys, array_agg(h.state) as states from held h',
    t.key_column, outbox.state_sql(t, 'n'), t.relation, t.key_type, outbox.key_sql(t, 'n')
  )
  into present
  using keys;

  -- After a restore of keys without events, or the other way round.
  perform outbox.recall_versions(topic, keys, null);
  -- Read after the locks were taken, so that nothing committed is missed. A key without a known state is an insert.
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
  using present.keys, present.states, topic;
  return queued;
end
$$;
comment on function outbox.reconcile_keys(text, text[]) is 'Queues missed changes of these keys; returns how many.';

create or replace function outbox.reconcile_each(topic text, keys text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return outbox.reconcile_keys(topic, keys);
exception when others then
  if cardinality(keys) > 1 then
    return (select sum(outbox.reconcile_each(topic, array[one])) from unnest(keys) one);
  end if;
  perform outbox.beat('reconcile', format('key %s of topic %s cannot be reconciled: %s', keys[1], topic, sqlerrm));
  return 0;
end
$$;
comment on function outbox.reconcile_each(text, text[]) is 'reconcile_keys(), one by one if one of them fails.';

create or replace function outbox.release_forgotten(at_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform outbox.release_next(array(
    select parked.event_id
    from (
      select q.event_id, q.topic, q.key, q.version
      from outbox.events q
      where q.status = 'pending' and q.delivery_id is null and q.next_attempt_at = 'infinity'
      -- Each is one index lookup; a million would take seconds.
      limit 10000
    ) as parked
    where outbox.is_first_in_line(parked.topic, parked.key, parked.version)
    limit at_most
  ));
end
$$;
comment on function outbox.release_forgotten(integer) is 'Releases parked events that wait behind no other event.';

create or replace function outbox.reconcile() returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  batch integer := coalesce((select s.reconcile_batch_size from outbox.settings s), 500);
  t outbox.topics;
  suspects text[];
  queued integer := 0;
begin
  perform outbox.beat('reconcile', outbox.attempt(format('select outbox.release_forgotten(%s)', batch)));
  for t in select x.* from outbox.topics x where x.fed_by = 'outbox' and x.unique_key order by x.topic loop
    begin
      execute format(
        'select array(
           select %1$s
           from %2$s n
           left join outbox.keys k on k.topic = %3$L and k.key = %1$s
           where k.key is null or %4$s is distinct from k.known and %4$s is not null
           limit %5$s
         )',
        outbox.key_sql(t, 'n'), t.relation, t.topic, outbox.state_sql(t, 'n'), batch
      )
      into suspects;
      queued := queued + outbox.reconcile_each(t.topic, suspects);
    exception when others then
      perform outbox.beat('reconcile', format('topic %s cannot be read: %s', t.topic, sqlerrm));
    end;
  end loop;
  return queued;
end
$$;
comment on function outbox.reconcile() is 'Queues changes that the triggers missed; returns how many.';

select cron.schedule('outbox-reconcile', '*/5 * * * *', 'select outbox.reconcile()');
