-- Purpose: what the task process-order needs: receipts of its steps, a stock check and a reservation.
-- Locks:   public.inventory_items, access exclusive for an instant: a column without a default.
-- Undo:    drop function public.order_reserve(uuid, uuid), public.order_shortage(uuid), public.low_stock();
--          drop table public.job_steps; drop the tables below that this migration created.

-- The same tables as in the examples order-created and inventory-low, in case the project has neither.
create table if not exists public.orders (
  id uuid default gen_random_uuid(),
  customer_name text,
  customer_email text,
  customer_address text,
  currency text not null default 'EUR',
  locale text not null default 'en',
  total numeric not null,
  status text not null default 'pending',
  invoice_url text,
  confirmation_sent_at timestamptz,
  created_at timestamptz not null default now(),
  constraint orders_pkey primary key (id)
);

create table if not exists public.order_items (
  id uuid default gen_random_uuid(),
  order_id uuid not null,
  position integer not null,
  sku text,
  description text not null,
  quantity integer not null,
  unit_price numeric not null,
  constraint order_items_pkey primary key (id),
  constraint order_items_belong_to_an_order foreign key (order_id) references public.orders (id) on delete cascade
);

create table if not exists public.inventory_items (
  id uuid default gen_random_uuid(),
  name text not null,
  quantity numeric not null default 0,
  reorder_threshold numeric not null default 0,
  constraint inventory_items_pkey primary key (id)
);
alter table public.inventory_items add column if not exists sku text;
create unique index if not exists inventory_items_sku_idx on public.inventory_items (sku);
comment on column public.inventory_items.sku is
  'Matches order_items.sku. An order item without one is not stocked.';

create table if not exists public.job_steps (
  key text,
  receipt jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  constraint job_steps_pkey primary key (key)
);
comment on table public.job_steps is
  'Finished steps of jobs, by event id and step. Neither a retry nor a redrive repeats one.';

alter table public.orders enable row level security;
alter table public.order_items enable row level security;
alter table public.inventory_items enable row level security;
alter table public.job_steps enable row level security;
revoke all on table public.job_steps from public, anon, authenticated, service_role;
grant select on table public.orders, public.order_items to service_role;
grant select, insert, update on table public.job_steps to service_role;

create or replace function public.order_shortage(order_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((
    select jsonb_agg(jsonb_build_object(
      'sku', wanted.sku, 'wanted', wanted.quantity::text, 'available', coalesce(i.quantity, 0)::text
    ) order by wanted.sku)
    from (
      select o.sku, sum(o.quantity) as quantity
      from public.order_items o
      where o.order_id = order_shortage.order_id and o.sku is not null
      group by o.sku
    ) as wanted
    left join public.inventory_items i on i.sku = wanted.sku
    where coalesce(i.quantity, 0) < wanted.quantity
  ), '[]');
end
$$;
comment on function public.order_shortage(uuid) is
  'Items that an order wants more of than are in stock: an array of sku, wanted and available.';

create or replace function public.order_reserve(event_id uuid, order_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  step constant text := order_reserve.event_id || '/reserve';
  shortage jsonb;
begin
  -- In a fixed order, so that orders of the same items cannot deadlock.
  perform
  from public.inventory_items i
  where i.sku in (select o.sku from public.order_items o where o.order_id = order_reserve.order_id)
  order by i.sku
  for update;

  if exists (select from public.job_steps s where s.key = step) then
    return jsonb_build_object('outcome', 'reserved', 'replayed', true);
  end if;
  shortage := public.order_shortage(order_reserve.order_id);
  if shortage <> '[]' then
    return jsonb_build_object('outcome', 'out_of_stock', 'shortage', shortage);
  end if;

  insert into public.job_steps (key) values (step) on conflict do nothing;
  if not found then
    return jsonb_build_object('outcome', 'reserved', 'replayed', true);
  end if;
  update public.inventory_items i
  set quantity = i.quantity - wanted.quantity
  from (
    select o.sku, sum(o.quantity) as quantity
    from public.order_items o
    where o.order_id = order_reserve.order_id
    group by o.sku
  ) as wanted
  where i.sku = wanted.sku;
  return jsonb_build_object('outcome', 'reserved', 'replayed', false);
end
$$;
comment on function public.order_reserve(uuid, uuid) is
  'Takes an order''s items from the stock, all or none, once per event: reserved (replayed) or out_of_stock (shortage).';

create or replace function public.low_stock() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((
    select jsonb_agg(jsonb_build_object(
      'name', i.name, 'quantity', i.quantity::text, 'reorder_threshold', i.reorder_threshold::text
    ) order by i.name, i.id)
    from public.inventory_items i
    where i.quantity < i.reorder_threshold
  ), '[]');
end
$$;
comment on function public.low_stock() is
  'Items below their reorder threshold. Numbers are text, so none becomes a float.';

revoke all on function public.order_shortage(uuid), public.order_reserve(uuid, uuid), public.low_stock()
  from public, anon, authenticated;
grant execute on function public.order_shortage(uuid), public.order_reserve(uuid, uuid), public.low_stock()
  to service_role;

notify pgrst, 'reload schema';
