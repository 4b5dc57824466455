-- Purpose: checks what the outbox depends on: the triggers, the scheduled jobs and their heartbeats.

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
  'Whether the triggers that capture and dispatch are exactly as created, and enabled.';

create or replace function outbox.capture_state(
  t outbox.topics, out topic text, out attached boolean, out enabled boolean, out problem text
)
language plpgsql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off as $$
declare
  other_ways text;
  wrong_triggers text;
begin
  topic := t.topic;
  select bool_and(s.is_original), bool_and(s.is_enabled) into attached, enabled
  from outbox.trigger_states(t) s
  where s.relation = t.relation;
  if t.fed_by = 'webhook' then
    return;
  end if;

  -- A write through another table does not fire this table's statement triggers.
  select 'changes by the name of another table are not captured: ' || string_agg(format(
    case
      when c.relispartition then 'alter table %2$s detach partition %1$s' else 'alter table %1$s no inherit %2$s'
    end, i.inhrelid::regclass, i.inhparent::regclass
  ), '; ') into other_ways
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  where to_regclass(t.relation) in (i.inhrelid, i.inhparent);
  if other_ways is null then
    select format('topic %s cannot watch %s: %s', t.topic, t.relation, p.problem) into problem
    from outbox.topic_problem(t) p
    where p.problem is not null;
  end if;
  if problem is null then
    select string_agg(format(
      case
        when w.is_original then 'alter table %s enable trigger, for each of: %s'
        else '%s lacks the original %s: apply the migrations again'
      end, w.relation, w.names
    ), '; ' order by w.relation, w.is_original) into wrong_triggers
    from (
      select s.relation, s.is_original, string_agg(s.name, ', ' order by s.name) as names
      from outbox.trigger_states(t) s
      where not s.is_enabled
      group by s.relation, s.is_original
    ) w;
    problem := nullif(concat_ws('; ', wrong_triggers, other_ways), '');
  end if;
exception when others then
  problem := format('the triggers of topic %s cannot be looked up: %s', t.topic, sqlerrm);
end
$$;
comment on function outbox.capture_state(outbox.topics) is
  'Whether a topic''s triggers are on its table, unaltered and enabled; if not, why changes are missed.';

create or replace function outbox.job_states()
returns table (job text, is_scheduled boolean, last_run_at timestamptz, missing text, failing text, silent text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  patience integer := coalesce((select s.alert_sweep_silent_seconds from outbox.settings s), 180);
  active jsonb;
  no_cron text;
begin
  begin
    select jsonb_object_agg(j.jobname, j.active order by j.active) into active
    from cron.job j
    where j.jobname like 'outbox-%';
  exception when others then
    no_cron := 'pg_cron cannot be asked: ' || sqlerrm;
  end;

  return query
  select
    wanted.job,
    coalesce((active -> wanted.name)::boolean, false),
    beat.last_at,
    case
      when (active -> wanted.name)::boolean then null
      when no_cron is not null then no_cron
      when active ? wanted.name then format(
        '%1$s is inactive: select cron.alter_job(jobid, active := true) from cron.job where jobname = %1$L', wanted.name
      )
      else wanted.name || ' is not scheduled: apply its migration again'
    end,
    -- Later times were written before the clock was set back.
    case when beat.failed_at between beat.last_at and clock_timestamp() then wanted.name || ': ' || beat.last_error end,
    case
      when beat.last_at is null then wanted.name || ' has never run to its end'
      -- Time while the server was down does not count. abs(): a beat in the far future is no sign of life either.
      when wanted.patience <= abs(extract(epoch from clock_timestamp() - greatest(beat.last_at, pg_postmaster_start_time())))
        then format('%s ran to its end at %s and not since', wanted.name, outbox.iso(beat.last_at))
    end
  from (
    select w.job, 'outbox-' || w.job as name, w.share * patience as patience
    from (
      values ('sweep', 1), ('direct', 1), ('watch', 1), ('alert', 1), ('reconcile', 5), ('retention', 10)
    ) as w (job, share)
    where w.job <> 'reconcile' or exists (select from outbox.topics t where t.fed_by = 'outbox')
  ) as wanted
  left join outbox.heartbeats beat on beat.job = wanted.job;
end
$$;
comment on function outbox.job_states() is
  'The scheduled jobs, and what is wrong with each: missing from pg_cron, failing, or silent for too long.';
