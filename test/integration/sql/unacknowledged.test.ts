import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  type GivenEvent,
  historyOf,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  sweep
} from "../../support/sql.ts"

interface Given {
  readonly status?: number
  readonly content?: string
  readonly headers?: object
  readonly error?: string
  readonly created?: string
}

describe("a delivery that nobody claimed", () => {
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
       from pause_status.webhook_queue q join pause_status.deliveries d on d.id = q.delivery_id
       where q.event_id = $1`,
      [event.eventId, status, content, headers, error, created]
    )
  }

  const timeOut = async (): Promise<number> => {
    await emptyNet(own)
    await own.rows("update pause_status.webhook_queue set next_attempt_at = now() where delivery_id is not null")
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
      `select reason, last_error, attempts, resolution from pause_status.dead_letter_queue
       where event_id = $1 order by created_at`,
      [event.eventId]
    )

  it("and has no answer counts as one failure, and is sent again after the backoff", async () => {
    const event = await one()
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 1 })
    const [attempt, ...more] = await historyOf(own, event.eventId)
    assert.include(attempt, { outcome: "unacknowledged", why: "commit", delivery_id: event.eventId, http_status: null })
    assert.include(attempt?.error, "the request or the answer was lost")
    assert.lengthOf(more, 0)
  })

  it.for([400, 422])("and was answered %i is a dead letter at once: rejected", async (status) => {
    const event = await one()
    await answered(event, { status, content: '{"code":"invalid_payload"}' })
    await timeOut()
    assert.include(await stateOf(event), { status: "failed", failures: 1 })
    const [letter, ...more] = await lettersOf(event)
    assert.include(letter, { reason: "rejected", attempts: 1, resolution: null })
    assert.include(letter?.last_error, `the handler answered ${status}: {"code":"invalid_payload"}`)
    assert.lengthOf(more, 0)
  })

  it("in a batch is rejected by its own entry in the answer only", async () => {
    const events = await pausedEvents(own, 3)
    const [first, second] = events
    if (first === undefined || second === undefined) throw new Error("three events were expected")
    const results = [
      { eventId: first.eventId, status: 200 },
      { eventId: second.eventId, status: 422, code: "payload_mismatch" }
    ]
    await answered(first, { status: 200, content: JSON.stringify({ results }) })
    await timeOut()
    const states = await Promise.all(events.map(stateOf))
    assert.deepStrictEqual(
      states.map(({ status }) => status),
      ["pending", "failed", "pending"]
    )
    const [letter] = await lettersOf(second)
    assert.include(letter?.last_error, "payload_mismatch")
  })

  it.for(["", "<html>", "[]", "{", '{"results":7}', '{"results":[1,null,"a"]}', '{"a":1,"a":2}'])(
    "in a batch that was answered 400 with %j is not rejected for its neighbours' sake",
    async (content) => {
      const [event] = await pausedEvents(own, 2)
      if (event === undefined) throw new Error("two events were expected")
      await answered(event, { status: 400, content })
      await timeOut()
      assert.include(await stateOf(event), { status: "pending", failures: 1 })
    }
  )

  it("and was answered 401 is retried, says which secrets differ, and raises an alert", async () => {
    const event = await one()
    await answered(event, { status: 401, content: "{}" })
    await timeOut()
    const state = await stateOf(event)
    assert.include(state, { status: "pending", failures: 1 })
    assert.match(state.last_error ?? "", /^transient: unauthorized: .*WEBHOOK_SECRETS/)
    await own.rows("select pause_status.watch()")
    const alerts = await own.rows("select kind from pause_status.alerts where closed_at is null")
    assert.deepInclude(alerts, { kind: "unauthorized" })
  })

  it.for([200, 409, 500, 503, 404])("and was answered %i is unacknowledged all the same", async (status) => {
    const event = await one()
    await answered(event, { status, content: "{}" })
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 1 })
    const [attempt] = await historyOf(own, event.eventId)
    assert.include(attempt, { outcome: "unacknowledged", http_status: status })
  })

  it("does not believe an answer older than the dispatch: pg_net gives the same ids again after a crash", async () => {
    const event = await one()
    await answered(event, { status: 400, created: new Date(Date.now() - 60_000).toISOString() })
    await timeOut()
    assert.include(await stateOf(event), { status: "pending" })
  })

  it("does not believe an answer that names another delivery, but one that names its own in whatever case", async () => {
    const [other, mine] = [await one(), await one()]
    await answered(other, { status: 400, headers: { "Webhook-Id": randomUUID() } })
    await answered(mine, { status: 400, headers: { "WEBHOOK-ID": mine.eventId.toUpperCase() } })
    await timeOut()
    assert.include(await stateOf(other), { status: "pending" })
    assert.include(await stateOf(mine), { status: "failed" })
  })

  it("comes too early and was answered so: it waits its turn, and nothing is counted", async () => {
    const event = await one()
    await answered(event, { status: 409, content: '{"code":"out_of_order"}' })
    await timeOut()
    assert.include(await stateOf(event), { status: "pending", failures: 0, attempts: 1 })
    assert.lengthOf(await historyOf(own, event.eventId), 0)
  })

  it("is signed again when pg_net kept it until its signature was old: sent or not, nothing is counted", async () => {
    const [kept, sent] = [await one(), await one()]
    await own.rows("update pause_status.deliveries set dispatched_at = dispatched_at - interval '10 minutes'")
    await answered(sent, { status: 401, content: '{"code":"stale_signature","skewSeconds":600}' })
    await own.rows("delete from net.http_request_queue where id = (select max(id) from net.http_request_queue)")
    const before = await own.rows<{ id: string }>("select id from net.http_request_queue")
    await own.rows("update pause_status.webhook_queue set next_attempt_at = now()")
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

  it("was refused for the time on its signature although it came at once: the clocks differ, and an alert says so", async () => {
    const event = await one()
    await answered(event, { status: 401, content: '{"code":"stale_signature","skewSeconds":-900}' })
    await timeOut()
    const state = await stateOf(event)
    assert.include(state, { status: "pending", failures: 1 })
    assert.match(state.last_error ?? "", /^transient: clock skew: /)
    const alerts = await own.rows("select kind from pause_status.alerts where closed_at is null")
    assert.deepStrictEqual(alerts, [{ kind: "clock_skew" }])
  })

  it("is a dead letter after as many failures as the settings allow, with the last answer as its reason", async () => {
    await own.rows("update pause_status.settings set max_attempts = 3, retry_for_seconds = 0")
    const event = await one()
    for (let failures = 1; failures <= 3; failures += 1) {
      assert.include(await stateOf(event), { status: "pending", failures: failures - 1, attempts: failures })
      await answered(event, { status: 500 + failures, content: "trouble" })
      await own.rows(
        "update pause_status.webhook_queue set last_dispatched_at = last_dispatched_at - interval '1 hour'"
      )
      await own.rows("update pause_status.deliveries set dispatched_at = dispatched_at - interval '1 hour'")
      await timeOut()
    }
    assert.include(await stateOf(event), { status: "failed", failures: 3, attempts: 3 })
    const [letter] = await lettersOf(event)
    assert.include(letter, { reason: "exhausted", attempts: 3 })
    assert.include(letter?.last_error, "the handler answered 503: trouble")
  })

  it("does not hold up its successor once it is a dead letter", async () => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    const first = await eventOf(own, mentor)
    await own.rows(
      `insert into net._http_response (id, status_code, created)
       select $1, 400, now()`,
      [first.request_id]
    )
    assert.strictEqual(await timeOut(), 1)
    assert.include(await eventOf(own, mentor, 1), { status: "failed" })
    assert.include(await eventOf(own, mentor, 2), { status: "pending", attempts: 1 })
  })
})
