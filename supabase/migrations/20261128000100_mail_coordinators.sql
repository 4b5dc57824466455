-- Purpose: mails notifications to coordinators: the topic notification-mail, off until you turn it on.
-- Locks:   none on existing tables, until outbox.mail_notifications(true) watches public.notifications.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function outbox.mail_notifications(enabled boolean) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  unreachable bigint;
begin
  if not enabled then
    perform outbox.feed_by(t.topic, 'webhook') from outbox.topics t where t.topic = 'notification-mail';
    return 'Off: no further notification is mailed. Mails that are queued already still go out.';
  end if;

  if not exists (
    select from pg_attribute a
    where a.attrelid = 'public.coordinators'::regclass and a.attname = 'email' and not a.attisdropped
  ) then
    raise exception 'public.coordinators has no column email' using errcode = 'undefined_column',
      hint = 'Run: alter table public.coordinators add column email text';
  end if;
  perform outbox.watch(
    topic => 'notification-mail',
    relation => 'public.notifications',
    key => 'coordinator_id',
    columns => '{id,event_id,mentor_id,transition,version}',
    operations => '{INSERT}',
    -- Without name and address, which are read when the mail is sent.
    payload => $payload$jsonb_build_object(
      'id', new.id, 'event_id', new.event_id, 'mentor_id', new.mentor_id::text, 'coordinator_id', new.coordinator_id,
      'transition', new.transition, 'version', new.version
    )$payload$,
    function_url => 'outbox_send_email_url'
  );
  -- Raises an error if Vault lacks something, and says how to store it.
  perform outbox.handler_address('notification-mail');

  select count(*) into unreachable from public.coordinators c where coalesce(to_jsonb(c) ->> 'email', '') = '';
  return 'On: each notification is mailed to its coordinator from now on.' || case when unreachable > 0 then
    format(' %s coordinators have no address: a notification of theirs becomes a dead letter.', unreachable)
  else '' end;
end
$$;
comment on function outbox.mail_notifications(boolean) is
  'Turns mail to coordinators on or off, and says so. If something is missing, the error says what.';

create or replace function outbox.mentor_name(mentor_id text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  t outbox.topics;
  mentor jsonb;
begin
  select x.* into t from outbox.topics x where x.topic = 'pause-status';
  execute format('select to_jsonb(m) from %s m where m.%I = $1::%s', t.relation, t.key_column, t.key_type)
  into mentor using mentor_id;
  return coalesce(mentor ->> 'full_name', mentor ->> 'name', mentor ->> 'display_name');
exception when others then
  -- A mail without a name is better than none.
  return null;
end
$$;
comment on function outbox.mentor_name(text) is
  'The mentor''s name in mails; null if their table has none. Replace this function if the name is elsewhere.';

create or replace function public.notification_mail_prepare(mails jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' set jit = off as $$
declare
  -- An hour less than Resend keeps an idempotency key.
  safe_since constant timestamptz := clock_timestamp() - interval '23 hours';
  first_tried uuid[];
begin
  perform outbox.require_array(mails, 'mails');
  delete from outbox.receipts r
  using jsonb_to_recordset(mails) as m ("eventId" uuid, "coordinatorId" uuid, force boolean)
  where r.event_id = m."eventId" and r.receipt ? 'intent' and (
    m.force and r.created_at < safe_since
    -- A coordinator who was deleted gets no mail, and their address is not kept.
    or not exists (select from public.coordinators k where k.id = m."coordinatorId")
  );

  -- Every try sends what is stored now, because Resend refuses a second text with the same key.
  with noted as (
    insert into outbox.receipts (event_id, fingerprint, receipt)
    select m."eventId", 'notification-mail', jsonb_build_object('intent', jsonb_build_object(
      'to', c.address,
      'coordinator', c.person ->> 'name',
      'mentor', outbox.mentor_name(m."mentorId"),
      'since', coalesce(outbox.iso(p.occurred_at), m."occurredAt")
    ))
    from jsonb_to_recordset(mails) as m (
      "eventId" uuid, "coordinatorId" uuid, "mentorId" text, "pauseEventId" uuid, "occurredAt" text
    )
    join lateral (
      select to_jsonb(k) as person, btrim(to_jsonb(k) ->> 'email', ' ' || chr(9) || chr(10) || chr(13)) as address
      from public.coordinators k
      where k.id = m."coordinatorId"
    ) as c on true
    left join outbox.events p on p.event_id = m."pauseEventId"
    where c.address <> ''
    order by m."eventId"
    on conflict (event_id) do nothing
    returning event_id
  )
  select array_agg(n.event_id) into first_tried from noted n;

  return (
    select coalesce(jsonb_agg(case
      when r.receipt is null then jsonb_build_object('outcome', case
        when exists (select from public.coordinators k where k.id = (m.mail ->> 'coordinatorId')::uuid) then 'missing'
        else 'no_coordinator'
      end)
      when not r.receipt ? 'intent' then jsonb_build_object('outcome', 'mailed', 'receipt', r.receipt)
      when r.created_at < safe_since then
        jsonb_build_object('outcome', 'perhaps_mailed', 'firstTriedAt', outbox.iso(r.created_at))
      else jsonb_build_object(
        'outcome', 'ready', 'facts', r.receipt -> 'intent', 'isFirst', coalesce(r.event_id = any(first_tried), false)
      )
    end order by m.place), '[]')
    from jsonb_array_elements(mails) with ordinality as m (mail, place)
    left join outbox.receipts r on r.event_id = (m.mail ->> 'eventId')::uuid
  );
end
$$;
comment on function public.notification_mail_prepare(jsonb) is
  'Records that these notifications are about to be mailed. Answers in the same order: ready (facts: address, names and '
  'time; isFirst if no earlier try may have sent it), mailed (receipt), perhaps_mailed (first tried more than 23 hours '
  'ago, and not forced), missing (no address) or no_coordinator.';

create or replace function public.notification_mail_record(results jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' set jit = off as $$
begin
  perform outbox.require_array(results, 'results');
  insert into outbox.receipts as r (event_id, fingerprint, receipt)
  select x."eventId", 'notification-mail', jsonb_build_object('messageId', x."messageId")
  from jsonb_to_recordset(results) as x ("eventId" uuid, "messageId" text)
  where x."messageId" is not null
  order by x."eventId"
  on conflict (event_id) do update
  set receipt = excluded.receipt
  where r.receipt ? 'intent';

  delete from outbox.receipts r
  using jsonb_to_recordset(results) as x ("eventId" uuid, "messageId" text)
  where r.event_id = x."eventId" and x."messageId" is null and r.receipt ? 'intent';
end
$$;
comment on function public.notification_mail_record(jsonb) is
  'Stores the message ids of mailed notifications. Deletes the record of a try without one: that mail was certainly not '
  'sent, so the next try reads address and names again.';

revoke all on all functions in schema outbox from public, anon, authenticated, service_role;
revoke all on function public.notification_mail_prepare(jsonb), public.notification_mail_record(jsonb)
  from public, anon, authenticated;
grant execute on function public.notification_mail_prepare(jsonb), public.notification_mail_record(jsonb) to service_role;

notify pgrst, 'reload schema';
