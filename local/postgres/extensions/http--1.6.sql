-- A stand-in for pgsql-http 1.6, which is C around libcurl and cannot be built here.
--
-- The same: types, names and arguments of what is here, the default time limit of five seconds, a call that returns
-- when the answer is complete whether or not the caller commits, errors instead of answers when there is none.
-- Not the same:
--   * the call is made by an ordinary process (local/http/worker.ts); it gets there over a connection of its own to the
--     database postgres, because a caller's row is seen by nobody before its commit;
--   * only http(), http_get(), http_post() and http_header() exist, and of the curl options only the time limits;
--   * the words of an error are libcurl's, without the numbers that libcurl adds to some.
\echo Use "create extension http" to load this file. \quit

create domain http_method as text;
create domain content_type as text check (value ~ '^\S+/\S+');
create type http_header as (field varchar, value varchar);
create type http_request as (
  method http_method, uri varchar, headers http_header[], content_type varchar, content varchar
);
create type http_response as (status integer, content_type varchar, headers http_header[], content varchar);

-- dblink's own C functions, so that its extension, which is not trusted, need not be installed.
create function _http_connect(name text, conninfo text) returns text
language c strict as '$libdir/dblink', 'dblink_connect';
create function _http_query(name text, statement text) returns setof record
language c strict as '$libdir/dblink', 'dblink_record';
create function _http_disconnect(name text) returns text
language c strict as '$libdir/dblink', 'dblink_disconnect';

create function http_header(field varchar, value varchar) returns http_header
language sql as $$
  select row(field, value)::@extschema@.http_header
$$;

create function http_set_curlopt(curlopt varchar, value varchar) returns boolean
language plpgsql as $$
begin
  case upper(curlopt)
    when 'CURLOPT_TIMEOUT_MS' then perform set_config('http.curlopt_timeout_ms', value::integer::text, false);
    when 'CURLOPT_TIMEOUT' then perform set_config('http.curlopt_timeout_ms', (value::integer * 1000)::text, false);
    -- On loopback a connection is there or refused at once.
    when 'CURLOPT_CONNECTTIMEOUT_MS', 'CURLOPT_CONNECTTIMEOUT' then null;
    else raise exception 'curl option "%" is not available for run-time configuration', curlopt;
  end case;
  return true;
end
$$;

create function http_reset_curlopt() returns boolean
language plpgsql as $$
begin
  perform set_config('http.curlopt_timeout_ms', '', false);
  return true;
end
$$;

create function _http_call(request jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  connection constant text := 'stand-in http';
  patience constant interval :=
    make_interval(secs => (request ->> 'timeout')::float8 / 1000) + interval '3 seconds';
  given_up constant timestamptz := clock_timestamp() + patience;
  id bigint;
  outcome jsonb;
begin
  -- The password comes from the server's own password file, which only the server can read.
  perform @extschema@._http_connect(connection, format(
    'host=127.0.0.1 port=%s dbname=postgres user=supabase_admin application_name=%L',
    current_setting('port'), connection
  ));
  begin
    select called.id into id
    from @extschema@._http_query(connection, format(
      'with called as (insert into stand_in_http.calls (request) values (%L) returning id) '
        'select called.id, pg_notify(''stand_in_http'', '''')::text from called', request
    )) as called (id bigint, told text);
    while outcome is null loop
      if clock_timestamp() > given_up then
        raise exception 'the stand-in for http got no answer: look for local/http/worker.ts';
      end if;
      perform pg_sleep(0.002);
      select answered.outcome into outcome
      from @extschema@._http_query(connection, format(
        'delete from stand_in_http.calls where id = %s and outcome is not null returning outcome', id
      )) as answered (outcome jsonb);
    end loop;
  -- A cancelled caller, too, must not leave its connection behind.
  exception when others or query_canceled then
    perform @extschema@._http_disconnect(connection);
    raise;
  end;
  perform @extschema@._http_disconnect(connection);
  return outcome;
end
$$;

create function http(request http_request) returns http_response
language plpgsql as $$
declare
  outcome jsonb;
begin
  -- As the caller, whose time limit it is.
  outcome := @extschema@._http_call(jsonb_build_object(
    'method', request.method,
    'url', request.uri,
    'timeout', coalesce(nullif(current_setting('http.curlopt_timeout_ms', true), ''), '5000')::integer,
    'headers', (
      select coalesce(jsonb_agg(h.field || ': ' || h.value), '[]')
      from (
        select given.field, given.value from unnest(request.headers) as given
        union all
        select 'Content-Type', request.content_type where request.content_type is not null
      ) as h
    ),
    'body', request.content
  ));
  if outcome ->> 'error' is not null then
    raise exception using errcode = 'XX000', message = outcome ->> 'error';
  end if;
  return row(
    (outcome ->> 'status')::integer,
    outcome ->> 'contentType',
    array(
      select row(header.key, header.value)::@extschema@.http_header from jsonb_each_text(outcome -> 'headers') as header
    ),
    outcome ->> 'content'
  )::@extschema@.http_response;
end
$$;

create function http_get(uri varchar) returns http_response
language sql as $$
  select @extschema@.http(row('GET', uri, null, null, null)::@extschema@.http_request)
$$;

create function http_post(uri varchar, content varchar, content_type varchar) returns http_response
language sql as $$
  select @extschema@.http(row('POST', uri, null, content_type, content)::@extschema@.http_request)
$$;

revoke all on function _http_connect(text, text), _http_query(text, text), _http_disconnect(text) from public;
