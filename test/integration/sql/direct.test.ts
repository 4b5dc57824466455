import { randomUUID } from "node:crypto"
import { afterAll, afterEach, assert, beforeEach, describe, it } from "vitest"
import { Webhook } from "standardwebhooks"
import { type Recorder, startRecorder } from "../../support/bareStack.ts"
import {
  claim,
  complete,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  type GivenEvent,
  historyOf,
  newSecret,
  openReadyDatabase,
  openDatabase,
  pausedEvents,
  setStatus,
  storeSecret
} from "../../support/sql.ts"

describe("send_directly", () => {
  let own: Database
  let handler: Recorder
  let secret: string
  /** What the stand-in for the handler does with an event before it answers. */
  let serve: (eventIds: ReadonlyArray<string>) => Promise<void>
  let reply: (eventIds: ReadonlyArray<string>) => { readonly status: number; readonly body?: unknown }

  beforeEach(async () => {
    own = await openReadyDatabase()
    // Neither a backoff nor a call ends because the machine is slow.
    await own.rows("update outbox.settings set retry_base_seconds = 60, request_timeout_ms = 60000")
    secret = newSecret()
    serve = async () => {}
    reply = () => ({ status: 200 })
    handler = await startRecorder(({ body }, response) => {
      const eventIds = [JSON.parse(body)].flat().map(({ event_id }: { event_id: string }) => event_id)
      void serve(eventIds).then(() => {
        const { status, body: answer } = reply(eventIds)
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer ?? {}))
      })
    })
    await storeSecret(own, "outbox_function_url", handler.url)
    await storeSecret(own, "outbox_webhook_secret", secret)
  })
  afterEach(async () => {
    await handler[Symbol.asyncDispose]()
    await own[Symbol.asyncDispose]()
  })

  const settleAll = async (eventIds: ReadonlyArray<string>): Promise<void> => {
    for (const eventId of eventIds) await complete(own, eventId, await claim(own, eventId))
  }

  const letTimePass = () => own.rows("update outbox.deliveries set dispatched_at = dispatched_at - interval '1 minute'")

  const send = async (): Promise<number> =>
    (await own.row<{ sent: number }>("select outbox.send_directly() as sent")).sent

  const overdue = async (count: number): Promise<Array<GivenEvent>> => {
    const events = await pausedEvents(own, count)
    await letTimePass()
    return events
  }

  const stateOf = ({ mentorId }: GivenEvent) => eventOf(own, mentorId)

  it("does nothing before pg_net's time is over", async () => {
    await pausedEvents(own, 1)
    assert.strictEqual(await send(), 0)
    assert.lengthOf(handler.arrivals, 0)
  })

  it("leaves to the sweep what pg_net took and lost", async () => {
    await overdue(1)
    await emptyNet(own)
    assert.strictEqual(await send(), 0)
  })

  it("sends what still waits, and holds no lock meanwhile", async () => {
    const [event] = await overdue(1)
    serve = settleAll
    assert.strictEqual(await send(), 1)
    assert.include(event && (await stateOf(event)), { status: "completed", failures: 0 })
    assert.strictEqual(await send(), 0)
  })

  it("signs each request over the bytes it sends: one event under its own id, several under a new id", async () => {
    const [event] = await overdue(1)
    await send()
    await own.rows("delete from outbox.events")
    await overdue(3)
    await send()
    const ids = handler.arrivals.map(({ body, headers }) => {
      const read = new Webhook(secret).verify(body, {
        "webhook-id": String(headers["webhook-id"]),
        "webhook-timestamp": String(headers["webhook-timestamp"]),
        "webhook-signature": String(headers["webhook-signature"])
      })
      return { id: headers["webhook-id"], events: Array.isArray(read) ? read.length : 1 }
    })
    assert.deepStrictEqual(
      ids.map(({ events }) => events),
      [1, 3]
    )
    assert.strictEqual(ids[0]?.id, event?.eventId)
    assert.match(String(ids[1]?.id), /^[0-9a-f-]{36}$/)
  })

  it("keeps each request within the settings, and sends all in one run", async () => {
    await own.rows("update outbox.settings set events_per_request = 2")
    await overdue(5)
    serve = settleAll
    assert.strictEqual(await send(), 5)
    assert.deepStrictEqual(
      handler.arrivals.map(({ body }) => [JSON.parse(body)].flat().length),
      [2, 2, 1]
    )
  })

  it.each([
    { status: 500, runs: [[4, 4], [2, 2, 2, 2], Array<number>(8).fill(1)] },
    { status: 503, runs: [[8], [8], [8]] }
  ])("splits a request that was answered $status as a dispatch would", async ({ status, runs }) => {
    await own.rows("update outbox.settings set events_per_request = 8")
    await own.rows("drop extension pg_net")
    await pausedEvents(own, 8)
    reply = () => ({ status })
    assert.strictEqual(await send(), 8)
    const sizes: Array<ReadonlyArray<number>> = []
    for (const _ of runs) {
      const before = handler.arrivals.length
      await own.rows("update outbox.events set next_attempt_at = now()")
      assert.strictEqual(await send(), 8)
      sizes.push(handler.arrivals.slice(before).map(({ body }) => [JSON.parse(body)].flat().length))
    }
    assert.deepStrictEqual(sizes, runs)
  })

  it("sends a mentor's events in order in one run, each once the previous one is settled", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active", "paused")
    await letTimePass()
    serve = settleAll
    assert.strictEqual(await send(), 3)
    assert.deepStrictEqual(
      handler.arrivals.map(({ body }) => JSON.parse(body).version),
      [1, 2, 3]
    )
  })

  it("counts an unclaimed event as unacknowledged, with the answer, and waits before the next try", async () => {
    const [event] = await overdue(1)
    reply = () => ({ status: 503, body: { code: "misconfigured" } })
    assert.strictEqual(await send(), 1)
    const state = event && (await stateOf(event))
    assert.include(state, { status: "pending", failures: 1 })
    assert.isAbove(state?.seconds_until_next_attempt ?? 0, 1)
    const [attempt] = await historyOf(own, event?.eventId ?? "")
    assert.include(attempt, { outcome: "unacknowledged", http_status: 503 })
    assert.include(attempt?.error, 'sent without pg_net: the handler answered 503: {"code":"misconfigured"}')
    assert.strictEqual(await send(), 0)
  })

  it("counts an unreachable handler once per run, and reveals neither its address nor a secret", async () => {
    await own.rows("update outbox.settings set events_per_request = 1")
    await storeSecret(own, "outbox_function_url", "http://127.0.0.1:9/secret-path")
    const events = await overdue(2)
    assert.strictEqual(await send(), 1)
    const errors = (await Promise.all(events.map(stateOf))).map(({ last_error }) => last_error)
    assert.strictEqual(errors.filter((error) => error?.includes("Couldn't connect")).length, 1)
    assert.notInclude(JSON.stringify(errors), "secret-path")
  })

  it("counts nothing if the handler claimed and released the event", async () => {
    const [event] = await overdue(1)
    serve = async (eventIds) => void (await Promise.all(eventIds.map((eventId) => claim(own, eventId))))
    reply = () => ({ status: 502 })
    await send()
    assert.include(event && (await stateOf(event)), { status: "processing", failures: 0 })
  })

  it("makes a dead letter of the one event of a batch that the handler refuses", async () => {
    const [bad, good] = await overdue(2)
    serve = (eventIds) => settleAll(eventIds.filter((eventId) => eventId !== bad?.eventId))
    reply = (eventIds) => ({
      status: 200,
      body: { results: eventIds.map((eventId) => ({ eventId, status: eventId === bad?.eventId ? 422 : 200 })) }
    })
    await send()
    assert.strictEqual(bad && (await stateOf(bad)).status, "failed")
    assert.strictEqual(good && (await stateOf(good)).status, "completed")
  })

  it.each([
    { status: 401, said: "the handler answered 401: stale_signature" },
    { status: 200, said: /^the handler answered for this event: .*in_flight/ }
  ])("says nothing about another event if a batch is answered $status", async ({ status, said }) => {
    const events = await overdue(2)
    reply = (eventIds) => ({
      status,
      body: {
        code: "stale_signature",
        detail: eventIds.join(),
        ...(status === 200 && { results: eventIds.map((eventId) => ({ eventId, status: 409, code: "in_flight" })) })
      }
    })
    await send()
    for (const [index, { eventId }] of events.entries()) {
      const [attempt] = await historyOf(own, eventId)
      const text = attempt?.error?.replace("unacknowledged: sent without pg_net: ", "") ?? ""
      if (typeof said === "string") assert.strictEqual(text, said)
      else assert.match(text, said)
      assert.notInclude(text, events[1 - index]?.eventId ?? "")
    }
  })

  it("sends what pg_net could not take because it is not installed", async () => {
    await own.rows("drop extension pg_net")
    const [event] = await pausedEvents(own, 1)
    serve = settleAll
    assert.strictEqual(await send(), 1)
    assert.strictEqual(event && (await stateOf(event)).status, "completed")
  })

  const refusals: ReadonlyArray<
    readonly [string, (admin: Awaited<ReturnType<Database["connect"]>>) => Promise<unknown>]
  > = [
    [
      "is not loaded",
      (admin) =>
        admin.query(`create or replace function net.wake() returns void language plpgsql as $$
          begin raise 'pg_net is not in shared_preload_libraries'; end $$`)
    ],
    [
      "is not granted",
      (admin) =>
        admin.query(
          "revoke all on schema net from public, postgres; revoke all on all tables in schema net from public, postgres"
        )
    ],
    [
      "raises",
      (admin) =>
        admin.query(`create or replace function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
            headers jsonb default '{}', timeout_milliseconds int default 5000)
          returns bigint language plpgsql as $$ begin raise 'no'; end $$`)
    ]
  ]
  it.each(refusals)("sends what pg_net refuses because it %s, and counts the attempt", async (_, refuse) => {
    await using admin = await own.connect("admin")
    await refuse(admin)
    const [event] = await pausedEvents(own, 1)
    serve = settleAll
    assert.strictEqual(await send(), 1)
    assert.include(event && (await stateOf(event)), { status: "completed", attempts: 1, failures: 0 })
    const later = await createMentor(own)
    await setStatus(own, later, "paused")
    await own.rows("select outbox.sweep()")
    assert.strictEqual(await send(), 1)
    assert.include(await eventOf(own, later), { status: "completed", attempts: 1, failures: 0 })
  })

  it("never waits for a lock on pg_net's queue, which any role can take, like writers and the sweep", async () => {
    await using anybody = await own.connect()
    await anybody.query("begin; lock table net.http_request_queue")
    const events = await pausedEvents(own, 150)
    await own.rows("select outbox.sweep()")
    serve = settleAll
    assert.strictEqual(await send(), 150)
    await anybody.query("rollback")
    const [event] = events
    assert.include(event && (await stateOf(event)), { status: "completed", failures: 0 })
  })

  it("ignores the session's own time limit of the extension, and does not change it", async () => {
    await overdue(1)
    await using session = await own.connect()
    await session.query("set http.timeout_msec = 1")
    serve = settleAll
    const { rows } = await session.query("select outbox.send_directly() as sent")
    assert.deepStrictEqual(rows, [{ sent: 1 }])
    const { rows: after } = await session.query("select current_setting('http.timeout_msec') as kept")
    assert.deepStrictEqual(after, [{ kept: "1" }])
    const [state] = await own.rows("select status from outbox.events")
    assert.deepStrictEqual(state, { status: "completed" })
  })

  it("respects the backoff without pg_net, too", async () => {
    await own.rows("drop extension pg_net")
    await pausedEvents(own, 1)
    reply = () => ({ status: 500 })
    assert.strictEqual(await send(), 1)
    assert.strictEqual(await send(), 0)
  })

  it("runs once at a time", async () => {
    await overdue(1)
    await using other = await own.connect()
    await own.rows("select outbox.beat('direct')")
    await other.query("begin; select from outbox.heartbeats where job = 'direct' for update")
    assert.strictEqual(await send(), 0)
    await other.query("rollback")
    // A lock that any role can take is no reason to wait.
    await other.query("begin; select pg_advisory_xact_lock(hashtext('outbox.send_directly'))")
    assert.strictEqual(await send(), 1)
    await other.query("rollback")
  })

  it("does nothing without the extension, without secrets, or if nothing is due", async () => {
    assert.strictEqual(await send(), 0)
    const [event] = await overdue(1)
    await own.rows("delete from vault.secrets")
    assert.strictEqual(await send(), 0)
    await own.rows("drop extension http")
    assert.strictEqual(await send(), 0)
    assert.include(event && (await stateOf(event)), { status: "pending", failures: 0 })
  })
})

describe("the migration", () => {
  let database: Database
  afterAll(() => database?.[Symbol.asyncDispose]())

  it("succeeds if the extension http is not available", async () => {
    database = await openDatabase({ migrate: false })
    await database.migrate({
      replace: [/create extension if not exists http /, `create extension "no ${randomUUID()}" `]
    })
    const { sent } = await database.row<{ sent: number }>("select outbox.send_directly() as sent")
    assert.strictEqual(sent, 0)
  })
})
