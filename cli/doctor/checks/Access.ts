import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Check, inDatabase, needsKey, unseen } from "../Check.ts"
import { Facts } from "../Facts.ts"
import { ok, verdictOf, wrong } from "../Finding.ts"
import { Sources } from "../Sources.ts"

const Statement = Schema.Struct({ detail: Schema.String, cure: Schema.String })

const grants = inDatabase("grants", {
  query: `
    with roles as (select r.rolname, r.oid from pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role')),
    rpcs as (
      select p.oid, p.oid::regprocedure::text as name
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace and (starts_with(p.proname, 'outbox_') or p.proname = 'pause_status_notify')
    )
    select format('%s may enter the schema outbox.', r.rolname) as detail,
      format('Run: revoke all on schema outbox from public, %I', r.rolname) as cure
    from roles r where has_schema_privilege(r.oid, 'outbox', 'usage')
    union all
    select format('%s may read or write outbox.%s.', r.rolname, min(c.relname::text)),
      format('Run: revoke all on all tables in schema outbox from public, %I', r.rolname)
    from roles r
    join pg_class c on c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'v', 'p')
    where has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate')
    group by r.rolname
    union all
    select format('%s may call %s.', r.rolname, f.name),
      format('Run: revoke all on function %s from public, %I', f.name, r.rolname)
    from roles r cross join rpcs f where r.rolname <> 'service_role' and has_function_privilege(r.oid, f.oid, 'execute')
    union all
    select format('service_role may not call %s, so the function cannot.', f.name),
      format('Run: grant execute on function %s to service_role', f.name)
    from roles r cross join rpcs f where r.rolname = 'service_role' and not has_function_privilege(r.oid, f.oid, 'execute')
    union all
    select format('Row level security of outbox.%s was forced, which hides its rows from us.', c.relname),
      format('Run: alter table outbox.%I no force row level security', c.relname)
    from pg_class c where c.relnamespace = 'outbox'::regnamespace and c.relforcerowsecurity
    union all
    select format('%s lacks %s on public.%s, so nobody is notified.', o.name, w.verb, w.name),
      format('Run: grant %s on public.%I to %I', w.verb, w.name, o.name)
    from (values ('coordinators', 'select'), ('mentor_coordinators', 'select'), ('notifications', 'select'), ('notifications', 'insert'))
      as w (name, verb),
      (select pg_get_userbyid(p.proowner) as name from pg_proc p where p.oid = to_regprocedure('public.pause_status_notify(jsonb)')) o
    where not has_table_privilege(o.name, to_regclass('public.' || w.name), w.verb)`,
  row: Statement,
  judge: (rows) => verdictOf(rows, "the schema outbox is closed; service_role has its functions")
})

const functionSettings = (name: string, seen: string, query: string) =>
  inDatabase(name, { query, row: Statement, judge: (rows) => verdictOf(rows, seen) })

const ours = `
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where (n.nspname = 'outbox' or n.nspname = 'public' and (starts_with(p.proname, 'outbox_') or p.proname = 'pause_status_notify'))`

const searchPath = functionSettings(
  "search path",
  "no function finds another schema's objects",
  `select format('%s has no fixed search_path.', p.oid::regprocedure) as detail,
     format('Run: alter function %s set search_path = pg_catalog, pg_temp', p.oid::regprocedure) as cure
   ${ours} and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)`
)

// A disabled plan type costs 10^10, so LLVM would compile such a function's plans at each call.
const jit = functionSettings(
  "jit",
  "the hot functions are not compiled at each call",
  `select format('%s is compiled by LLVM at each call, some 18 ms.', p.oid::regprocedure) as detail,
     format('Run: alter function %s set jit = off', p.oid::regprocedure) as cure
   ${ours} and p.proconfig::text ~ '[{,"](enable_|plan_cache_mode)' and not p.proconfig @> array['jit=off']`
)

// PostgREST's code for a schema that it does not serve.
const notServed = 406

const dataApi: Check = {
  name: "data api",
  check: Effect.gen(function* () {
    const answer = yield* (yield* Facts).dataApi
    const { ask, project } = yield* Sources
    if (Option.isNone(answer) || Option.isNone(project)) return needsKey
    if (answer.value._tag === "Unreachable") {
      return wrong(
        `${project.value.url} does not answer: ${answer.value.detail}.`,
        "Correct --url, or restore the project."
      )
    }
    if (answer.value._tag === "Other") {
      const { status } = answer.value.reply
      return status === 401 || status === 403
        ? wrong(`The Data API refuses --key with ${status}.`, "Give a secret key of this project (sb_secret_…).")
        : wrong(
            `The Data API answers ${status} to public.outbox_health().`,
            "Add public to the exposed schemas; if it is there, run: notify pgrst, 'reload schema'"
          )
    }
    const { key, url } = project.value
    const headers = { apikey: key, "accept-profile": "outbox" }
    const reply = yield* Effect.option(ask({ method: "GET", url: `${url}/rest/v1/settings?limit=0`, headers }))
    if (Option.isNone(reply)) return yield* unseen
    // With any other status, the schema is served, and only its grants keep callers out.
    return reply.value.status === notServed
      ? ok("serves public, not outbox")
      : wrong(
          "The Data API serves the schema outbox.",
          "Remove outbox from the exposed schemas (Settings, Data API; [api] schemas in config.toml)."
        )
  })
}

export const checks: ReadonlyArray<Check> = [grants, searchPath, jit, dataApi]
