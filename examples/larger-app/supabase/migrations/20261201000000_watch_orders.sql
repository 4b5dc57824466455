-- Purpose: the topic order-created: a row of public.orders, a table of the app's, is new.
-- Locks:   public.orders, share row exclusive: writers wait while its rows are read once.
-- Undo:    select outbox.unwatch('order-created');

select outbox.watch(
  'order-created', 'public.orders', columns => '{customer_id,total}', operations => '{INSERT}',
  function_url => 'order_created_url'
);
