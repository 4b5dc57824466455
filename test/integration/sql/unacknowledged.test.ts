import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  type GivenEvent,
  historyOf,
  makeDue,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  settle,
  sweep
} from "../../support/sql.ts"

interface Given {
  readonly status?: number
  readonly content?: string
  readonly headers?: object | string
  readonly error?: string
  readonly created?: string
}

describe("an unclaimed delivery", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  /** pg_net's record of how the handler answered. */
  const answered = async (event: GivenEvent, { status, content, headers, error, created }: Given): Promise<void> => {
    await own.rows(
      `insert into net._http_response (id, status_code, content, headers, error_msg, timed_out, created)
       select d.request_id, $2, $3, $4, $5, false, coalesce($6::timestamptz, now())
       from outbox.events q join outbox.deliveries d on d.id = q.delivery_id
       where q.event_id = $1`,
      [event.eventId, status, content, headers, error, created]
    )
  }

  const timeOut = async (): Promise<number> => {
    await emptyNet(own)
    await own.rows(
      `update outbox.events set next_attempt_at = now()
       where status = 'pending' and delivery_id is not null`
    )
    return sweep(own)
  }

  const one = async (): Promise<GivenEvent> => {
    const [event] = await pausedEvents(own, 1)
    if (event === undefined) throw new Error("nothing was queued")
    return event
  }

  const stateOf = ({ mentorId }: GivenEvent) => eventOf(own, mentorId)

  const lettersOf = (event: GivenEvent) =>
    own.rows<{ reason: string; last_error: string; attempts: number; resolution: string | null }>(
      `select reason, last_error, attempts, resolution from outbox.dead_letters
       where event_id = $1 order by created_at`,
      [event.eventId]
    )

  it("without an answer counts as one failure, and is sent again after the backoff", async () => {
    const event = await one()
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 1 })
    const [attempt, ...more] = await historyOf(own, event.eventId)
    assert.include(attempt, { outcome: "unacknowledged", why: "commit", delivery_id: event.eventId, http_status: null })
    assert.include(attempt?.error, "the request or the answer was lost")
    assert.lengthOf(more, 0)
  })

  it.for([400, 422])("must still be notified if any role has written that it was answered %i", async (status) => {
    const event = await one()
    const { request_id } = await stateOf(event)
    await using forger = await own.connect("admin")
    await forger.query("set role authenticated")
    await forger.query(
      "insert into net._http_response (id, status_code, content, created) values ($1, $2, '{}', clock_timestamp())",
      [request_id, status]
    )
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 1 })
    assert.lengthOf(await lettersOf(event), 0)
    const [attempt] = await historyOf(own, event.eventId)
    assert.include(attempt, { outcome: "unacknowledged", http_status: status })
    assert.include(await settle(own, event.eventId), { outcome: "completed" })
  })

  it.for([400, 422])("that is answered %i each time is given up if others were completed meanwhile", async (status) => {
    await own.rows("update outbox.settings set max_attempts = 3")
    const event = await one()
    for (let failures = 0; failures < 3; failures += 1) {
      if (failures > 0) await makeDue(own, event.eventId)
      await sweep(own)
      assert.include(await stateOf(event), { status: "pending", failures, attempts: failures + 1 })
      await settle(own, (await one()).eventId)
      await answered(event, { status, content: '{"code":"invalid_payload"}' })
      await timeOut()
    }
    assert.include(await stateOf(event), { status: "failed", failures: 3 })
    const [letter, ...more] = await lettersOf(event)
    assert.include(letter, { reason: "exhausted", attempts: 3, resolution: null })
    assert.include(letter?.last_error, `the handler answered ${status}: {"code":"invalid_payload"}`)
    assert.lengthOf(more, 0)
  })

  it("in a batch is judged only by its own entry in the answer, and is sent with fewer next time", async () => {
    await own.rows("update outbox.settings set events_per_request = 2")
    const events = await pausedEvents(own, 2)
    const [good, bad] = events
    if (good === undefined || bad === undefined) throw new Error("two events were expected")
    const results = [
      { eventId: good.eventId, status: 200 },
      { eventId: bad.eventId, status: 422, problem: { code: "payload_mismatch" } }
    ]
    await answered(good, { status: 200, content: JSON.stringify({ results }) })
    await timeOut()
    const attempts = (await Promise.all(events.map(({ eventId }) => historyOf(own, eventId)))).flat()
    assert.deepStrictEqual(
      attempts.map(({ outcome, http_status }) => ({ outcome, http_status })),
      [200, 422].map((http_status) => ({ outcome: "unacknowledged", http_status }))
    )
    assert.include(attempts[1]?.error, "payload_mismatch")
    await own.rows("update outbox.events set next_attempt_at = now()")
    await sweep(own)
    const requests = await own.rows<{ id: string }>("select headers ->> 'webhook-id' as id from net.http_request_queue")
    assert.sameMembers(
      requests.map(({ id }) => id),
      events.map(({ eventId }) => eventId)
    )
  })

  it.for(["", "<html>", "[]", "{", '{"results":7}', '{"results":[1,null,"a"]}', '{"a":1,"a":2}', '{"code":7}'])(
    "in a batch that was answered 400 with %j says only the status",
    async (content) => {
      const [event] = await pausedEvents(own, 2)
      if (event === undefined) throw new Error("two events were expected")
      await answered(event, { status: 400, content })
      await timeOut()
      assert.include(await stateOf(event), {
        status: "pending",
        failures: 1,
        last_error: "unacknowledged: the handler answered 400"
      })
    }
  )

  it.for([
    [{ code: "store_unavailable", detail: "of another event" }, ": store_unavailable"],
    [{ code: randomUUID() }, ""],
    [{ code: "a mentor's name" }, ""]
  ] as const)("in a batch that was answered 500 with %j says at most a valid code", async ([problem, said]) => {
    const [event] = await pausedEvents(own, 2)
    if (event === undefined) throw new Error("two events were expected")
    await answered(event, { status: 500, content: JSON.stringify(problem) })
    await timeOut()
    const { last_error } = await stateOf(event)
    assert.strictEqual(last_error, `unacknowledged: the handler answered 500${said}`)
  })

  it("that was answered 401 is retried, says which secrets differ, and raises an alert", async () => {
    const event = await one()
    await answered(event, { status: 401, content: "{}" })
    await timeOut()
    const state = await stateOf(event)
    assert.include(state, { status: "pending", failures: 1 })
    assert.match(state.last_error ?? "", /^transient: unauthorized: .*WEBHOOK_SECRETS/)
    await own.rows("select outbox.watch()")
    const alerts = await own.rows("select kind from outbox.alerts where closed_at is null")
    assert.deepInclude(alerts, { kind: "unauthorized" })
  })

  it.for([200, 409, 500, 503, 404])("that was answered %i is still unacknowledged", async (status) => {
    const event = await one()
    await answered(event, { status, content: "{}" })
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 1 })
    const [attempt] = await historyOf(own, event.eventId)
    assert.include(attempt, { outcome: "unacknowledged", http_status: status })
  })

  it("ignores an answer older than the dispatch, because pg_net reuses ids after a crash", async () => {
    const event = await one()
    await answered(event, { status: 400, created: new Date(Date.now() - 60_000).toISOString() })
    await timeOut()
    const [attempt] = await historyOf(own, event.eventId)
    assert.include(attempt, { http_status: null })
  })

  it("ignores an answer that names another delivery, and accepts its own in any case", async () => {
    const [other, mine] = [await one(), await one()]
    await answered(other, { status: 400, headers: { "Webhook-Id": randomUUID() } })
    await answered(mine, { status: 400, headers: { "WEBHOOK-ID": mine.eventId.toUpperCase() } })
    await timeOut()
    const attempts = (await Promise.all([other, mine].map(({ eventId }) => historyOf(own, eventId)))).flat()
    assert.deepStrictEqual(
      attempts.map(({ http_status }) => http_status),
      [null, 400]
    )
  })

  it.for([
    { headers: [] },
    { headers: ["webhook-id"] },
    { created: "infinity" },
    { content: { results: [{ status: 400.5 }, { status: "400" }, null] } },
    { content: "400.0" },
    { status: -1 }
  ])("holds up no other if any role has written an answer like %j", async ({ content, headers, ...given }) => {
    const [forged, other] = await pausedEvents(own, 2)
    if (forged === undefined || other === undefined) throw new Error("two events were expected")
    // JavaScript writes no 400.0.
    const own400 = `{"results":[{"eventId":"${forged.eventId}","status":400.0}]}`
    await answered(forged, {
      status: 200,
      content: content === "400.0" ? own400 : JSON.stringify(content ?? {}),
      ...(headers && { headers: JSON.stringify(headers) }),
      ...given
    })
    await timeOut()
    for (const event of [forged, other]) assert.include(await stateOf(event), { status: "pending", failures: 1 })
  })

  it("that came too early waits its turn, and nothing is counted", async () => {
    const event = await one()
    await answered(event, { status: 409, content: '{"code":"out_of_order"}' })
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 0, attempts: 1 })
    assert.lengthOf(await historyOf(own, event.eventId), 0)
  })

  it("is signed again if pg_net kept it until its signature was old, and nothing is counted", async () => {
    const [kept, sent] = [await one(), await one()]
    await own.rows("update outbox.deliveries set dispatched_at = dispatched_at - interval '10 minutes'")
    await answered(sent, { status: 401, content: '{"code":"stale_signature","skewSeconds":600}' })
    await own.rows("delete from net.http_request_queue where id = (select max(id) from net.http_request_queue)")
    const before = await own.rows<{ id: string }>("select id from net.http_request_queue")
    await own.rows("update outbox.events set next_attempt_at = now()")
    assert.strictEqual(await sweep(own), 2)
    for (const event of [kept, sent]) {
      assert.include(await stateOf(event), { status: "pending", failures: 0, attempts: 1 })
      assert.lengthOf(await historyOf(own, event.eventId), 0)
    }
    const after = await own.rows<{ id: string; headers: Record<string, string> }>(
      "select id, headers from net.http_request_queue"
    )
    assert.lengthOf(
      after.filter(({ id }) => before.some((old) => old.id === id)),
      0
    )
    const times = after.map(({ headers }) => Date.now() / 1000 - Number(headers["webhook-timestamp"]))
    for (const age of times) assert.isBelow(age, 240)
  })

  it("that is refused for its time although it came at once raises an alert that the clocks differ", async () => {
    const event = await one()
    await answered(event, { status: 401, content: '{"code":"stale_signature","skewSeconds":-900}' })
    await timeOut()
    const state = await stateOf(event)
    assert.include(state, { status: "pending", failures: 1 })
    assert.match(state.last_error ?? "", /^transient: clock skew: /)
    const alerts = await own.rows("select kind from outbox.alerts where closed_at is null")
    assert.deepStrictEqual(alerts, [{ kind: "clock_skew" }])
  })

  it("is a dead letter after as many failures as the settings allow, with the last answer as its reason", async () => {
    await own.rows("update outbox.settings set max_attempts = 3, retry_for_seconds = 0")
    const event = await one()
    for (let failures = 1; failures <= 3; failures += 1) {
      assert.include(await stateOf(event), { status: "pending", failures: failures - 1, attempts: failures })
      await answered(event, { status: 500 + failures, content: "trouble" })
      await own.rows("update outbox.events set last_dispatched_at = last_dispatched_at - interval '1 hour'")
      await own.rows("update outbox.deliveries set dispatched_at = dispatched_at - interval '1 hour'")
      await timeOut()
    }
    assert.include(await stateOf(event), { status: "failed", failures: 3, attempts: 3 })
    const [letter] = await lettersOf(event)
    assert.include(letter, { reason: "exhausted", attempts: 3 })
    assert.include(letter?.last_error, "the handler answered 503: trouble")
  })

  it("does not hold up its successor once it is a dead letter", async () => {
    await own.rows("update outbox.settings set max_attempts = 1, retry_for_seconds = 0")
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    assert.strictEqual(await timeOut(), 1)
    assert.include(await eventOf(own, mentor, 1), { status: "failed" })
    assert.include(await eventOf(own, mentor, 2), { status: "pending", attempts: 1 })
  })
})
