-- The harness's own record of the examples: what was committed, and what was done as a result.
create table chaos.placed (
  place bigint generated always as identity primary key,
  order_id uuid not null,
  transaction text not null default pg_current_xact_id()::text,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_placed() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.placed (order_id) values (new.id);
  return null;
end
$$;
create trigger chaos_records_placed after insert on public.orders for each row execute function chaos.record_placed();

create table chaos.confirmations (
  place bigint generated always as identity primary key,
  order_id uuid not null,
  what text not null,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_confirmation() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if old.status <> new.status then
    insert into chaos.confirmations (order_id, what) values (new.id, new.status);
  end if;
  if old.invoice_url is distinct from new.invoice_url then
    insert into chaos.confirmations (order_id, what) values (new.id, 'invoice_url');
  end if;
  if old.confirmation_sent_at is distinct from new.confirmation_sent_at then
    insert into chaos.confirmations (order_id, what) values (new.id, 'confirmation_sent_at');
  end if;
  return null;
end
$$;
create trigger chaos_records_confirmation after update on public.orders for each row execute function chaos.record_confirmation();

create table chaos.stock_changes (
  place bigint generated always as identity primary key,
  item_id uuid not null,
  old_quantity numeric,
  old_threshold numeric,
  quantity numeric not null,
  threshold numeric not null,
  transaction text not null default pg_current_xact_id()::text,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_stock() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.stock_changes (item_id, old_quantity, old_threshold, quantity, threshold)
  values (
    new.id, case tg_op when 'UPDATE' then old.quantity end, case tg_op when 'UPDATE' then old.reorder_threshold end,
    new.quantity, new.reorder_threshold
  );
  return null;
end
$$;
create trigger chaos_records_stock after insert or update on public.inventory_items
  for each row execute function chaos.record_stock();

create table chaos.tasks (
  place bigint generated always as identity primary key,
  event_id uuid not null,
  item_id uuid not null,
  said text not null,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_task() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.tasks (event_id, item_id, said)
  values (new.event_id, new.item_id, concat_ws(' of ', new.quantity, new.reorder_threshold));
  return null;
end
$$;
create trigger chaos_records_tasks after insert on public.reorder_tasks for each row execute function chaos.record_task();

create table chaos.deals (
  place bigint generated always as identity primary key,
  opportunity_id uuid not null,
  old_stage text,
  stage text not null,
  amount numeric not null,
  transaction text not null default pg_current_xact_id()::text,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_deal() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.deals (opportunity_id, old_stage, stage, amount)
  values (new.id, case tg_op when 'UPDATE' then old.stage end, new.stage, new.amount);
  return null;
end
$$;
create trigger chaos_records_inserts after insert on public.opportunities
  for each row execute function chaos.record_deal();
create trigger chaos_records_updates after update on public.opportunities
  for each row when ((old.stage, old.amount) is distinct from (new.stage, new.amount))
  execute function chaos.record_deal();

create table chaos.told_deals (
  place bigint generated always as identity primary key,
  event_id uuid not null,
  opportunity_id uuid not null,
  version bigint not null,
  said text not null,
  at timestamptz not null default clock_timestamp()
);

create function chaos.record_told_deal() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into chaos.told_deals (event_id, opportunity_id, version, said)
  values (
    new.event_id, new.opportunity_id::uuid, new.version,
    concat_ws(' ', coalesce(new.old_stage, 'new'), 'to', new.new_stage, 'of', new.amount)
  );
  return null;
end
$$;
create trigger chaos_records_told after insert on public.stage_transitions
  for each row execute function chaos.record_told_deal();
