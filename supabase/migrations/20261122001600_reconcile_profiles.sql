-- Purpose: finds changes that no trigger saw: a disabled trigger, session_replication_role = replica, a restore.
-- Locks:   none on existing tables; later, row locks of the profiles that it enqueues.
-- Undo:    select cron.unschedule('pause-status-reconcile'); drop function pause_status.reconcile(),
--          pause_status.unexplained_profiles(uuid[], integer).

-- Installers that come at the same time take turns.
select pg_advisory_xact_lock(hashtext('pause_status migrations'));

create or replace function pause_status.unexplained_profiles(mentor_ids uuid[], at_most integer)
returns table (mentor_id uuid, known_status text, status text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select p.id, s.notified_status, p.status::text
  from public.peer_mentor_profiles p
  join pause_status.mentor_states s on s.mentor_id = p.id
  where (mentor_ids is null or p.id = any(mentor_ids))
    and p.status::text in ('active', 'paused')
    and p.status::text is distinct from s.notified_status
    -- An event under way, or an open dead letter of a version after the last one that was told, explains the difference.
    and not exists (
      select
      from pause_status.webhook_queue q
      where q.mentor_id = p.id
        and (q.status = 'processing' or q.status = 'pending' and (q.version is not null or q.next_attempt_at is not null))
    )
    and not exists (
      select
      from pause_status.webhook_queue q
      join pause_status.dead_letter_queue d on d.id = q.dead_letter_id
      where q.mentor_id = p.id and q.version > coalesce(s.notified_version, 0) and d.resolution is null
    )
  limit at_most
$$;
comment on function pause_status.unexplained_profiles(uuid[], integer) is
  'Mentors whose status is not the one their coordinators know, although nothing is under way that would tell them.';

create or replace function pause_status.reconcile()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  batch integer;
  suspects uuid[];
  enqueued integer;
begin
  select s.reconcile_batch_size into batch from pause_status.settings s;

  -- Mentors that no trigger saw start with the status they have now.
  insert into pause_status.mentor_states (mentor_id, notified_status)
  select p.id, p.status::text
  from public.peer_mentor_profiles p
  where not exists (select from pause_status.mentor_states s where s.mentor_id = p.id)
  order by p.id
  limit batch
  on conflict do nothing;

  suspects := array(select u.mentor_id from pause_status.unexplained_profiles(null, batch) u);
  if cardinality(suspects) = 0 then
    return 0;
  end if;

  -- Whoever is changing a profile right now explains it in a moment: skipped, never waited for.
  suspects := array(
    select p.id
    from public.peer_mentor_profiles p
    where p.id = any(suspects)
    order by p.id
    for no key update skip locked
  );

  with unexplained as materialized (
    select u.* from pause_status.unexplained_profiles(suspects, batch) u
  ), adopted as (
    -- A status of the project's own is known: from it there is no transition to tell.
    update pause_status.mentor_states s
    set notified_status = u.status
    from unexplained u
    where s.mentor_id = u.mentor_id and coalesce(u.known_status not in ('active', 'paused'), true)
  ), numbered as (
    insert into pause_status.mentor_versions as v (mentor_id, version)
    select u.mentor_id, 1
    from unexplained u
    where u.known_status in ('active', 'paused')
    order by u.mentor_id
    on conflict (mentor_id) do update set version = v.version + 1
    returning v.mentor_id, v.version
  ), drafted as materialized (
    select
      gen_random_uuid() as event_id, n.mentor_id, n.version, u.known_status, u.status,
      case u.status when 'paused' then 'PAUSE' else 'RESUME' end as transition,
      clock.now as occurred_at,
      pause_status.iso(clock.now) as occurred_at_text
    from numbered n
    join unexplained u on u.mentor_id = n.mentor_id
    cross join (select clock_timestamp() as now) as clock
  )
  insert into pause_status.webhook_queue (
    event_id, mentor_id, version, transition, old_status, new_status, occurred_at, source, payload, fingerprint,
    next_attempt_at, dispatch_reason
  )
  select
    d.event_id, d.mentor_id, d.version, d.transition, d.known_status, d.status, d.occurred_at, 'outbox',
    pause_status.payload(d.event_id, d.mentor_id, d.known_status, d.status, d.version, d.occurred_at_text),
    pause_status.fingerprint(d.mentor_id, d.transition, d.occurred_at_text, d.version),
    d.occurred_at, 'reconcile'
  from drafted d;
  get diagnostics enqueued = row_count;
  return enqueued;
end
$$;
comment on function pause_status.reconcile() is
  'Enqueues the difference between what profiles say and what coordinators know; returns how many events it made.';

revoke all on all functions in schema pause_status from public, anon, authenticated, service_role;

select cron.schedule('pause-status-reconcile', '*/5 * * * *', 'select pause_status.reconcile()');
