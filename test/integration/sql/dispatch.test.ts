import { randomUUID } from "node:crypto"
import { Webhook } from "standardwebhooks"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  claim,
  claimOf,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  foreignEvent,
  functionUrl,
  historyOf,
  makeDue,
  newSecret,
  openDatabase,
  openReadyDatabase,
  release,
  setStatus,
  settle,
  storeSecret,
  sweep
} from "../../support/sql.ts"

interface Request {
  readonly url: string
  readonly body: string
  readonly headers: Record<string, string>
  readonly timeout_milliseconds: number
}

const requestOf = (database: Database, requestId: string | null): Promise<Request> =>
  database.row<Request>(
    `select url, convert_from(body, 'UTF8') as body, headers, timeout_milliseconds
     from net.http_request_queue where id = $1`,
    [requestId]
  )

const clockOf = async (database: Database): Promise<string> =>
  (await database.row<{ at: string }>("select clock_timestamp()::text as at")).at

/** How long after that moment the mentor's one event is due. */
const secondsFrom = async (database: Database, moment: string, mentor: string): Promise<number> =>
  (
    await database.row<{ seconds: number }>(
      `select extract(epoch from next_attempt_at - $1::timestamptz)::float8 as seconds
       from outbox.events where key = $2`,
      [moment, mentor]
    )
  ).seconds

const warningsOf = async (database: Database, mentor: string): Promise<Array<string>> => {
  const warnings: Array<string> = []
  await using client = await database.connect()
  client.on("notice", (notice) => warnings.push(`${notice.severity}: ${notice.message}`))
  await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
  return warnings
}

