with
  ours as (
    select c.oid, c.relname, c.relkind, c.relrowsecurity, c.relacl, c.reloptions, n.nspname,
      n.nspname || '.' || c.relname as name
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'v', 'c')
      and (
        n.nspname = 'outbox'
        or (n.nspname = 'public' and c.relname in (
          'peer_mentor_profiles', 'coordinators', 'mentor_coordinators', 'notifications'
        ))
      )
  ),
  columns as (
    select a.attrelid, a.attname, a.attnum,
      '  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
        || case a.attidentity when 'a' then ' generated always as identity' else '' end
        || case when a.attnotnull then ' not null' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as line
    from pg_attribute a
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped
  ),
  constraints as (
    select k.conrelid, k.conname, k.contype,
      '  constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid, true) as line
    from pg_constraint k
    where k.contype in ('p', 'u', 'f', 'c')
  ),
  roles as (
    select r.oid, r.rolname from pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role')
    union all
    select 0, 'public'
  ),
  statements (rank, name, text) as (
    select 0, n.nspname,
      'create schema ' || n.nspname || ';' || E'\ncomment on schema ' || n.nspname || ' is '
        || quote_literal(obj_description(n.oid, 'pg_namespace')) || ';'
    from pg_namespace n
    where n.nspname = 'outbox'
    union all
    select case o.relkind when 'c' then 1 when 'r' then 2 else 4 end, o.name,
      concat_ws(
        E'\n',
        case o.relkind
          when 'v' then
            'create view ' || o.name || coalesce(' with (' || array_to_string(o.reloptions, ', ') || ')', '') || ' as'
              || E'\n' || pg_get_viewdef(o.oid, true)
          else
            case o.relkind when 'c' then 'create type ' else 'create table ' end || o.name
              || case o.relkind when 'c' then ' as' else '' end || E' (\n'
              || concat_ws(
                E',\n',
                (select string_agg(c.line, E',\n' order by c.attnum) from columns c where c.attrelid = o.oid),
                (
                  select string_agg(k.line, E',\n' order by strpos('pufc', k.contype::text), k.conname)
                  from constraints k
                  where k.conrelid = o.oid
                )
              )
              || E'\n)' || coalesce(' with (' || array_to_string(o.reloptions, ', ') || ')', '') || ';'
        end,
        case when o.relrowsecurity then 'alter table ' || o.name || ' enable row level security;' end,
        (
          select string_agg(pg_get_indexdef(i.indexrelid) || ';', E'\n' order by i.indexrelid::regclass::text)
          from pg_index i
          where i.indrelid = o.oid
            and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u'))
        ),
        (
          select string_agg(pg_get_triggerdef(t.oid, true) || ';', E'\n' order by t.tgname)
          from pg_trigger t
          where t.tgrelid = o.oid and not t.tgisinternal
        ),
        'comment on ' || case o.relkind when 'r' then 'table ' when 'v' then 'view ' else 'type ' end || o.name
          || ' is '
          || quote_literal(coalesce(
            case o.relkind
              when 'c' then obj_description((select c.reltype from pg_class c where c.oid = o.oid), 'pg_type')
              else obj_description(o.oid, 'pg_class')
            end, ''
          )) || ';',
        (
          select string_agg(
            'comment on column ' || o.name || '.' || c.attname || ' is '
              || quote_literal(col_description(o.oid, c.attnum)) || ';',
            E'\n' order by c.attnum
          )
          from columns c
          where c.attrelid = o.oid and col_description(o.oid, c.attnum) is not null
        ),
        (
          select string_agg(
            'comment on trigger ' || t.tgname || ' on ' || o.name || ' is '
              || quote_literal(obj_description(t.oid, 'pg_trigger')) || ';',
            E'\n' order by t.tgname
          )
          from pg_trigger t
          where t.tgrelid = o.oid and not t.tgisinternal
        ),
        (
          select string_agg('grant ' || lower(g.privilege_type) || ' on ' || o.name || ' to ' || r.rolname || ';', E'\n'
            order by r.rolname, g.privilege_type)
          from aclexplode(o.relacl) g
          join roles r on r.oid = g.grantee
        )
      )
    from ours o
    union all
    select 3, n.nspname || '.' || p.proname,
      concat_ws(
        E'\n',
        'create function ' || n.nspname || '.' || p.proname || '(' || pg_get_function_arguments(p.oid) || ')',
        '  returns ' || pg_get_function_result(p.oid),
        '  language ' || l.lanname || ' '
          || case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end
          || case when p.prosecdef then ' security definer' else '' end
          || coalesce((select string_agg(' set ' || setting, '') from unnest(p.proconfig) as setting), '') || ';',
        'comment on function ' || p.oid::regprocedure || ' is '
          || quote_literal(coalesce(obj_description(p.oid, 'pg_proc'), '')) || ';',
        (
          select string_agg('grant execute on function ' || p.oid::regprocedure || ' to ' || r.rolname || ';', E'\n'
            order by r.rolname)
          from aclexplode(p.proacl) g
          join roles r on r.oid = g.grantee
        )
      )
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    join pg_language l on l.oid = p.prolang
    where n.nspname = 'outbox' or (n.nspname = 'public' and p.proname ~ '^(outbox|pause_status)_')
    union all
    select 5, j.jobname,
      'select cron.schedule(' || quote_literal(j.jobname) || ', ' || quote_literal(j.schedule) || ', '
        || quote_literal(j.command) || ');'
    from cron.job j
    where j.jobname like 'outbox-%'
  )
select s.text from statements s order by s.rank, s.name collate "C", s.text collate "C"
