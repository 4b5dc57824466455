-- A stand-in for pg_net 0.20.4, which is a C background worker and cannot be built here.
--
-- The same: names, arguments, defaults, tables (unlogged), grants, the exceptions that abort a caller's transaction,
-- body stored as the bytes of jsonb::text, nothing sent before commit, nothing sent after rollback.
-- Not the same:
--   * the requests are sent by an ordinary process (local/net/worker.ts) that listens for notifications; a NOTIFY makes
--     committing transactions queue up for a moment, which the real latch does not;
--   * net.worker_restart() takes effect when the calling transaction commits;
--   * a transaction that called net.wake() cannot be prepared for two-phase commit;
--   * a URL is checked by a few rules instead of libcurl's parser; pg_net.* settings do not exist.
\echo Use "create extension pg_net" to load this file. \quit

create schema net;

create domain net.http_method as text
  check (lower(value) in ('get', 'post', 'delete'));

create type net.request_status as enum ('PENDING', 'SUCCESS', 'ERROR');

create type net.http_response as (status_code integer, headers jsonb, body text);

create type net.http_response_result as (status net.request_status, message text, response net.http_response);

create unlogged table net.http_request_queue (
  id bigserial,
  method net.http_method not null,
  url text not null,
  headers jsonb,
  body bytea,
  timeout_milliseconds int not null
);

create unlogged table net._http_response (
  id bigint,
  status_code integer,
  content_type text,
  headers jsonb,
  content text,
  timed_out bool,
  error_msg text,
  created timestamptz not null default now()
);

create index on net._http_response (created);

create function net._urlencode_string(string varchar) returns text
language plpgsql immutable strict as $$
declare
  bytes bytea := convert_to(string, 'UTF8');
  encoded text := '';
  letter text;
begin
  for position in 0 .. length(bytes) - 1 loop
    letter := encode(substr(bytes, position + 1, 1), 'escape');
    if letter !~ '^[A-Za-z0-9._~-]$' then
      letter := '%' || upper(encode(substr(bytes, position + 1, 1), 'hex'));
    end if;
    encoded := encoded || letter;
  end loop;
  return encoded;
end
$$;

-- What libcurl was built with; a request with any of them but http and https fails only when it is sent.
create function net._known_schemes() returns text[]
language sql immutable as $$
  select '{http,https,ws,wss,ftp,ftps,sftp,scp,file,smtp,smtps,imap,imaps,pop3,pop3s,telnet,tftp,dict,gopher,gophers,
    ldap,ldaps,mqtt,rtsp,smb,smbs}'::text[]
$$;

create function net._url_problem(url text) returns text
language plpgsql immutable set standard_conforming_strings = on as $$
declare
  scheme text := lower(substring(url from '^([A-Za-z0-9]+)://'));
  authority text := substring(url from '^[A-Za-z0-9]+://(?:[^/?#]*@)?([^/?#]*)');
  port text := substring(authority from '^(?:\[.*\]|[^:]*):(.*)$');
begin
  if scheme is null or scheme <> all (net._known_schemes()) then
    return 'Unsupported URL scheme';
  elsif url ~ '[[:cntrl:] ]' then
    return 'Malformed input to a URL function';
  elsif scheme <> 'file' and authority ~ '^(:|$)' then
    return 'No host part in the URL';
  elsif port !~ '^[0-9]*$' or ltrim(port, '0') ~ '[0-9]{6}' or lpad(port, 5, '0') > '65535' then
    return 'Port number was not a decimal number between 0 and 65535';
  end if;
  return null;
end
$$;

create function net._encode_url_with_params_array(url text, params_array text[]) returns text
language plpgsql immutable strict set standard_conforming_strings = on as $$
declare
  problem text := net._url_problem(url);
  address text := split_part(url, '#', 1);
  fragment text := substring(url from '#.*$');
  parameter text;
begin
  if problem is not null then
    raise exception using errcode = 'XX000', message = format('invalid URL "%s": %s', url, problem);
  end if;
  address := regexp_replace(address, '^([A-Za-z0-9]+://[^/?]*)(\?|$)', '\1/\2');
  foreach parameter in array params_array loop
    if parameter is not null then
      address := address || case
        when strpos(address, '?') = 0 then '?'
        when right(address, 1) in ('?', '&') then ''
        else '&'
      end || parameter;
    end if;
  end loop;
  return address || coalesce(fragment, '');
end
$$;

