-- Purpose: the topic opportunity-stage: an opportunity is new, or its stage or amount changes.
-- Locks:   public.opportunities, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch('opportunity-stage'); drop function public.move_opportunity(jsonb);
--          drop view public.sales_metrics; drop the tables below that this migration created.

-- No check of stage and amount, because an invalid row must not fail the statement that wrote it.
create table if not exists public.opportunities (
  id uuid default gen_random_uuid(),
  name text not null,
  stage text not null default 'prospecting',
  amount numeric not null default 0,
  constraint opportunities_pkey primary key (id)
);
comment on table public.opportunities is 'Deals that may be won. All amounts are in one currency.';

create table if not exists public.pipeline_stages (
  stage text,
  position integer not null,
  outcome text not null default 'open',
  opportunities bigint not null default 0,
  value numeric not null default 0,
  constraint pipeline_stages_pkey primary key (stage),
  constraint pipeline_stages_have_their_own_position unique (position),
  constraint pipeline_stages_outcome_is_known check (outcome in ('open', 'won', 'lost'))
);
comment on table public.pipeline_stages is 'The stages in order, with the number and value of their opportunities.';
insert into public.pipeline_stages (stage, position, outcome)
values
  ('prospecting', 1, 'open'), ('qualification', 2, 'open'), ('proposal', 3, 'open'), ('negotiation', 4, 'open'),
  ('closed_won', 5, 'won'), ('closed_lost', 6, 'lost')
on conflict do nothing;

create table if not exists public.opportunity_states (
  opportunity_id text,
  version bigint not null default 0,
  stage text,
  amount numeric,
  constraint opportunity_states_pkey primary key (opportunity_id)
);
comment on table public.opportunity_states is 'What pipeline_stages counts for each opportunity.';

create table if not exists public.stage_transitions (
  event_id uuid,
  opportunity_id text not null,
  version bigint not null,
  old_stage text,
  new_stage text not null,
  amount numeric not null,
  is_progression boolean,
  occurred_at timestamptz not null,
  constraint stage_transitions_pkey primary key (event_id),
  constraint stage_transitions_have_a_version_once unique (opportunity_id, version)
);
comment on table public.stage_transitions is 'The history, one row per event.';
comment on column public.stage_transitions.is_progression is
  'Whether the new stage comes later and is not lost. Null if no earlier stage is known, or only the amount changed.';

alter table public.opportunities enable row level security;
alter table public.pipeline_stages enable row level security;
alter table public.opportunity_states enable row level security;
alter table public.stage_transitions enable row level security;

create or replace view public.sales_metrics with (security_invoker = true) as
select
  won.deals as deals_won,
  lost.deals as deals_lost,
  won.value as revenue,
  round(won.deals / nullif(won.deals + lost.deals, 0), 4) as win_rate
from
  (select coalesce(sum(opportunities), 0) as deals, coalesce(sum(value), 0) as value
   from public.pipeline_stages where outcome = 'won') as won,
  (select coalesce(sum(opportunities), 0) as deals from public.pipeline_stages where outcome = 'lost') as lost;
comment on view public.sales_metrics is 'Deals won and lost, revenue, and the win rate.';

create or replace function public.move_opportunity(event jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  next constant public.stage_transitions := jsonb_populate_record(null::public.stage_transitions, event);
  before public.opportunity_states;
begin
  if not exists (select from public.pipeline_stages s where s.stage = next.new_stage) then
    return jsonb_build_object(
      'outcome', 'unknown_stage',
      'stages', (select string_agg(s.stage, ', ' order by s.position) from public.pipeline_stages s)
    );
  end if;

  -- From here on, callers with the same opportunity take turns.
  insert into public.opportunity_states (opportunity_id) values (next.opportunity_id) on conflict do nothing;
  select o.* into before from public.opportunity_states o where o.opportunity_id = next.opportunity_id for update;

  -- The row is also the receipt: it commits with the counters, or not at all.
  insert into public.stage_transitions
  select
    next.event_id, next.opportunity_id, next.version, next.old_stage, next.new_stage, next.amount,
    case when next.old_stage <> next.new_stage then later.position > earlier.position and later.outcome <> 'lost' end,
    next.occurred_at
  from public.pipeline_stages later
  left join public.pipeline_stages earlier on earlier.stage = next.old_stage
  where later.stage = next.new_stage
  on conflict on constraint stage_transitions_pkey do nothing;

  -- A repeated event is already counted. For an older one, redriven by force, a later one is.
  if next.version > before.version then
    -- In a fixed order, so that two callers cannot deadlock.
    perform from public.pipeline_stages s where s.stage in (before.stage, next.new_stage) order by s.position for update;
    update public.pipeline_stages s
    set opportunities = s.opportunities + change.opportunities, value = s.value + change.value
    from (
      select c.stage, sum(c.opportunities) as opportunities, sum(c.value) as value
      from (values (before.stage, -1, -before.amount), (next.new_stage, 1, next.amount)) as c (stage, opportunities, value)
      group by c.stage
    ) as change
    where s.stage = change.stage;
    update public.opportunity_states o
    set version = next.version, stage = next.new_stage, amount = next.amount
    where o.opportunity_id = next.opportunity_id;
  end if;

  return (
    select jsonb_build_object(
      'outcome', 'moved',
      'receipt', jsonb_build_object('from', t.old_stage, 'to', t.new_stage, 'isProgression', t.is_progression)
    )
    from public.stage_transitions t
    where t.event_id = next.event_id
  );
end
$$;
comment on function public.move_opportunity(jsonb) is
  'Writes an event to the history and counts it, once per event id, in one transaction. Returns moved, with a receipt, '
  'or unknown_stage, with the known stages.';
revoke all on function public.move_opportunity(jsonb) from public, anon, authenticated;
grant execute on function public.move_opportunity(jsonb) to service_role;

-- The amount is sent as text, because a float has 15 digits.
select outbox.watch(
  topic => 'opportunity-stage',
  relation => 'public.opportunities',
  columns => '{stage,amount}',
  operations => '{INSERT,UPDATE}',
  payload => $$jsonb_build_object('id', new.id, 'stage', new.stage, 'amount', new.amount::text)$$,
  function_url => 'opportunity_stage_url'
);
