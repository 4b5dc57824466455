-- Purpose: deletes settled rows that are older than the retention.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.old_rows(
  out relation text, out key text, out keep interval, out batches integer, out query text
) returns setof record
language sql stable set search_path = pg_catalog, pg_temp as $$
  values
    -- An event that reached nobody waits for a person, like an open dead letter.
    ('outbox.events', 'event_id', null::interval, 1, $query$
      select q.event_id from outbox.events q where q.status = 'completed' and q.completed_at < $1
        and not coalesce(q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged', false)
      order by q.completed_at for update skip locked $query$),
    -- A failed event goes with its dead letter, once that is resolved.
    ('outbox.events', 'event_id', null, 1, $query$
      select q.event_id from outbox.dead_letters d join outbox.events q on q.dead_letter_id = d.id
      where d.resolution = 'resolved' and d.resolved_at < $1
      order by d.resolved_at for update of q skip locked $query$),
    -- A person needs the history of an open event to close it.
    ('outbox.attempts', 'id', null, 1, $query$
      select a.id from outbox.attempts a where a.ended_at < $1
        and not exists (select from outbox.events q where q.event_id = a.event_id and q.status <> 'completed')
      order by a.ended_at $query$),
    -- An idempotency key is needed as long as its event may come again.
    ('outbox.receipts', 'event_id', null, 1, $query$
      select o.event_id from outbox.receipts o where o.created_at < $1
        and not exists (select from outbox.events q where q.event_id = o.event_id)
      order by o.created_at $query$),
    ('outbox.erased', 'event_id', null, 1,
      'select event_id from outbox.erased where erased_at < $1 order by erased_at'),
    ('outbox.alerts', 'id', null, 1, 'select id from outbox.alerts where closed_at < $1 order by closed_at'),
    -- pg_net keeps answers for six hours. Keeps what the sweep still needs.
    ('outbox.deliveries', 'id', '1 day', 1, $query$
      select d.id from outbox.deliveries d where d.dispatched_at < $1 and d.error is null and d.id <> all(array(
        select q.delivery_id from outbox.events q where q.status = 'pending' and q.delivery_id is not null
      )) order by d.dispatched_at $query$),
    -- Each look reads the whole table, which has no index for it. A run that a crash cut off has no end, and perhaps
    -- not even a start: then it is as old as the runs around it.
    ('cron.job_run_details', 'runid', '7 days', 20, $query$
      select r.runid from cron.job_run_details r
      where (coalesce(r.end_time, r.start_time) < $1 or coalesce(r.end_time, r.start_time) is null
          and r.runid < (select max(o.runid) from cron.job_run_details o where o.start_time < $1))
        and exists (
          select from cron.job j where j.jobname like 'outbox-%' and (j.jobid = r.jobid or j.command = r.command)
        ) $query$)
$$;
comment on function outbox.old_rows() is
  'What retention deletes: the keys that each query finds, older than $1, which is keep or settings.retention_days.';

create or replace function outbox.forget(
  relation text, key text, query text, older_than timestamptz, at_most integer, out deleted integer, out problem text
)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
  failed integer := 0;
  found_key text;
begin
  execute format(
    'delete from %s t where t.%I = any(array(select c.key from (%s) c (key) limit $2))', relation, key, query
  ) using older_than, at_most;
  get diagnostics deleted = row_count;
exception
  when lock_not_available then
    raise;
  when others then
    -- One row that cannot be deleted must not keep the others.
    deleted := 0;
    for found_key in execute format('select c.key::text from (%s) c (key)', query) using older_than loop
      begin
        execute format('delete from %s t where t.%I = %L', relation, key, found_key);
        deleted := deleted + 1;
      exception when others then
        failed := failed + 1;
        problem := coalesce(problem, format('%s %s: %s', relation, found_key, sqlerrm));
      end;
      exit when deleted >= at_most or failed >= 1000;
    end loop;
end
$$;
comment on function outbox.forget(text, text, text, timestamptz, integer) is
  'Deletes what the query finds, row by row if it fails as a whole; returns how many rows, and the first error.';

create or replace function outbox.forget_keys(topic text, only_key text, at_most integer default 1) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set jit = off as $$
declare
  t outbox.topics;
  gone text[] := array_remove(array[only_key], null);
  held text[];
begin
  select x.* into t from outbox.topics x where x.topic = forget_keys.topic;
  if found then
    execute format(
      'select array(
         select m.key
         from (
           select $2 as key
           union select k.key from outbox.keys k where $2 is null and k.topic = $1
           -- A late call for an erased event leaves version 0.
           union select h.key from outbox.handled_keys h where $2 is null and h.topic = $1 and h.version = 0
         ) as m
         where m.key is not null and not exists (select from %1$s n where %2$s = m.key)
           -- An empty table may be about to be loaded again.
           and ($2 is not null or exists (select from %1$s))
           and not exists (select from outbox.events q where q.topic = $1 and q.key = m.key)
         limit $3
       )', t.relation, outbox.key_sql(t, 'n')
    ) into gone using topic, only_key, at_most;
  end if;
  -- While the table is locked, nobody can queue an event for a key.
  held := array(
    select k.key from outbox.keys k where k.topic = forget_keys.topic and k.key = any(gone)
    order by k.key for update skip locked
  );
  gone := array(
    select m.key
    from unnest(gone) as m (key)
    left join outbox.keys k on k.topic = forget_keys.topic and k.key = m.key
    where (k.key is null or m.key = any(held))
      and not exists (select from outbox.events q where q.topic = forget_keys.topic and q.key = m.key)
  );
  delete from outbox.keys k where k.topic = forget_keys.topic and k.key = any(gone);
  -- Deletes the versions too: if the key is used again, it starts at 1 and must not count as superseded.
  delete from outbox.handled_keys h where h.topic = forget_keys.topic and h.key = any(gone);
  delete from outbox.rechecks r where r.topic = forget_keys.topic and r.key = any(gone);
  return cardinality(gone);
end
$$;
comment on function outbox.forget_keys(text, text, integer) is
  'Deletes keys that have no row and no event left, all or only this one; returns how many.';

create or replace function outbox.forget_settled() returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  batch integer := coalesce((select s.retention_batch_size from outbox.settings s), 5000);
  retention interval := make_interval(days => coalesce((select s.retention_days from outbox.settings s), 30));
  part record;
  done record;
  t outbox.topics;
  total integer := 0;
  problem text;
begin
  for part in select * from outbox.old_rows() loop
    begin
      select * into strict done
      from outbox.forget(
        part.relation, part.key, part.query, clock_timestamp() - coalesce(part.keep, retention), batch * part.batches
      );
      total := total + done.deleted;
      problem := coalesce(problem, done.problem);
    exception when others then
      problem := coalesce(problem, part.relation || ': ' || sqlerrm);
    end;
  end loop;

  for t in select x.* from outbox.topics x loop
    begin
      total := total + outbox.forget_keys(t.topic, null, batch);
    exception when others then
      problem := coalesce(problem, format('keys of topic %s that are gone: %s', t.topic, sqlerrm));
    end;
  end loop;
  perform outbox.beat('retention', problem);
  return total;
end
$$;
comment on function outbox.forget_settled() is
  'Deletes a batch of rows settled more than settings.retention_days ago; returns how many.';

select cron.schedule('outbox-retention', '*/10 * * * *', 'select outbox.forget_settled()');