create function net._encode_params(params jsonb) returns text[]
language sql immutable as $$
  select coalesce(array_agg(net._urlencode_string(entry.key) || '=' || net._urlencode_string(entry.value)), '{}')
  from jsonb_each_text(params) as entry
$$;

create function net.wake() returns void
language sql as $$
  select pg_notify('pg_net_wake', '')
$$;

create function net.worker_restart() returns bool
language sql as $$
  select true from (select pg_notify('pg_net_restart', '')) as sent
$$;

create function net._worker_is_up() returns bool
language sql set standard_conforming_strings = on as $$
  select exists (select from pg_stat_activity as session where session.application_name like 'pg\_net %')
$$;

create function net.check_worker_is_up() returns void
language plpgsql as $$
begin
  if not net._worker_is_up() then
    raise exception 'the pg_net background worker is not up'
      using hint = 'The stand-in''s worker (local/net/worker.ts) is not connected: start it and try again.';
  end if;
end
$$;
comment on function net.check_worker_is_up() is 'raises an exception when the worker is not connected';

create function net.wait_until_running() returns void
language plpgsql as $$
begin
  while not net._worker_is_up() loop
    perform pg_sleep(0.02);
    perform pg_stat_clear_snapshot();
  end loop;
end
$$;
comment on function net.wait_until_running() is 'returns as soon as the worker is connected';

create function net.http_get(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds int default 5000
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  request_id bigint;
begin
  insert into net.http_request_queue as queue (method, url, headers, timeout_milliseconds)
  values ('GET', net._encode_url_with_params_array(url, net._encode_params(params)), headers, timeout_milliseconds)
  returning queue.id into request_id;
  perform net.wake();
  return request_id;
end
$$;

create function net.http_post(
  url text,
  body jsonb default '{}',
  params jsonb default '{}',
  headers jsonb default '{"Content-Type": "application/json"}',
  timeout_milliseconds int default 5000
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  request_id bigint;
  content_type text := (
    select entry.value from jsonb_each_text(headers) as entry where lower(entry.key) = 'content-type' limit 1
  );
begin
  if content_type is null then
    headers := headers || '{"Content-Type": "application/json"}';
  elsif content_type <> 'application/json' then
    raise exception 'Content-Type header must be "application/json"';
  end if;
  insert into net.http_request_queue as queue (method, url, headers, body, timeout_milliseconds)
  values (
    'POST',
    net._encode_url_with_params_array(url, net._encode_params(params)),
    headers,
    convert_to(body::text, 'UTF8'),
    timeout_milliseconds
  )
  returning queue.id into request_id;
  perform net.wake();
  return request_id;
end
$$;

create function net.http_delete(
  url text,
  params jsonb default '{}',
  headers jsonb default '{}',
  timeout_milliseconds int default 5000,
  body jsonb default null
) returns bigint
language plpgsql as $$
#variable_conflict use_variable
declare
  request_id bigint;
begin
  insert into net.http_request_queue as queue (method, url, headers, body, timeout_milliseconds)
  values (
    'DELETE',
    net._encode_url_with_params_array(url, net._encode_params(params)),
    headers,
    convert_to(body::text, 'UTF8'),
    timeout_milliseconds
  )
  returning queue.id into request_id;
  perform net.wake();
  return request_id;
end
$$;

create function net._await_response(request_id bigint) returns bool
language plpgsql as $$
begin
  while not exists (select from net._http_response as response where response.id = request_id) loop
    perform pg_sleep(0.05);
  end loop;
  return true;
end
$$;

create function net._http_collect_response(request_id bigint, async bool default true)
returns net.http_response_result
language plpgsql as $$
declare
  collected net._http_response;
begin
  if not async then
    perform net._await_response(request_id);
  end if;
  select response.* into collected from net._http_response as response where response.id = request_id;
  if collected is null or collected.error_msg is not null then
    return (
      'ERROR', coalesce(collected.error_msg, 'request matching request_id not found'), null
    )::net.http_response_result;
  end if;
  return (
    'SUCCESS', 'ok', (collected.status_code, collected.headers, collected.content)::net.http_response
  )::net.http_response_result;
end
$$;

-- The real function forgets to return its answer and always fails; a stand-in gains nothing by copying that.
create function net.http_collect_response(request_id bigint, async bool default true)
returns net.http_response_result
language plpgsql as $$
begin
  raise notice 'The net.http_collect_response function is deprecated.';
  return net._http_collect_response(request_id, async);
end
$$;

grant usage on schema net to public;
grant all on all sequences in schema net to public;
grant all on all tables in schema net to public;
