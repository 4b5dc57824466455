-- Purpose: the topic inventory-low: an item's quantity falls below its reorder threshold.
-- Locks:   public.inventory_items, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch('inventory-low'); drop function public.reorder_item(jsonb);
--          drop the tables below that this migration created.

create table if not exists public.suppliers (
  id uuid default gen_random_uuid(),
  name text not null,
  email text,
  pack_size numeric not null default 1,
  constraint suppliers_pkey primary key (id),
  constraint suppliers_pack_size_is_positive check (pack_size > 0)
);
comment on table public.suppliers is 'Suppliers of items, and the size of their packs.';

-- No check of the quantity, because an invalid row must not fail the sale that wrote it.
create table if not exists public.inventory_items (
  id uuid default gen_random_uuid(),
  name text not null,
  quantity numeric not null default 0,
  reorder_threshold numeric not null default 0,
  supplier_id uuid,
  constraint inventory_items_pkey primary key (id),
  constraint inventory_items_supplier_id_fkey foreign key (supplier_id) references public.suppliers (id)
);
comment on table public.inventory_items is 'The stock. Below its threshold, an item is reordered.';

create table if not exists public.inventory_managers (
  id uuid default gen_random_uuid(),
  name text not null,
  constraint inventory_managers_pkey primary key (id)
);
comment on table public.inventory_managers is 'Who is notified when an item runs low.';

create table if not exists public.reorder_tasks (
  event_id uuid,
  item_id uuid not null,
  quantity numeric not null,
  reorder_threshold numeric not null,
  priority text not null,
  supplier_id uuid,
  suggested_quantity numeric not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint reorder_tasks_pkey primary key (event_id),
  constraint reorder_tasks_priority_is_known check (priority in ('normal', 'urgent'))
);
comment on table public.reorder_tasks is 'One task for each time that an item fell below its threshold.';
comment on column public.reorder_tasks.suggested_quantity is
  'Brings the stock to twice the threshold, in whole packs of the supplier.';

create table if not exists public.inventory_notifications (
  event_id uuid,
  manager_id uuid,
  message text not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint inventory_notifications_pkey primary key (event_id, manager_id)
);
comment on table public.inventory_notifications is 'Notifications to the inventory managers.';

alter table public.suppliers enable row level security;
alter table public.inventory_items enable row level security;
alter table public.inventory_managers enable row level security;
alter table public.reorder_tasks enable row level security;
alter table public.inventory_notifications enable row level security;

create or replace function public.reorder_item(event jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  this_event constant uuid := event ->> 'eventId';
  task public.reorder_tasks;
  item_name text;
  managers integer;
begin
  -- A second caller with the same event waits here for the first one's commit. Then it finds the task.
  insert into public.reorder_tasks (
    event_id, item_id, quantity, reorder_threshold, priority, supplier_id, suggested_quantity
  )
  select
    this_event, i.id, low.quantity, low.threshold, case low.quantity when 0 then 'urgent' else 'normal' end, s.id,
    ceil((2 * low.threshold - low.quantity) / coalesce(s.pack_size, 1)) * coalesce(s.pack_size, 1)
  from (
    select (event ->> 'quantity')::numeric as quantity, (event ->> 'reorderThreshold')::numeric as threshold
  ) as low
  join public.inventory_items i on i.id = (event ->> 'itemId')::uuid
  left join public.suppliers s on s.id = i.supplier_id
  on conflict on constraint reorder_tasks_pkey do nothing;

  select t.* into task from public.reorder_tasks t where t.event_id = this_event;
  if not found then
    return jsonb_build_object('outcome', 'item_gone');
  end if;

  if not exists (select from public.inventory_notifications n where n.event_id = this_event) then
    select i.name into item_name from public.inventory_items i where i.id = task.item_id;
    insert into public.inventory_notifications (event_id, manager_id, message)
    select
      this_event, m.id,
      format('%s: %s left, %s to be ordered (%s)', item_name, task.quantity, task.suggested_quantity, task.priority)
    from public.inventory_managers m;
  end if;

  select count(*) into managers from public.inventory_notifications n where n.event_id = this_event;
  return jsonb_build_object(
    'outcome', 'ordered',
    'receipt', jsonb_build_object(
      'taskId', task.event_id,
      'priority', task.priority,
      'supplierId', task.supplier_id,
      'suggestedQuantity', task.suggested_quantity::text,
      'notified', managers
    )
  );
end
$$;
comment on function public.reorder_item(jsonb) is
  'Writes an event''s reorder task and notifies the managers, once per event id, in one transaction. Returns '
  'ordered, with a receipt, or item_gone.';
revoke all on function public.reorder_item(jsonb) from public, anon, authenticated;
grant execute on function public.reorder_item(jsonb) to service_role;

-- Decimals are sent as text, because a float has 15 digits. After a refused quantity, a low one is a new fall.
select outbox.watch(
  topic => 'inventory-low',
  relation => 'public.inventory_items',
  columns => '{quantity,reorder_threshold}',
  operations => '{INSERT,UPDATE}',
  condition => $$
    new.quantity < new.reorder_threshold
    and (old.quantity is null or old.quantity >= old.reorder_threshold or old.quantity < 0)
  $$,
  payload => $$jsonb_build_object(
    'id', new.id, 'quantity', new.quantity::text, 'reorder_threshold', new.reorder_threshold::text
  )$$,
  function_url => 'inventory_low_url'
);
