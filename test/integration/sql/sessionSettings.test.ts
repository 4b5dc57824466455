import { randomUUID } from "node:crypto"
import { assert, beforeAll, describe, it } from "vitest"
import { asClaim, type Database, foreignEvent, type GivenEvent, openDatabase, storeSecret } from "../../support/sql.ts"

const SECRET = `whsec_${Buffer.from("a secret with s and s and s in it").toString("base64")}`
const URL = "http://127.0.0.1:9/functions/v1/pause-status-webhook-handler"

/** Each setting alone, and all of them at once. */
const oddities: Readonly<Record<string, string>> = {
  standard_conforming_strings: "off",
  backslash_quote: "off",
  escape_string_warning: "off",
  DateStyle: "SQL, DMY",
  TimeZone: "Pacific/Chatham",
  IntervalStyle: "sql_standard",
  bytea_output: "escape",
  extra_float_digits: "-15",
  quote_all_identifiers: "on",
  transform_null_equals: "on",
  array_nulls: "off",
  xmlbinary: "hex",
  plan_cache_mode: "force_generic_plan",
  row_security: "off",
  lock_timeout: "1h",
  default_transaction_isolation: "repeatable read",
  client_min_messages: "error",
  enable_indexscan: "off",
  enable_seqscan: "off",
  search_path: "pg_temp, public, pg_catalog"
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    return value.map(sorted).toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
  }
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, some]) => [key, sorted(some)]))
}

/** Known ids by name, other ids and every time that was now as such, and nothing in the order of random ids. */
const comparable = (value: unknown, names: ReadonlyMap<string, string>): unknown => {
  const uuids = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
  const times = new RegExp(`${new Date().getUTCFullYear()}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+]00:00)`, "g")
  return sorted(
    JSON.parse(
      JSON.stringify(value)
        .replaceAll(times, "a time")
        .replaceAll(/00-[0-9a-f]{32}-[0-9a-f]{16}-01/g, "a trace")
        .replaceAll(/"duration(_ms|Ms)":\d+/g, '"duration":"some"')
        .replaceAll(uuids, (uuid) => names.get(uuid) ?? "an id")
    )
  )
}

