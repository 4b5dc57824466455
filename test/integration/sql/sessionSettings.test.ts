import { assert, beforeAll, describe, it } from "vitest"
import {
  bury,
  claim,
  complete,
  createMentor,
  type Database,
  eventOf,
  functionUrl,
  makeDue,
  openDatabase,
  release,
  setStatus,
  storeSecret,
  sweep
} from "../../support/sql.ts"

/** How a session may read, write, plan and keep values; some came with a later version. */
const SETTINGS: ReadonlyArray<ReadonlyArray<string>> = [
  ["standard_conforming_strings = off", "escape_string_warning = on", "backslash_quote = off"],
  ["standard_conforming_strings = off", "escape_string_warning = off", "backslash_quote = on"],
  ["datestyle = 'SQL, DMY'", "timezone = 'Asia/Kathmandu'", "intervalstyle = sql_standard"],
  ["datestyle = 'German'", "timezone = 'America/St_Johns'", "intervalstyle = iso_8601"],
  ["datestyle = 'Postgres, MDY'", "timezone = 'UTC-14'", "intervalstyle = postgres_verbose"],
  ["bytea_output = escape", "extra_float_digits = -15", "xmloption = document", "xmlbinary = hex"],
  ["quote_all_identifiers = on", "transform_null_equals = on", "array_nulls = off"],
  ["plan_cache_mode = force_generic_plan", "enable_indexscan = off", "enable_nestloop = off", "jit = on"],
  ["plan_cache_mode = force_custom_plan", "enable_hashjoin = off", "enable_sort = off", "join_collapse_limit = 1"],
  ["row_security = off", "check_function_bodies = off", "synchronous_commit = off"],
  ["default_transaction_isolation = serializable", "default_transaction_deferrable = on"],
  ["default_transaction_isolation = 'repeatable read'", "work_mem = '64kB'", "from_collapse_limit = 1"],
  ["client_min_messages = error", "lc_monetary = 'C'", "lc_numeric = 'C'", "lc_time = 'C'"],
  ["search_path = pause_status, net, public", "default_toast_compression = pglz"],
  ["search_path = ''", "restrict_nonsystem_relation_kind = ''", "gin_fuzzy_search_limit = 1"]
]

// The letter that \s would be without its backslash, and others that a backslash makes into something else.
const SECRETS = ["sssssnnnnntttttbbbbbfffffrrrrrss", "dddddxxxxx01234567890123456789ss"]
  .map((text) => `whsec_${btoa(text)}`)
  .join(" \n,\t")

/** The life of three mentors' events, in sessions that have these settings. */
const live = async (database: Database) => {
  const [told, refused, behind] = [
    await createMentor(database),
    await createMentor(database),
    await createMentor(database)
  ]
  await setStatus(database, told, "paused", "active")
  const first = await eventOf(database, told)
  await complete(database, first.event_id, await claim(database, first.event_id), { notified: 1 })
  await setStatus(database, refused, "paused")
  const { event_id: id } = await eventOf(database, refused)
  const unavailable = { kind: "transient", message: String.raw`back\slash 'quote'`, status: 503 }
  await release(database, id, await claim(database, id), unavailable)
  await makeDue(database, id)
  await sweep(database)
  await bury(database, id)
  const redriven = await database.call<object>("pause_status_redrive", { event_id: id })
  // Behind the triggers' backs: what reconcile is for.
  await database.rows("alter table public.peer_mentor_profiles disable trigger user")
  await setStatus(database, behind, "paused")
  await database.rows("alter table public.peer_mentor_profiles enable trigger user")
  await database.rows("select pause_status.reconcile()")
  await sweep(database)
  await database.rows("select pause_status.send_directly(), pause_status.watch(), pause_status.forget_settled()")
  const cancelled = await database.call("pause_status_resolve", {
    event_id: (await eventOf(database, behind)).event_id,
    notes: "no longer"
  })
  const listed = await database.call("pause_status_list_events", {
    query: { limit: 10, occurredFrom: "2020-01-01T00:00:00.5+05:45", occurredTo: "2999-12-31T23:59:59Z" }
  })
  const shown = await database.call("pause_status_get_event", { event_id: id })
  const health = await database.call<Readonly<Record<string, unknown>>>("pause_status_health", {})
  return { mentors: [told, refused, behind], redriven, cancelled, listed, shown, vault: health["vault"] }
}

/** What is left of it, read by a session that has no such settings. */
const left = async (database: Database, mentors: ReadonlyArray<string>) => {
  await using owner = await database.connect()
  await owner.query(`alter database ${database.name} reset all`)
  await using reader = await database.connect()
  const { rows } = await reader.query(
    `select mentor_id, version, transition, old_status, new_status, occurred_at, status, source, failures, last_error,
       receipt, fingerprint, pause_status.payload_of(q) as payload,
       pause_status.payload_of(q) ->> 'timestamp' = pause_status.iso(occurred_at) as has_its_time
     from pause_status.webhook_queue q order by array_position($1, mentor_id), version`,
    [mentors]
  )
  const others = await Promise.all(
    [
      "select event_id, reason, resolution from pause_status.dead_letter_queue order by created_at",
      "select attempt, outcome, error from pause_status.webhook_attempts order by ended_at, id",
      "select version, known_status from pause_status.mentor_states order by known_status, version",
      "select url, headers, convert_from(body, 'utf8') as body from net.http_request_queue order by id",
      "select job, last_error from pause_status.heartbeats order by job"
    ].map((text) => database.rows(text))
  )
  return { rows, others }
}

const CHANGING = [
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "id"],
  // Any other form of a time stays, and is a difference.
  [/\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(\+00:00|Z)/g, "time"],
  [/v1,[A-Za-z0-9+/]{43}=/g, "signature"],
  [/("webhook-timestamp": )"\d{10}"/g, "$1seconds"]
] as const

const storyUnder = async (settings: ReadonlyArray<string>): Promise<string> => {
  await using database = await openDatabase()
  await using owner = await database.connect()
  const known = await owner.query<{ name: string }>("select lower(name) as name from pg_settings")
  const names = new Set(known.rows.map(({ name }) => name))
  for (const setting of settings) {
    if (names.has(setting.split(" ")[0] ?? "")) await owner.query(`alter database ${database.name} set ${setting}`)
  }
  await storeSecret(database, "pause_status_function_url", functionUrl)
  await storeSecret(database, "pause_status_webhook_secret", SECRETS)
  const told = await live(database)
  const text = JSON.stringify([told, await left(database, told.mentors)], null, 1)
  return CHANGING.reduce((text, [pattern, word]) => text.replaceAll(pattern, word), text)
}

describe("what a session is set to", () => {
  let expected: string
  beforeAll(async () => {
    expected = await storyUnder([])
  })

  it("is nothing at first, and then everything is signed with both secrets, told, and kept", () => {
    assert.include(expected, "signature signature")
    assert.include(expected, String.raw`back\\slash 'quote'`)
  })

  it.for(SETTINGS)("changes nothing of what is captured, sent, told and kept: %s, %s", async (...[settings]) => {
    assert.strictEqual(await storyUnder(settings), expected)
  })
})
