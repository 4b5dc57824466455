-- Purpose: the topic order-created, for new rows of the app's table public.orders.
-- Locks:   public.orders, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch('order-created');

select outbox.watch(
  'order-created', 'public.orders', columns => '{customer_id,total}', operations => '{INSERT}',
  function_url => 'order_created_url'
);