/** The whole life of a few events in one session; returns all that it leaves and answers. */
const lifeIn = async (database: Database, settings: Readonly<Record<string, string>>): Promise<unknown> => {
  await using client = await database.connect()
  for (const [name, value] of Object.entries(settings)) {
    await client.query("select pg_catalog.set_config($1, $2, false)", [name, value])
  }
  const row = async (text: string, values: ReadonlyArray<unknown> = []): Promise<Record<string, unknown>> => {
    const [first] = (await client.query<Record<string, unknown>>(text, [...values])).rows
    return first ?? assert.fail(`no row: ${text}`)
  }
  const [one, other, third] = [randomUUID(), randomUUID(), randomUUID()]
  await client.query(
    "insert into public.peer_mentor_profiles (id, status) values ($1, 'active'), ($2, 'active'), ($3, 'active')",
    [one, other, third]
  )
  await client.query("insert into public.mentor_coordinators select $1, id from public.coordinators", [one])
  for (const mentor of [one, other]) {
    for (const status of ["paused", "active"]) {
      await client.query("update public.peer_mentor_profiles set status = $2 where id = $1", [mentor, status])
    }
  }
  const eventOf = async (mentor: string, version: number) =>
    (
      await row(
        `select pg_catalog.jsonb_build_object(
           'eventId', event_id, 'mentorId', key,
           'transition', case record ->> 'status' when 'paused' then 'PAUSE' else 'RESUME' end,
           'oldStatus', old_record ->> 'status', 'newStatus', record ->> 'status',
           'occurredAt', outbox.body(q) ->> 'timestamp', 'version', version, 'source', source
         ) as event
         from outbox.events q where key = $1 and version = $2`,
        [mentor, version]
      )
    )["event"] as GivenEvent
  const events = [await eventOf(one, 1), await eventOf(other, 1)]
  const stock = foreignEvent({ mentorId: third, occurredAt: "2020-11-22T10:00:00.123456+00:00" })
  const answers: Array<unknown> = []
  const call = async (text: string, ...values: ReadonlyArray<unknown>) => {
    const { answer } = await row(`select ${text} as answer`, values)
    answers.push(answer)
    return answer as ReadonlyArray<Readonly<Record<string, unknown>>>
  }
  const claims = await call("public.outbox_claim($1)", JSON.stringify([...events, stock].map(asClaim)))
  await call("public.pause_status_notify($1)", JSON.stringify(events))
  const settlements = [
    { outcome: "completed", receipt: { notified: 1 } },
    { outcome: "released", kind: "permanent", message: "no \\ such 'mentor'" },
    { outcome: "released", kind: "transient", message: "later", retryAfterSeconds: 1.5 }
  ].map((settlement, place) =>
    Object.assign(settlement, { eventId: claims[place]?.["eventId"], token: claims[place]?.["token"] })
  )
  await call("public.outbox_settle($1, 'pause-status', 10)", JSON.stringify(settlements))
  await call("public.outbox_redrive('pause-status', $1, false, false)", events[1]?.eventId)
  await call(
    "public.outbox_list_events($1)",
    JSON.stringify({ topic: "pause-status", limit: 5, key: one, occurredFrom: "2020-01-01T00:00:00Z" })
  )
  await call("public.outbox_get_event('pause-status', $1, null)", events[0]?.eventId)
  await client.query("alter table public.peer_mentor_profiles disable trigger user")
  await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [third])
  await client.query("alter table public.peer_mentor_profiles enable trigger user")
  await call("outbox.reconcile()")
  await client.query("update outbox.events set next_attempt_at = now() where next_attempt_at < 'infinity'")
  await call("outbox.sweep()")
  await call("outbox.watch()")
  await call("public.outbox_erase('pause-status', $1)", events[0]?.eventId)

  await client.query("reset all")
  const tables = await row(
    `select
       (select jsonb_agg(to_jsonb(q))
        from outbox.events q) as events,
       (select jsonb_agg(to_jsonb(a)) from outbox.attempts a) as attempts,
       (select jsonb_agg(to_jsonb(d)) from outbox.dead_letters d) as letters,
       (select jsonb_agg(to_jsonb(s)) from outbox.keys s) as states,
       (select jsonb_agg(a.kind) from outbox.alerts a) as alerts,
       (select jsonb_agg(h.last_error) from outbox.heartbeats h) as errors`
  )
  const { rows: requests } = await client.query<{ url: string; valid: boolean; body: unknown }>(
    `select r.url, convert_from(r.body, 'UTF8')::jsonb as body,
       r.headers ->> 'webhook-signature' = outbox.sign(
         r.headers ->> 'webhook-id', (r.headers ->> 'webhook-timestamp')::bigint, convert_from(r.body, 'UTF8'), $1
       ) as valid
     from net.http_request_queue r order by r.id`,
    [SECRET]
  )
  const names = new Map<string, string>([one, other, third].map((mentor, place) => [mentor, `mentor ${place + 1}`]))
  const { rows: queue } = await client.query<{ event_id: string; key: string; version: string; source: string }>(
    "select event_id, key, version, source from outbox.events"
  )
  names.set(String(events[0]?.eventId), "the erased event")
  for (const { event_id, key, source, version } of queue) {
    names.set(event_id, `event ${version} of ${names.get(key)}, ${source}`)
  }
  return comparable({ answers, tables, requests }, names)
}

const lifeWith = async (settings: Readonly<Record<string, string>>): Promise<unknown> => {
  await using database = await openDatabase()
  await storeSecret(database, "outbox_function_url", URL)
  await storeSecret(database, "outbox_webhook_secret", SECRET)
  await database.rows("insert into public.coordinators (name) values ('Ada')")
  // Awaited, or the database would be dropped meanwhile.
  return await lifeIn(database, settings)
}

describe("a session's settings", () => {
  let usual: unknown
  beforeAll(async () => {
    usual = await lifeWith({})
  })

  it.for([...Object.entries(oddities), ["all of them", "at once"] as const])(
    "changes nothing: %s = %s",
    async ([name, value]) => {
      assert.deepStrictEqual(await lifeWith(name in oddities ? { [name]: value } : oddities), usual)
    }
  )
})
