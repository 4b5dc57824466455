-- A supplier, a manager, and two items with enough in stock.
with supplier as (
  insert into suppliers (name, pack_size) values ('Bolts & Co', 12)
  returning id
), manager as (
  insert into inventory_managers (name) values ('Grace')
)
insert into inventory_items (name, quantity, reorder_threshold, supplier_id)
select item, 40, 10, id
from supplier, unnest('{Bolt M8,Nut M8}'::text[]) as item;

-- Bolts are sold, and fall below the threshold. That is an event.
update inventory_items set quantity = 7 where name = 'Bolt M8';

-- They keep falling. That is no event, so nobody is asked twice.
update inventory_items set quantity = 2 where name = 'Bolt M8';

-- The last nuts are sold. That is urgent.
update inventory_items set quantity = 0 where name = 'Nut M8';

-- What the function wrote, in one transaction per event.
select i.name as item, t.quantity as "left", t.priority, s.name as supplier,
  t.suggested_quantity as suggested
from reorder_tasks t
join inventory_items i on i.id = t.item_id
join suppliers s on s.id = t.supplier_id
order by t.created_at;

select m.name as manager, n.message
from inventory_notifications n
join inventory_managers m on m.id = n.manager_id
order by n.created_at;

-- An invalid quantity becomes a dead letter that says why.
insert into inventory_items (name, quantity, reorder_threshold)
values ('Washer', -3, 10);

-- Once corrected, it is an event again.
update inventory_items set quantity = 3 where name = 'Washer';
