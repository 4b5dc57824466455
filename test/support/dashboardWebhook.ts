import type { Database } from "./pipeline.ts"

// What hosted Supabase has, as far as a webhook made in its dashboard can tell: the trigger's arguments are the url, the
// method, the headers, the parameters and the timeout; the body is both rows and where they are.
const PLATFORM = `
  create schema supabase_functions;
  create table supabase_functions.hooks (
    id bigserial primary key,
    hook_table_id int not null,
    hook_name text not null,
    created_at timestamptz not null default now(),
    request_id bigint
  );
  create function supabase_functions.http_request() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
  begin
    insert into supabase_functions.hooks (hook_table_id, hook_name, request_id)
    values (tg_relid, tg_name, net.http_post(
      url => tg_argv[0],
      body => jsonb_build_object(
        'old_record', old, 'record', new, 'type', tg_op, 'table', tg_table_name, 'schema', tg_table_schema
      ),
      params => tg_argv[3]::jsonb,
      headers => tg_argv[2]::jsonb,
      timeout_milliseconds => coalesce(tg_argv[4], '1000')::int
    ));
    return new;
  end $$`

// A profile as a project has it, with much that is no business of ours; and none of our own triggers.
const PROFILES = `
  alter table public.peer_mentor_profiles
    add column bio text default 'Pausé, "zurück" im Frühling 🌱',
    add column languages text[] default '{en,de}',
    add column settings jsonb default '{"status": "active", "record": {"id": 1}, "n": 1e30}',
    add column rating numeric default 4.999999999999999999,
    add column born date default '1980-02-29';
  drop trigger outbox_pause_status_insert on public.peer_mentor_profiles;
  drop trigger outbox_pause_status_update on public.peer_mentor_profiles;
  drop trigger outbox_pause_status_key on public.peer_mentor_profiles`

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Gives the database a webhook made in the dashboard, with fixed headers, instead of this project's triggers. */
export const useDashboardWebhook = async (admin: Database, url: string, headers: Readonly<Record<string, string>>) => {
  await admin.rows(PLATFORM)
  await admin.rows(PROFILES)
  const args = [url, "POST", JSON.stringify({ "Content-Type": "application/json", ...headers }), "{}", "60000"]
  await admin.rows(
    `create trigger mentor_webhook after insert or update or delete on public.peer_mentor_profiles
     for each row execute function supabase_functions.http_request(${args.map(quoted).join(", ")})`
  )
}

interface Answer {
  readonly status: number
  readonly content: string
}

/** What the function answered to the webhooks so far, in the order in which they were asked for. */
export const answersOf = (database: Database): Promise<ReadonlyArray<Answer>> =>
  database.rows<Answer>(
    `select response.status_code as status, response.content
     from supabase_functions.hooks as hook
     join net._http_response as response on response.id = hook.request_id
     order by hook.id`
  )
