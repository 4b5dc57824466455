-- Purpose: finds changes that no trigger saw: a disabled trigger, session_replication_role = replica, a restore.
-- Locks:   none on existing tables; later, row locks of the profiles that it enqueues.
-- Undo:    select cron.unschedule('pause-status-reconcile'); drop function pause_status.reconcile(),
--          pause_status.reconcile_mentors(uuid[]), pause_status.release_forgotten(integer).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.reconcile_mentors(mentor_ids uuid[])
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  ids uuid[];
  known_statuses text[];
  statuses text[];
begin
  -- Whoever is changing a profile right now explains it in a moment: skipped, never waited for.
  with held as materialized (
    select p.id, p.status::text as status
    from public.peer_mentor_profiles p
    where p.id = any(mentor_ids)
    order by p.id
    for no key update skip locked
  )
  select array_agg(h.id), array_agg(h.status) into ids, statuses from held h;
  -- Read only now: what was committed before the locks were taken is known.
  select array_agg(s.known_status order by h.place) into known_statuses
  from unnest(ids) with ordinality as h (id, place)
  left join pause_status.mentor_states s on s.mentor_id = h.id;

  begin
    return pause_status.queue_transitions(ids, known_statuses, statuses, 'reconcile', 5);
  exception when unique_violation then
    perform pause_status.recall_versions(ids);
    return pause_status.queue_transitions(ids, known_statuses, statuses, 'reconcile', 5);
  end;
end
$$;
comment on function pause_status.reconcile_mentors(uuid[]) is
  'Queues an event for each of these mentors whose status is not the known one; returns how many.';

create or replace function pause_status.release_forgotten(at_most integer)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  heads uuid[];
begin
  heads := array(
    select parked.mentor_id
    from (
      select q.mentor_id, q.version
      from pause_status.webhook_queue q
      where q.status = 'pending' and q.delivery_id is null and q.next_attempt_at = 'infinity'
      -- Each is one look into an index; a million would take seconds.
      limit 10000
    ) as parked
    where pause_status.is_first_in_line(parked.mentor_id, parked.version)
    limit at_most
  );
  perform pause_status.release_next(heads);
  return cardinality(heads);
end
$$;
comment on function pause_status.release_forgotten(integer) is
  'Releases parked events that wait behind nobody, which a person''s own statement can leave; returns how many.';

create or replace function pause_status.reconcile()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  settings pause_status.settings;
  suspects uuid[] := '{}';
  suspect uuid;
  queued integer := 0;
  problem text;
begin
  select s.* into settings from pause_status.settings s;
  problem := pause_status.attempt(format(
    'select pause_status.release_forgotten(%s)', settings.reconcile_batch_size
  ));
  if settings.fed_by = 'outbox' then
    begin
      -- Mentors that no trigger saw start with the status they have now.
      insert into pause_status.mentor_states (mentor_id, known_status)
      select p.id, p.status::text
      from public.peer_mentor_profiles p
      where not exists (select from pause_status.mentor_states s where s.mentor_id = p.id)
      order by p.id
      limit settings.reconcile_batch_size
      on conflict do nothing;

      suspects := array(
        select p.id
        from public.peer_mentor_profiles p
        join pause_status.mentor_states s on s.mentor_id = p.id
        where p.status::text in ('active', 'paused') and p.status::text is distinct from s.known_status
        limit settings.reconcile_batch_size
      );
    exception when others then
      problem := coalesce(problem, 'the profiles cannot be read: ' || sqlerrm);
    end;
  end if;

  begin
    queued := pause_status.reconcile_mentors(suspects);
  exception when others then
    raise warning 'reconciling % mentors one by one: %', cardinality(suspects), sqlerrm;
    foreach suspect in array suspects loop
      begin
        queued := queued + pause_status.reconcile_mentors(array[suspect]);
      exception when others then
        problem := coalesce(problem, format('mentor %s cannot be reconciled: %s', suspect, sqlerrm));
      end;
    end loop;
  end;
  perform pause_status.beat('reconcile', problem);
  return queued;
end
$$;
comment on function pause_status.reconcile() is
  'Queues the difference between what profiles say and what was last queued; returns how many events it made.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-reconcile', '*/5 * * * *', 'select pause_status.reconcile()');
