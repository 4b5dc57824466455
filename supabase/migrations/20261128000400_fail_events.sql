-- Purpose: a completed event whose work failed later, outside, becomes a dead letter.

select pg_advisory_xact_lock(hashtext('outbox migrations'));

create or replace function public.outbox_fail(topic text, event_id uuid, message text, receipt jsonb default '{}')
returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  event outbox.events;
begin
  select q.* into event
  from outbox.events q
  where q.event_id = outbox_fail.event_id and q.topic = outbox_fail.topic
  for update;
  if not found then
    return jsonb_build_object('outcome', 'unknown');
  elsif event.status = 'failed' then
    return jsonb_build_object('outcome', 'already_failed');
  elsif event.status in ('pending', 'processing') then
    -- The work ended before its receipt arrived, or it was started twice.
    return jsonb_build_object(
      'outcome', 'in_flight',
      'retryAfterSeconds', outbox.seconds_until(coalesce(event.lease_expires_at, clock_timestamp()))
    );
  elsif not event.receipt @> coalesce(outbox_fail.receipt, '{}') then
    return jsonb_build_object('outcome', 'stale');
  end if;

  perform outbox.end_attempts(jsonb_build_array(jsonb_build_object(
    'event_id', event.event_id, 'outcome', 'permanent', 'message', coalesce(message, 'its work failed')
  )));
  return jsonb_build_object('outcome', 'failed');
end
$$;
comment on function public.outbox_fail(text, uuid, text, jsonb) is
  'Turns a completed event into a dead letter, because the work started for it has failed. Returns failed, '
  'already_failed, in_flight (not settled yet: call again after retryAfterSeconds), stale (its receipt does not contain '
  'the given one: other work was started since) or unknown.';

revoke all on function public.outbox_fail(text, uuid, text, jsonb) from public, anon, authenticated;
grant execute on function public.outbox_fail(text, uuid, text, jsonb) to service_role;

notify pgrst, 'reload schema';
