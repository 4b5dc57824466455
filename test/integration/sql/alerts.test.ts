import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { Webhook } from "standardwebhooks"
import { type Arrival, type Recorder, startRecorder } from "../../support/bareStack.ts"
import {
  bury,
  createMentor,
  type Database,
  eventOf,
  newSecret,
  openReadyDatabase,
  setStatus,
  storeSecret
} from "../../support/sql.ts"

describe("send_alerts", () => {
  let own: Database
  let receiver: Recorder
  let status: number

  beforeEach(async () => {
    own = await openReadyDatabase()
    status = 200
    receiver = await startRecorder((_, response) => response.writeHead(status).end("ok"))
    await storeSecret(own, "outbox_alert_url", `${receiver.url}/services/T0/secret-path`)
  })
  afterEach(async () => {
    await receiver[Symbol.asyncDispose]()
    await own[Symbol.asyncDispose]()
  })

  const send = async () => (await own.row<{ sent: number }>("select outbox.send_alerts() as sent")).sent
  const raise = (kind: string, detail = "for example") =>
    own.rows("select outbox.raise_alert($1, 3, $2)", [kind, detail])
  const close = () => own.rows("update outbox.alerts set closed_at = clock_timestamp() where closed_at is null")
  const letADayPass = () => own.rows("update outbox.alerts set last_notice_at = last_notice_at - interval '25 hours'")
  const notices = () => receiver.arrivals.map(({ body }) => JSON.parse(body))
  const states = () => notices().map(({ alert: { kind, state } }) => `${kind} ${state}`)
  const heartbeat = () =>
    own.row("select failed_at = last_at as failing, last_error from outbox.heartbeats where job = 'alert'")

  const verify = (secret: string, { body, headers }: Arrival) =>
    new Webhook(secret).verify(body, {
      "webhook-id": String(headers["webhook-id"]),
      "webhook-timestamp": String(headers["webhook-timestamp"]),
      "webhook-signature": String(headers["webhook-signature"])
    })

  it("sends an alert once when it opens, each day while it is open, and when it closes", async () => {
    await raise("dead_letters")
    assert.strictEqual(await send(), 1)
    assert.strictEqual(await send(), 0)
    await letADayPass()
    assert.strictEqual(await send(), 1)
    assert.strictEqual(await send(), 0)
    await close()
    assert.strictEqual(await send(), 1)
    await letADayPass()
    assert.strictEqual(await send(), 0)
    assert.deepStrictEqual(states(), ["dead_letters opened", "dead_letters open", "dead_letters closed"])
    const ids = receiver.arrivals.map(({ headers }) => headers["webhook-id"])
    assert.strictEqual(new Set(ids).size, 3)
  })

  it("sends a text for people, and fields for programs", async () => {
    await raise("dead_letters")
    await send()
    const [{ alert, text, ...others }] = notices()
    const { id, lastSeenAt, openedAt, ...fields } = alert
    assert.match(
      text,
      /^127\.0\.0\.1:9: alert dead_letters opened at \d{4}-\d\d-\d\d \d\d:\d\d UTC\. Events failed for good\..* Value 3, threshold 1\.$/
    )
    assert.deepStrictEqual(others, {})
    assert.match(id, /^[0-9a-f-]{36}$/)
    for (const time of [openedAt, lastSeenAt]) assert.match(time, /^\d{4}-\d\d-\d\dT.*Z$/)
    assert.deepStrictEqual(fields, {
      kind: "dead_letters",
      state: "opened",
      host: "127.0.0.1:9",
      value: 3,
      threshold: 1,
      closedAt: null
    })
    assert.strictEqual(receiver.arrivals[0]?.headers["content-type"], "application/json")
  })

  it("explains each kind of alert in its own words", async () => {
    const [{ definition }] = (await own.rows<{ definition: string }>(
      "select pg_get_constraintdef(oid) as definition from pg_constraint where conname = 'alerts_kind_is_known'"
    )) as [{ definition: string }]
    const kinds = [...definition.matchAll(/'(\w+)'/g)].map(([, kind]) => kind)
    assert.isAtLeast(kinds.length, 13)
    const advice = await own.rows<{ words: string }>(
      "select outbox.alert_advice(k) as words from unnest($1::text[]) k",
      [kinds]
    )
    assert.strictEqual(new Set(advice.map(({ words }) => words)).size, kinds.length)
    assert.notInclude(
      advice.map(({ words }) => words),
      "The runbook says what to do."
    )
  })

  it("signs with the webhook's secret, or with outbox_alert_secret if there is one", async () => {
    const [webhook, alerts] = [newSecret(), newSecret()]
    await storeSecret(own, "outbox_webhook_secret", webhook)
    await raise("dead_letters")
    await send()
    await storeSecret(own, "outbox_alert_secret", alerts)
    await raise("job_failing")
    await send()
    const [first, second] = receiver.arrivals
    if (first === undefined || second === undefined) assert.fail("two notices were expected")
    verify(webhook, first)
    verify(alerts, second)
    assert.throws(() => verify(webhook, second))
  })

  it.for(["not-a-secret", undefined])("sends without a signature when the secret is %o", async (secret) => {
    await own.rows("delete from vault.secrets where name = 'outbox_webhook_secret'")
    if (secret !== undefined) await storeSecret(own, "outbox_webhook_secret", secret)
    await raise("unauthorized")
    assert.strictEqual(await send(), 1)
    assert.notProperty(receiver.arrivals[0]?.headers, "webhook-signature")
  })

  it("sends no detail, no key, no id of an event and no secret", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    await storeSecret(own, "outbox_function_url", "https://user:password@abcd.supabase.co/functions/v1/x?key=hidden")
    await bury(own, event_id)
    await raise("unknown_event", `event ${event_id} of ${mentor}`)
    await raise("job_failing", `duplicate key: Key (key)=(${mentor})`)
    await own.rows("select outbox.watch()")
    await send()
    assert.isAtLeast(receiver.arrivals.length, 3)
    const text = receiver.arrivals.map(({ body }) => body).join("\n")
    assert.include(text, "abcd.supabase.co: alert")
    for (const part of [mentor, event_id, "password", "hidden", "secret-path"]) assert.notInclude(text, part)
  })

  it("retries what was not accepted, under the same id, and reports the failure in job_failing", async () => {
    status = 500
    await raise("clock_skew")
    assert.strictEqual(await send(), 0)
    assert.deepInclude(await heartbeat(), {
      failing: true,
      last_error: "no notice was accepted at outbox_alert_url: the answer was 500"
    })
    assert.include(await own.row("select notice_error from outbox.alerts"), { notice_error: "the answer was 500" })
    await own.rows("select outbox.watch()")
    assert.lengthOf(await own.rows("select from outbox.alerts where kind = 'job_failing' and closed_at is null"), 1)
    status = 204
    assert.strictEqual(await send(), 2)
    const [first, second] = receiver.arrivals
    assert.strictEqual(first?.headers["webhook-id"], second?.headers["webhook-id"])
    assert.deepInclude(await heartbeat(), { failing: false })
    assert.lengthOf(await own.rows("select from outbox.alerts where notice_error is not null"), 0)
  })

  it("sends the end of an alert whose start was not accepted, and nothing if no start was sent", async () => {
    status = 503
    await raise("dead_letters")
    await send()
    await raise("clock_skew")
    await close()
    status = 200
    assert.strictEqual(await send(), 1)
    assert.deepStrictEqual(states(), ["dead_letters opened", "dead_letters closed"])
  })

  it("does nothing without outbox_alert_url, and says so if it is not a URL", async () => {
    await raise("dead_letters")
    await storeSecret(own, "outbox_alert_url", "hooks.slack.com/services/secret-path")
    assert.strictEqual(await send(), 0)
    assert.deepInclude(await heartbeat(), {
      last_error: "the Vault secret outbox_alert_url is no absolute http(s) URL: update it"
    })
    await own.rows("delete from vault.secrets where name = 'outbox_alert_url'")
    assert.strictEqual(await send(), 0)
    assert.deepInclude(await heartbeat(), { failing: false })
    assert.lengthOf(receiver.arrivals, 0)
  })

  it("names no URL in its errors, and stops at the first unanswered call", async () => {
    await storeSecret(own, "outbox_alert_url", "http://127.0.0.1:9/secret-path")
    await raise("dead_letters")
    await raise("clock_skew")
    assert.strictEqual(await send(), 0)
    const errors = await own.rows<{ notice_error: string }>(
      "select notice_error from outbox.alerts where notice_error <> ''"
    )
    assert.lengthOf(errors, 1)
    assert.notInclude(JSON.stringify([errors, await heartbeat()]), "secret-path")
  })

  it.for([
    ["is not installed", "drop extension pg_net"],
    [
      "refuses",
      `create or replace function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
         headers jsonb default '{}', timeout_milliseconds integer default 5000) returns bigint language plpgsql as $$
       begin raise 'pg_net is not in shared_preload_libraries'; end $$`
    ]
  ])("sends each notice once when pg_net %s", async ([, statement = ""]) => {
    await using admin = await own.connect("admin")
    await admin.query(statement)
    await raise("oldest_unnotified")
    assert.strictEqual(await send(), 1)
    assert.strictEqual(await send(), 0)
    assert.deepStrictEqual(states(), ["oldest_unnotified opened"])
  })

  it("hands the notice to pg_net, once and signed, if the extension http is missing", async () => {
    await own.rows("drop extension http")
    await raise("oldest_unnotified")
    assert.strictEqual(await send(), 1)
    assert.strictEqual(await send(), 0)
    const requests = await own.rows<{ url: string; headers: Record<string, string>; body: string }>(
      "select url, headers, convert_from(body, 'UTF8') as body from net.http_request_queue"
    )
    assert.lengthOf(requests, 1)
    const [{ body, headers, url }] = requests as [(typeof requests)[0]]
    assert.strictEqual(url, `${receiver.url}/services/T0/secret-path`)
    assert.hasAllKeys(headers, ["Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature"])
    assert.include(JSON.parse(body).alert, { kind: "oldest_unnotified", state: "opened" })
  })

  it("does not fail, and does not fail the watch job, if nothing can be sent", async () => {
    await own.rows("drop extension http")
    await own.rows("drop extension pg_net")
    await raise("dead_letters")
    assert.strictEqual(await send(), 0)
    await own.rows("select outbox.watch()")
    assert.match(String((await heartbeat())["last_error"]), /^no notice was accepted .*"net" does not exist/)
  })

  it("holds no lock on alerts while the receiver is slow, and no second run sends the same", async () => {
    let answer = () => {}
    await using slow = await startRecorder((_, response) => {
      answer = () => response.end("ok")
    })
    await storeSecret(own, "outbox_alert_url", slow.url)
    await own.rows("update outbox.settings set request_timeout_ms = 60000")
    await raise("dead_letters")
    const sending = send()
    while (slow.arrivals.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.strictEqual(await send(), 0)
    await own.rows("set statement_timeout = '5s'; select outbox.watch(); reset statement_timeout")
    answer()
    assert.strictEqual(await sending, 1)
    assert.lengthOf(slow.arrivals, 1)
  })
})
