-- Purpose: whether what the outbox lives on is in place: the triggers, the scheduled jobs and their signs of life.
-- Locks:   none on existing tables.
-- Undo:    drop function outbox.job_states(), outbox.capture_state(outbox.topics), outbox.other_ways_in(regclass),
--          outbox.trigger_states(outbox.topics); drop type outbox.job_state.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.trigger_states(t outbox.topics)
returns table (relation text, name text, is_original boolean, is_enabled boolean)
language sql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
  select wanted.relation, wanted.name, found.is_original, found.is_original and x.tgenabled in ('O', 'A')
  from (
    select t.relation, o.name, o.definition from outbox.triggers_of(t) o
    union all
    values (
      'outbox.events', 'events_dispatch_at_commit',
      'CREATE CONSTRAINT TRIGGER events_dispatch_at_commit AFTER INSERT ON outbox.events DEFERRABLE INITIALLY DEFERRED '
      'FOR EACH ROW WHEN (((new.leads IS NOT NULL) AND (new.status = ''pending''::text))) '
      'EXECUTE FUNCTION outbox.dispatch_at_commit()'
    )
  ) as wanted (relation, name, definition)
  left join pg_trigger x on x.tgrelid = to_regclass(wanted.relation) and x.tgname = wanted.name
  cross join lateral (select coalesce(pg_get_triggerdef(x.oid) = wanted.definition, false)) as found (is_original)
$$;
comment on function outbox.trigger_states(outbox.topics) is
  'Whether the triggers that capture and dispatch are as they were created, to the word, and enabled.';

create or replace function outbox.other_ways_in(watched regclass) returns setof text
language sql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
  select format(
    case when c.relispartition then 'alter table %2$s detach partition %1$s' else 'alter table %1$s no inherit %2$s' end,
    i.inhrelid::regclass, i.inhparent::regclass
  )
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  where watched in (i.inhrelid, i.inhparent)
$$;
comment on function outbox.other_ways_in(regclass) is
  'How to close the ways to write rows by the name of another table, which fires no statement triggers of this one.';

create or replace function outbox.capture_state(
  t outbox.topics, out topic text, out attached boolean, out enabled boolean, out problem text
)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  topic := t.topic;
  select bool_and(s.is_original), bool_and(s.is_enabled)
  into attached, enabled
  from outbox.trigger_states(t) s
  where s.relation = t.relation;
  if t.fed_by = 'webhook' then
    return;
  end if;

  problem := (select format('topic %s cannot watch %s: %s', t.topic, t.relation, p.problem) from outbox.topic_problem(t) p
    where p.problem is not null and not exists (select from outbox.other_ways_in(to_regclass(t.relation))));
  problem := coalesce(problem, (
    select string_agg(wrong.sentence, '; ' order by wrong.sentence)
    from (
      select
        case
          when s.is_original then format('alter table %s enable trigger, for each of: ', s.relation)
          else format('%s lacks the original ', s.relation)
        end
          || string_agg(s.name, ', ' order by s.name)
          || case when s.is_original then '' else ': apply the migrations again' end as sentence
      from outbox.trigger_states(t) s
      where not s.is_enabled
      group by s.relation, s.is_original
      union all
      select 'changes by the name of another table are not captured: ' || string_agg(w.way, '; ' order by w.way)
      from outbox.other_ways_in(to_regclass(t.relation)) as w (way)
      having count(*) > 0
    ) as wrong
  ));
exception when others then
  problem := format('the triggers of topic %s cannot be looked up: %s', t.topic, sqlerrm);
end
$$;
comment on function outbox.capture_state(outbox.topics) is
  'Whether a topic''s triggers are on its table now, unaltered and enabled; the problem is null when all changes are '
  'captured and dispatched, or need not be because stock webhooks report them.';

do $$
begin
  if to_regtype('outbox.job_state') is null then
    create type outbox.job_state as (
      job text,
      is_scheduled boolean,
      last_run_at timestamptz,
      missing text,
      failing text,
      silent text
    );
    comment on type outbox.job_state is
      'A scheduled job, and what is wrong with it: missing from pg_cron, failing, or silent for too long. Nulls: nothing.';
  end if;
end
$$;

create or replace function outbox.job_states() returns setof outbox.job_state
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  silent_after interval;
  scheduled text[] := '{}';
  inactive text[] := '{}';
  no_cron text;
begin
  silent_after := (select make_interval(secs => s.alert_sweep_silent_seconds) from outbox.settings s);
  begin
    select
      coalesce(array_agg(j.jobname::text) filter (where j.active), '{}'),
      coalesce(array_agg(j.jobname::text) filter (where not j.active), '{}')
    into scheduled, inactive
    from cron.job j
    where j.jobname like 'outbox-%';
  exception when others then
    no_cron := 'pg_cron cannot be asked: ' || sqlerrm;
  end;

  return query
  select
    wanted.job,
    wanted.name = any(scheduled),
    beat.last_at,
    case
      when wanted.name = any(scheduled) then null
      when no_cron is not null then no_cron
      when wanted.name = any(inactive) then format(
        '%1$s is inactive: select cron.alter_job(jobid, active := true) from cron.job where jobname = %1$L', wanted.name
      )
      else wanted.name || ' is not scheduled: apply its migration again'
    end,
    -- What is later was written before the clock was set back.
    case when beat.failed_at between beat.last_at and clock_timestamp() then wanted.name || ': ' || beat.last_error end,
    case
      when beat.last_at is null then wanted.name || ' has never run to its end'
      when greatest(now.moment - alive.since, alive.since - now.moment) >= wanted.silent_after then format(
        '%s ran to its end at %s and not since', wanted.name, outbox.iso(beat.last_at)
      )
    end
  from (
    select w.job, 'outbox-' || w.job as name, w.share * coalesce(silent_after, interval '3 minutes') as silent_after
    from (
      values ('sweep', 1), ('direct', 1), ('watch', 1), ('reconcile', 5), ('retention', 10)
    ) as w (job, share)
    where w.job <> 'reconcile' or exists (select from outbox.topics t where t.fed_by = 'outbox')
  ) as wanted
  cross join (select clock_timestamp() as moment) as now
  left join outbox.heartbeats beat on beat.job = wanted.job
  -- While the server was down nobody was silent.
  cross join lateral (select greatest(beat.last_at, pg_postmaster_start_time()) as since) as alive;
end
$$;
comment on function outbox.job_states() is
  'How the scheduled jobs are. A job of every minute or more often is silent after settings.alert_sweep_silent_seconds, '
  'the rarer ones after five and ten times as long. A beat that far in the future is no sign of life either.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
