-- Purpose: the topic order-created, for new orders.
-- Locks:   public.orders, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch('order-created');
--          drop function public.order_to_confirm(uuid), public.confirm_order(uuid);

create or replace function public.order_to_confirm(order_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- The total is text, because a float has 15 digits.
  return (
    select jsonb_build_object(
      'customer_name', o.customer_name, 'customer_email', o.customer_email, 'currency', o.currency, 'locale', o.locale,
      'total', o.total::text, 'status', o.status, 'is_mailed', o.confirmation_sent_at is not null
    )
    from public.orders o
    where o.id = order_to_confirm.order_id
  );
end
$$;
comment on function public.order_to_confirm(uuid) is 'The data of an order''s confirmation. Null if there is no order.';

create or replace function public.confirm_order(order_id uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update public.orders o
  set status = case o.status when 'pending' then 'confirmed' else o.status end, confirmation_sent_at = clock_timestamp()
  where o.id = confirm_order.order_id and o.confirmation_sent_at is null;
  return found;
end
$$;
comment on function public.confirm_order(uuid) is
  'Records that the confirmation was sent. False if it was already recorded, or the order is gone.';

revoke all on function public.order_to_confirm(uuid), public.confirm_order(uuid) from public, anon, authenticated;
grant execute on function public.order_to_confirm(uuid), public.confirm_order(uuid) to service_role;

-- Only the id is sent. The rest is read when the event is handled, so that you can correct a row and redrive its event.
select outbox.watch(
  topic => 'order-created',
  relation => 'public.orders',
  columns => '{id}',
  operations => '{INSERT}',
  function_url => 'order_created_url'
);
