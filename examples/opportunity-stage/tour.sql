-- Three opportunities.
insert into opportunities (name, amount)
values ('Acme', 12500.50), ('Globex', 90071992547409930.01), ('Initech', 800);

-- One is won, one is lost, and one moves on.
update opportunities
set stage = case name
  when 'Acme' then 'closed_won'
  when 'Globex' then 'proposal'
  else 'closed_lost'
end;

-- It grows by a cent, and moves back.
update opportunities set amount = amount + 0.01 where name = 'Globex';

update opportunities set stage = 'qualification' where name = 'Globex';

-- The history.
select o.name, t.old_stage as "from", t.new_stage as "to",
  t.is_progression as progress
from stage_transitions t
join opportunities o on o.id::text = t.opportunity_id
order by t.occurred_at, t.opportunity_id, t.version;

-- The figures, which were counted in the same transactions.
select stage, opportunities, value from pipeline_stages order by position;

select * from sales_metrics;

-- An unknown stage becomes a dead letter that names the stages.
update opportunities set stage = 'legal' where name = 'Globex';

-- Add the stage, and redrive the event.
insert into pipeline_stages (stage, position) values ('legal', 10);

select outbox.redrive(event_id) ->> 'outcome' as outcome
from outbox.events where status = 'failed';

select stage, opportunities, value
from pipeline_stages where opportunities > 0 order by position;
