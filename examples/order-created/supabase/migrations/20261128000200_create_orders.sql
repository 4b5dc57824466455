-- Purpose: orders and their items, for the example order-created. If the project already has these tables, they are
--          checked, but never altered, and their security stays as it is.
-- Locks:   none on existing tables.
-- Undo:    drop table public.order_items, public.orders (only if made here).

do $$
begin
  -- Values are checked when the invoice is made, so that an invalid row becomes a dead letter that says why.
  if to_regclass('public.orders') is null then
    create table public.orders (
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
      constraint orders_pkey primary key (id),
      constraint orders_status_is_known check (status in ('pending', 'confirmed', 'cancelled'))
    );
    alter table public.orders enable row level security;
    revoke all on table public.orders from public, anon, authenticated, service_role;
    grant select, insert, update on table public.orders to service_role;
    comment on table public.orders is 'What a customer ordered.';
    comment on column public.orders.customer_address is 'As written on the invoice, with line breaks.';
    comment on column public.orders.currency is 'ISO 4217, such as EUR.';
    comment on column public.orders.locale is 'BCP 47, such as de-AT: the language of the invoice and its numbers.';
    comment on column public.orders.total is 'The sum of the items, each rounded to the digits of the currency.';
    comment on column public.orders.invoice_url is 'A signed URL of the invoice, written by generate-pdf.';
  end if;

  if to_regclass('public.order_items') is null then
    create table public.order_items (
      id uuid default gen_random_uuid(),
      order_id uuid not null,
      position integer not null,
      sku text,
      description text not null,
      quantity integer not null,
      unit_price numeric not null,
      constraint order_items_pkey primary key (id),
      constraint order_items_belong_to_an_order foreign key (order_id) references public.orders (id) on delete cascade,
      constraint order_items_have_their_own_position unique (order_id, position)
    );
    alter table public.order_items enable row level security;
    revoke all on table public.order_items from public, anon, authenticated, service_role;
    grant select, insert on table public.order_items to service_role;
    comment on table public.order_items is 'One line of an order.';
    comment on column public.order_items.unit_price is 'In the currency of the order. A discount is negative.';
  end if;
end
$$;

-- The columns that the functions read and write.
do $$
declare
  lacks text;
begin
  select string_agg(
    format('%s.%s', wanted.relation, wanted.name), ', ' order by wanted.relation collate "C" desc, wanted.name
  ) into lacks
  from (
    values
      ('public.orders', '{id,customer_name,customer_email,customer_address,currency,locale,total,status,invoice_url}'::text[]),
      ('public.orders', '{confirmation_sent_at,created_at}'),
      ('public.order_items', '{order_id,position,sku,description,quantity,unit_price}')
  ) as requirement (relation, names)
  cross join unnest(requirement.names) as name
  cross join lateral (values (requirement.relation, name)) as wanted (relation, name)
  where not exists (
    select
    from pg_attribute a
    where a.attrelid = to_regclass(wanted.relation) and a.attname = wanted.name and a.attnum > 0 and not a.attisdropped
  );

  if lacks is not null then
    raise exception 'The tables of orders lack %', lacks
      using errcode = 'undefined_column',
      hint = 'Add the columns, then apply the migrations again.';
  end if;
end
$$;

notify pgrst, 'reload schema';
