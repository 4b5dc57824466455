import type { Client } from "pg"
import type { Database } from "./sql.ts"

export const apiRoles = ["anon", "authenticated", "service_role"] as const
export type ApiRole = (typeof apiRoles)[number]

/** What service_role may execute; nobody may do anything else. */
export const rpcs = [
  "public.notification_mail_prepare(mails jsonb)",
  "public.notification_mail_record(results jsonb)",
  "public.outbox_claim(events jsonb)",
  "public.outbox_erase(topic text, event_id uuid)",
  "public.outbox_fail(topic text, event_id uuid, message text, receipt jsonb)",
  "public.outbox_get_event(topic text, event_id uuid, user_id uuid)",
  "public.outbox_health()",
  "public.outbox_list_events(query jsonb)",
  "public.outbox_metrics()",
  "public.outbox_redrive(topic text, event_id uuid, force boolean, dry_run boolean)",
  "public.outbox_resolve(topic text, event_id uuid, notes text, dry_run boolean)",
  "public.outbox_settle(settlements jsonb, topic text, take integer)",
  "public.pause_status_notify(events jsonb)"
]

export const relations = [
  "outbox.alerts",
  "outbox.attempts",
  "outbox.dead_letters",
  "outbox.deliveries",
  "outbox.erased",
  "outbox.events",
  "outbox.handled_keys",
  "outbox.health",
  "outbox.heartbeats",
  "outbox.keys",
  "outbox.latest_attempts",
  "outbox.receipts",
  "outbox.rechecks",
  "outbox.settings",
  "outbox.topics",
  "public.coordinators",
  "public.mentor_coordinators",
  "public.notifications",
  "public.peer_mentor_profiles"
]

interface Relation {
  readonly name: string
  /** Of pg_class: r for a table, v for a view, S for a sequence. */
  readonly kind: string
  readonly column: string
}

interface Routine {
  readonly name: string
  readonly call: string
}

/** Everything in our two schemas, whatever it is. */
export const relationsOf = (database: Database): Promise<Array<Relation>> =>
  database.rows<Relation>(
    `select n.nspname || '.' || c.relname as name, c.relkind as kind,
       (select quote_ident(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = 1) as column
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('public', 'outbox') and c.relkind not in ('i', 'I', 'c')
     order by n.nspname || '.' || c.relname collate "C"`
  )

export const routinesOf = (database: Database): Promise<Array<Routine>> =>
  database.rows<Routine>(
    `select * from (
       select n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name,
       format('%I.%I(%s)', n.nspname, p.proname, (
         -- Not a constant: a strict function of a constant null is never called, nor is its privilege looked at.
         select string_agg(format('(select null::%s)', format_type(t.oid, null)), ', ' order by t.place)
         from unnest(p.proargtypes::oid[]) with ordinality as t (oid, place)
       )) as call
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('public', 'outbox')
     ) as routines
     order by name collate "C"`
  )

/** Every way to touch them: what it is called, and the statement. */
export const waysTo = ({ name, kind, column }: Relation): ReadonlyArray<readonly [verb: string, statement: string]> =>
  kind === "S"
    ? [
        ["read", `select * from ${name}`],
        ["advance", `select nextval('${name}')`],
        ["set", `select setval('${name}', 1)`]
      ]
    : [
        ["select", `select * from ${name}`],
        ["insert", `insert into ${name} default values`],
        ["update", `update ${name} set ${column} = default`],
        ["delete", `delete from ${name}`],
        ["truncate", `truncate ${name}`],
        ["lock", `lock table ${name}`]
      ]

/** What comes of a statement: the SQLSTATE, or "allowed". Nothing of it stays. */
export const attempt = async (client: Client, role: ApiRole, statement: string): Promise<string> => {
  await client.query("savepoint attempt")
  try {
    await client.query(`set local role ${role}`)
    await client.query(statement)
    return "allowed"
  } catch (cause) {
    return cause instanceof Error && "code" in cause ? String(cause.code) : String(cause)
  } finally {
    await client.query("rollback to attempt")
  }
}
