-- A customer orders. Order and items are one transaction, and the event is sent at its commit.
with new_order as (
  insert into orders (customer_name, customer_email, currency, locale, total)
  values ('Ada Lovelace', 'ada@example.com', 'EUR', 'en-IE', 38.50)
  returning id
)
insert into order_items
  (order_id, position, description, quantity, unit_price)
select id, 1, 'Coffee, 1 kg', 2, 16.00 from new_order
union all
select id, 2, 'Filters', 1, 6.50 from new_order;

-- The order is confirmed. The link leads to the invoice. The mail is on the page below.
select status, to_char(confirmation_sent_at, 'HH24:MI:SS') as mailed,
  left(invoice_url, 40) || '…' as invoice
from orders;

-- An order without an address becomes a dead letter that says why.
with new_order as (
  insert into orders (customer_name, total) values ('Nobody', 1.00)
  returning id
)
insert into order_items
  (order_id, position, description, quantity, unit_price)
select id, 1, 'Sugar', 1, 1.00 from new_order;

-- Add the address, and redrive the event.
update orders set customer_email = 'nobody@example.com'
where customer_name = 'Nobody';

select outbox.redrive(event_id) ->> 'outcome' as outcome
from outbox.events where status = 'failed';

select customer_name, status,
  to_char(confirmation_sent_at, 'HH24:MI:SS') as mailed
from orders;
