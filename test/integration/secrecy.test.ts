import { randomBytes } from "node:crypto"
import { Client } from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { dumpSchema } from "../../local/dump.ts"
import { type Stack, startStack } from "../../local/stack.ts"
import { eventually } from "../support/pipeline.ts"

const marker = randomBytes(24)
const secret = `whsec_${marker.toString("base64")}`
const malformed = `whsec_${marker.toString("base64")}*`
const urlMarker = `url-${randomBytes(12).toString("hex")}`

/** Every form in which it could come out. */
const forms = [
  marker.toString("base64"),
  marker.toString("base64url"),
  marker.toString("hex"),
  Buffer.from(secret).toString("base64").slice(0, -4),
  Buffer.from(secret).toString("hex")
]

describe("a secret in Vault", () => {
  let stack: Stack
  let client: Client
  const log: Array<string> = []
  const notices: Array<string> = []
  const failures: Array<string> = []

  const rows = async (text: string, values: ReadonlyArray<unknown> = []): Promise<Array<Record<string, unknown>>> =>
    (await client.query<Record<string, unknown>>(text, [...values])).rows

  const failing = async (text: string): Promise<void> => {
    const cause = await client.query(text).then(
      () => undefined,
      (error: object) => error
    )
    assert.isDefined(cause, text)
    failures.push(JSON.stringify({ ...cause, message: String(cause) }))
  }

  const asAdmin = async (...statements: ReadonlyArray<readonly [text: string, ...values: ReadonlyArray<string>]>) => {
    const admin = new Client(stack.adminUrl)
    await admin.connect()
    // What a person types is theirs to keep out of the log.
    await admin.query("set log_statement = 'none'; set log_min_duration_statement = -1; set log_min_messages = 'error'")
    for (const [text, ...values] of statements) await admin.query(text, values)
    await admin.end()
  }

  const keep = (name: string, value: string) =>
    asAdmin(["select vault.update_secret(id, $2) from vault.secrets where name = $1", name, value])

  const pause = async (): Promise<string> => {
    const [mentor] = await rows("insert into public.peer_mentor_profiles default values returning id")
    await rows("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor?.["id"]])
    const [event] = await rows("select event_id from outbox.events where key = $1", [mentor?.["id"]])
    return String(event?.["event_id"])
  }

  const errorOf = async (eventId: string): Promise<string> => {
    const [event] = await rows("select last_error from outbox.events where event_id = $1", [eventId])
    return String(event?.["last_error"])
  }

  beforeAll(async () => {
    stack = await startStack({ pacing: "fast", log: ({ source, text }) => void log.push(`${source} ${text}`) })
    client = new Client(stack.databaseUrl)
    client.on("notice", (notice) => void notices.push(JSON.stringify({ ...notice, message: notice.message })))
    await client.connect()
    await rows("update outbox.settings set acknowledge_timeout_seconds = 1, retry_base_seconds = 1")

    // The handler does not know this one: it refuses what is signed with it.
    await keep("outbox_webhook_secret", secret)
    await asAdmin(
      ["alter system set log_statement = 'all'"],
      ["alter system set log_min_messages = 'debug1'"],
      ["alter system set log_min_error_statement = 'debug5'"],
      ["alter system set log_error_verbosity = 'verbose'"],
      ["alter system set log_min_duration_statement = 0"],
      ["alter system set log_parameter_max_length_on_error = -1"],
      ["select pg_reload_conf()"]
    )
    await eventually("everything is logged", async () =>
      (await rows("show log_statement"))[0]?.["log_statement"] === "all" ? true : undefined
    )

    const refused = await pause()
    await eventually("the handler's refusal is known", async () =>
      (await errorOf(refused)).includes("unauthorized") ? true : undefined
    )
    // From here on nothing waits for so long that it is sent without pg_net: the stand-in for the extension http tells
    // its worker in SQL what to call.
    await rows("update outbox.settings set acknowledge_timeout_seconds = 600")
    await rows("select public.outbox_health()")
    await rows("select outbox.sweep(), outbox.send_directly(), outbox.watch()")
  })
  afterAll(async () => {
    await client?.end()
    await stack?.stop()
  })

  /** What can be read anywhere, by place. */
  const everywhere = async (): Promise<ReadonlyArray<readonly [place: string, text: string]>> => {
    const places: Array<readonly [string, string]> = []
    const add = async (place: string, query: string) => places.push([place, JSON.stringify(await rows(query))])
    await add("triggers", "select pg_get_triggerdef(oid), tgargs::text from pg_trigger")
    await add("functions", "select prosrc, proconfig, probin from pg_proc")
    await add("jobs", "select * from cron.job")
    await add("runs of jobs", "select * from cron.job_run_details")
    await add("sessions", "select * from pg_stat_activity")
    await add("prepared statements and settings", "select statement from pg_prepared_statements")
    await add("settings of roles and databases", "select setconfig from pg_db_role_setting")
    await add("comments", "select description from pg_description")
    const tables = await rows(
      `select n.nspname || '.' || quote_ident(c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'v', 'm') and n.nspname in ('public', 'outbox', 'net', 'cron')`
    )
    assert.isAbove(tables.length, 15)
    // What a dump of these schemas would write.
    for (const { name } of tables) await add(`rows of ${String(name)}`, `select t::text from ${String(name)} t`)
    places.push(["the schema's dump", await dumpSchema(stack.databaseUrl)])
    places.push(["the log", log.join("\n")], ["notices", notices.join("\n")], ["errors", failures.join("\n")])
    return places
  }

  const assertNowhere = async (parts: ReadonlyArray<string>, except: ReadonlyArray<string> = []) => {
    for (const [place, text] of await everywhere()) {
      if (except.includes(place)) continue
      for (const part of parts) assert.notInclude(text, part, place)
    }
  }

  it("exists, is used, and would be found", async () => {
    const [kept] = await rows(
      "select decrypted_secret from vault.decrypted_secrets where name = 'outbox_webhook_secret'"
    )
    assert.include(
      forms.map((form) => JSON.stringify(kept).includes(form)),
      true
    )
    await eventually("the log of the update", () =>
      log.find((line) => line.startsWith("postgres") && line.includes("update public.peer_mentor_profiles"))
    )
    const [requests] = await rows("select count(*)::int as attempts from outbox.attempts")
    assert.isAbove(Number(requests?.["attempts"]), 0)
  })

  it("is nowhere else: not in triggers, functions, jobs, sessions, rows, the log or a dump", async () => {
    await assertNowhere(forms)
  })

  it("is not revealed by errors and warnings if it is malformed", async () => {
    await keep("outbox_webhook_secret", malformed)
    const eventId = await pause()
    await rows("select outbox.sweep()")
    assert.include(await errorOf(eventId), "is not of the form whsec_<base64>")
    await failing("select outbox.sign('id', 0, '', outbox.vault_secret('outbox_webhook_secret'))")
    await failing("select outbox.vault_secret('no such secret')")
    await rows("select public.outbox_health()")
    assert.isTrue(notices.some((notice) => notice.includes("wait for the sweep")))
    await assertNowhere(forms)
  })

  it("is not revealed if it is the function's URL, except to pg_net, which needs it", async () => {
    await keep("outbox_webhook_secret", secret)
    for (const url of [
      `ftp://127.0.0.1:9/${urlMarker}`,
      `http://127.0.0.1:9/${urlMarker}`,
      `http://a b/${urlMarker}`
    ]) {
      await keep("outbox_function_url", url)
      await pause()
      await rows("select outbox.sweep(), outbox.send_directly(), public.outbox_health()")
    }
    await assertNowhere([...forms, urlMarker], ["rows of net.http_request_queue"])
  })
})