describe("dispatching an event", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  it("hands pg_net the event's payload, signed so that a Standard Webhooks library accepts the exact bytes", async () => {
    const secret = newSecret()
    await storeSecret(database, "outbox_webhook_secret", secret)
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const event = await eventOf(database, mentor)
    const request = await requestOf(database, event.request_id)
    assert.strictEqual(request.url, functionUrl)
    assert.strictEqual(request.timeout_milliseconds, 5000)
    assert.strictEqual(request.headers["webhook-id"], event.event_id)
    const verified = new Webhook(secret).verify(request.body, request.headers)
    assert.deepNestedInclude(verified, { event_id: event.event_id, "record.status": "paused" })
    assert.throws(() => new Webhook(secret).verify(request.body.replace("paused", "Paused"), request.headers))
  })

  it("signs non-ASCII text as the UTF-8 bytes that are sent", async () => {
    const secret = newSecret()
    const body = { name: "Zoë 李 🎉", quote: '"\\' }
    const seconds = Math.floor(Date.now() / 1000)
    const { text, signature } = await database.row<{ text: string; signature: string }>(
      "select $1::jsonb::text as text, outbox.sign('msg_1', $2, $1::jsonb::text, $3) as signature",
      [JSON.stringify(body), seconds, secret]
    )
    assert.deepStrictEqual(
      new Webhook(secret).verify(Buffer.from(text), {
        "webhook-id": "msg_1",
        "webhook-timestamp": String(seconds),
        "webhook-signature": signature
      }),
      body
    )
  })

  it("signs once with each secret while secrets are rotated, however they are separated", async () => {
    const secrets = [newSecret(), newSecret(), newSecret()]
    await storeSecret(database, "outbox_webhook_secret", ` ${secrets[0]} ${secrets[1]},\n${secrets[2]}\n`)
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const request = await requestOf(database, (await eventOf(database, mentor)).request_id)
    assert.lengthOf(request.headers["webhook-signature"]?.split(" ") ?? [], 3)
    for (const secret of secrets) assert.ok(new Webhook(secret).verify(request.body, request.headers))
    assert.throws(() => new Webhook(newSecret()).verify(request.body, request.headers))
  })

  it("counts the dispatch and waits for an acknowledgement before the event is due again", async () => {
    await storeSecret(database, "outbox_webhook_secret", newSecret())
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const event = await eventOf(database, mentor)
    assert.include(event, { status: "pending", attempts: 1, last_error: null })
    assert.isAbove(event.seconds_until_next_attempt ?? 0, 5)
  })

  it("signs at the commit: nothing is handed over while the transaction is open", async () => {
    const mentor = await createMentor(database)
    await using client = await database.connect()
    await client.query("begin")
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    const posted = async () => {
      const { rows } = await client.query(
        "select d.id from outbox.deliveries d join outbox.events q on q.delivery_id = d.id where key = $1",
        [mentor]
      )
      return rows.length
    }
    assert.strictEqual(await posted(), 0)
    await client.query("commit")
    assert.strictEqual(await posted(), 1)
  })

  it("sends nothing for an event that is claimed, settled, another sender's or unknown", async () => {
    const mentors = [await createMentor(database), await createMentor(database)]
    for (const mentor of mentors) await setStatus(database, mentor, "paused")
    const [claimed, settled] = await Promise.all(mentors.map((mentor) => eventOf(database, mentor)))
    const foreign = foreignEvent()
    await claim(database, claimed?.event_id ?? "")
    await settle(database, settled?.event_id ?? "")
    await release(database, foreign.eventId, (await claimOf(database, foreign))["token"])
    const answers = await database.rows("select outbox.dispatch($1, 'sweep') as sent", [
      [claimed?.event_id, settled?.event_id, foreign.eventId, randomUUID()]
    ])
    assert.deepStrictEqual(answers, [{ sent: 0 }])
  })

  it("works at every isolation level", async () => {
    for (const level of ["repeatable read", "serializable"]) {
      const mentor = await createMentor(database)
      await using client = await database.connect()
      await client.query(`begin isolation level ${level}`)
      await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
      await client.query("commit")
      assert.strictEqual((await eventOf(database, mentor)).attempts, 1, level)
    }
  })

  describe("when it fails", () => {
    it("does not hold up the events of another topic", async () => {
      await using own = await openReadyDatabase()
      await own.rows(
        `select outbox.watch(
           topic => 'a-name', relation => 'public.coordinators', columns => '{name}', function_url => 'their_url'
         )`
      )
      await own.rows("insert into public.coordinators (name) values ('Ada')")
      await own.rows("update public.coordinators set name = 'Cleo'")
      const mentor = await createMentor(own)
      await setStatus(own, mentor, "paused")
      await own.rows("truncate net.http_request_queue")
      await own.rows("select outbox.postpone_refused(1000)")
      // Theirs is the first to be sent.
      await own.rows(
        `update outbox.events
         set delivery_id = null, next_attempt_at = now() - case topic when 'a-name' then interval '1 hour' else '0' end`
      )
      assert.strictEqual(await sweep(own), 1)
      const sent = await own.rows(
        "select topic, delivery_id is not null as sent, last_error from outbox.events order by 1"
      )
      assert.deepInclude(sent, { topic: "pause-status", sent: true, last_error: null })
      assert.include(sent[0]?.["last_error"], "Vault has no secret named their_url")
    })

    it("waits longer each time, adds one row of history per reason, and never makes a dead letter", async () => {
      await using own = await openDatabase()
      await own.rows("update outbox.settings set max_attempts = 1, retry_for_seconds = 0")
      const mentor = await createMentor(own)
      await setStatus(own, mentor, "paused")
      const { event_id } = await eventOf(own, mentor)
      for (const minutes of [1, 2, 3]) {
        await own.rows("update outbox.events set next_attempt_at = now(), created_at = now() - $1::interval", [
          `${minutes} minutes`
        ])
        const before = await clockOf(own)
        await sweep(own)
        assert.include(await eventOf(own, mentor), { status: "pending", attempts: 0, failures: 0 })
        assert.isAtLeast(await secondsFrom(own, before, mentor), minutes * 30)
      }
      await storeSecret(own, "outbox_function_url", functionUrl)
      await makeDue(own, event_id)
      await sweep(own)
      const history = await historyOf(own, event_id)
      assert.deepStrictEqual(
        history.map(({ outcome, why }) => [outcome, why]),
        [
          ["dispatch", "commit"],
          ["dispatch", "sweep"]
        ]
      )
    })

    const broken: ReadonlyArray<{
      readonly name: string
      readonly prepare: (own: Database) => Promise<unknown>
      readonly says: string
    }> = [
      { name: "Vault is empty", prepare: () => Promise.resolve(), says: "vault.create_secret" },
      {
        name: "the URL has no scheme",
        prepare: (own) => storeSecret(own, "outbox_function_url", "hunter2.example/functions"),
        says: "absolute http(s) URL"
      },
      {
        name: "pg_net refuses the URL",
        prepare: async (own) => {
          await storeSecret(own, "outbox_function_url", "https://hunter2.example:99999/functions")
          await storeSecret(own, "outbox_webhook_secret", newSecret())
        },
        says: "<function_url>"
      },
      {
        name: "the secret is malformed",
        prepare: async (own) => {
          await storeSecret(own, "outbox_function_url", functionUrl)
          await storeSecret(own, "outbox_webhook_secret", "whsec_hunter2!")
        },
        says: "whsec_<base64>"
      },
      {
        name: "the secret has no prefix",
        prepare: async (own) => {
          await storeSecret(own, "outbox_function_url", functionUrl)
          await storeSecret(own, "outbox_webhook_secret", "hunter2")
        },
        says: "whsec_<base64>"
      },
      {
        name: "the secret holds separators only",
        prepare: async (own) => {
          await storeSecret(own, "outbox_function_url", functionUrl)
          await storeSecret(own, "outbox_webhook_secret", ", ,")
        },
        says: "Vault has no secret named"
      },
      {
        name: "pg_net was dropped",
        prepare: (own) => own.rows("drop extension pg_net"),
        says: "create extension pg_net"
      },
      {
        name: "Vault was dropped",
        prepare: async (own) => {
          await using admin = await own.connect("admin")
          await admin.query("drop extension supabase_vault")
        },
        says: "create extension supabase_vault"
      },
      {
        name: "the settings are gone",
        prepare: (own) => own.rows("delete from outbox.settings"),
        says: "insert into outbox.settings"
      }
    ]

    it.for(broken)("still lets the mentor be paused and says what to do: $name", async ({ prepare, says }) => {
      await using own = await openDatabase()
      await prepare(own)
      const mentor = await createMentor(own)
      const before = await clockOf(own)
      const warnings = await warningsOf(own, mentor)
      await sweep(own)
      const [event] = await eventsOf(own, mentor)
      assert.include(event, { status: "pending", attempts: 0, request_id: null })
      assert.include(event?.last_error, says)
      assert.isAbove(await secondsFrom(own, before, mentor), 0)
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0], says)
      assert.notInclude(`${warnings[0]} ${event?.last_error}`, "hunter2")
    })
  })
})
