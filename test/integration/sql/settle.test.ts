import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  claim,
  claimOf,
  complete,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  expireLease,
  failureOf,
  foreignEvent,
  historyOf,
  openReadyDatabase,
  pausedEvents,
  release,
  setStatus,
  settle,
  settleAll,
  settleWith
} from "../../support/sql.ts"

describe("settling events", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const queued = async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const { event_id } = await eventOf(database, mentor)
    return { mentor, eventId: event_id, current: () => eventOf(database, mentor) }
  }

  describe("as completed", () => {
    it("keeps the receipt", async () => {
      const { eventId, current } = await queued()
      const receipt = { run: "run_1", notified: 2 }
      const answer = await complete(database, eventId, await claim(database, eventId), receipt)
      assert.deepStrictEqual(answer, { eventId, outcome: "completed" })
      assert.deepInclude(await current(), { status: "completed", receipt })
    })

    it("answers completed again to a claimant whose answer was lost, and changes nothing", async () => {
      const { eventId, current } = await queued()
      const token = await claim(database, eventId)
      await complete(database, eventId, token, { first: true })
      assert.include(await complete(database, eventId, token, { first: false }), { outcome: "completed" })
      assert.deepInclude(await current(), { receipt: { first: true } })
    })

    it("is stale for an unknown event and for an unclaimed one", async () => {
      const { eventId } = await queued()
      for (const id of [eventId, randomUUID()]) {
        assert.include(await complete(database, id, 1), { outcome: "stale" })
      }
    })
  })

  describe("by a claimant whose lease ran out and whose event was claimed again", () => {
    it.each([
      ["completed", (id: string, token: number) => complete(database, id, token)],
      ["released", (id: string, token: number) => release(database, id, token)],
      ["dead", (id: string, token: number) => release(database, id, token, { kind: "permanent", message: "no" })]
    ])("is stale and changes nothing: %s", async (_, settleLate) => {
      const { eventId, current } = await queued()
      const late = await claim(database, eventId)
      await expireLease(database, eventId)
      const token = await claim(database, eventId)
      const before = await current()
      const history = await historyOf(database, eventId)

      assert.include(await settleLate(eventId, late), { outcome: "stale" })
      assert.deepStrictEqual(await current(), before)
      assert.deepStrictEqual(await historyOf(database, eventId), history)
      assert.include(await complete(database, eventId, token), { outcome: "completed" })
    })
  })

  describe("as released", () => {
    it("makes the event claimable at once, and due for the sweep after the backoff", async () => {
      const { eventId, current } = await queued()
      const token = await claim(database, eventId)
      const answer = await release(database, eventId, token, {
        kind: "transient",
        message: "the orchestrator answered 503"
      })
      assert.deepStrictEqual(answer, { eventId, outcome: "released" })
      const kept = await current()
      assert.include(kept, { status: "pending", failures: 1, last_error: "transient: the orchestrator answered 503" })
      assert.isBelow(kept.seconds_until_next_attempt ?? 0, 3)
      assert.strictEqual(await claim(database, eventId), token + 1)
    })

    it("waits as long as Retry-After asks if that is longer, but not beyond the cap", async () => {
      for (const [asked, low, high] of [
        [60, 50, 60],
        [86400, 290, 300],
        [1e30, 290, 300]
      ] as const) {
        const { eventId, current } = await queued()
        const reason = { kind: "transient", message: "busy", retryAfterSeconds: asked }
        await release(database, eventId, await claim(database, eventId), reason)
        const { seconds_until_next_attempt } = await current()
        assert.isAtLeast(seconds_until_next_attempt ?? 0, low)
        assert.isAtMost(seconds_until_next_attempt ?? 0, high)
      }
    })

    it("counts nothing while the event is parked, and waits as long as it was asked to", async () => {
      const { eventId, current } = await queued()
      const reason = { kind: "parked", message: "the circuit is open", retryAfterSeconds: 40 }
      for (let times = 0; times < 12; times += 1) {
        assert.include(await release(database, eventId, await claim(database, eventId), reason), {
          outcome: "released"
        })
      }
      const kept = await current()
      assert.include(kept, { status: "pending", failures: 0 })
      assert.isAbove(kept.seconds_until_next_attempt ?? 0, 30)
    })

    it("cuts a message of any length to 2 KB", async () => {
      const { eventId, current } = await queued()
      await release(database, eventId, await claim(database, eventId), {
        kind: "permanent",
        message: "🎉".repeat(5000)
      })
      const { last_error } = await current()
      assert.isAtMost(Buffer.byteLength(last_error ?? ""), 2048)
      assert.match(last_error ?? "", /^permanent: (🎉)+$/u)
    })

    it("counts every claim of another sender's event as an attempt", async () => {
      const event = foreignEvent()
      for (const attempt of [1, 2, 3]) {
        const answer = await claimOf(database, event)
        assert.strictEqual(answer["attempt"], attempt)
        await release(database, event.eventId, answer["token"])
      }
      const [kept] = await eventsOf(database, event.mentorId)
      assert.include(kept, { seconds_until_next_attempt: null, status: "pending" })
    })
  })

  it("leaves a row of history at the end of each attempt, with what the handler said", async () => {
    const { eventId } = await queued()
    const reason = { kind: "transient", message: "no answer", status: 503, durationMs: 1234.5 }
    await release(database, eventId, await claim(database, eventId), reason)
    await settle(database, eventId)
    const [first, second, ...others] = await historyOf(database, eventId)
    assert.include(first, {
      attempt: 1,
      why: "commit",
      outcome: "transient",
      http_status: 503,
      error: "transient: no answer",
      duration_ms: 1235,
      claim_token: "1",
      delivery_id: eventId
    })
    assert.include(second, { outcome: "completed", error: null, claim_token: "2" })
    assert.isAtLeast(second?.duration_ms ?? -1, 0)
    assert.lengthOf(others, 0)
  })

  it("answers settlements in order and dispatches all the mentors' next events in one request", async () => {
    const events = await pausedEvents(database, 4)
    const tokens = await Promise.all(events.map(({ eventId }) => claim(database, eventId)))
    for (const { mentorId } of events) await setStatus(database, mentorId, "active")
    await database.rows("truncate net.http_request_queue")
    const settlements = events.map(({ eventId }, index) =>
      index === 1
        ? { eventId, token: tokens[index], outcome: "released", kind: "transient", message: "refused" }
        : index === 2
          ? { eventId, token: tokens[index], outcome: "released", kind: "permanent", message: "refused" }
          : { eventId, token: tokens[index], outcome: "completed", receipt: {} }
    )
    const { settled, next } = await settleAll(database, [
      ...settlements,
      { ...settlements[0], token: 99 },
      { ...settlements[0], token: "1" }
    ])
    assert.deepStrictEqual(next, [])
    assert.deepStrictEqual(
      settled.map(({ outcome }) => outcome),
      ["completed", "released", "dead", "completed", "stale", "invalid"]
    )
    const [request, ...more] = await database.rows<{ body: Array<{ record: { id: string } }> }>(
      "select convert_from(body, 'UTF8')::jsonb as body from net.http_request_queue"
    )
    assert.lengthOf(more, 0)
    assert.sameMembers(
      request?.body.map(({ record }) => record.id) ?? [],
      [0, 2, 3].map((index) => events[index]?.mentorId ?? "")
    )
  })

  describe("that takes more events", () => {
    const completedWith = async (events: ReadonlyArray<{ readonly eventId: string }>, take: number) => {
      const tokens = await Promise.all(events.map(({ eventId }) => claim(database, eventId)))
      return settleAll(
        database,
        events.map(({ eventId }, index) => ({ eventId, token: tokens[index], outcome: "completed", receipt: {} })),
        take
      )
    }

    it("returns the mentor's next event, already claimed, like a delivery", async () => {
      const { mentor, eventId } = await queued()
      await setStatus(database, mentor, "active", "paused")
      const second = await eventOf(database, mentor, 2)
      const { next } = await completedWith([{ eventId }], 5)
      const mine = next.filter(({ payload }) => payload.record.id === mentor)
      assert.lengthOf(mine, 1)
      const { body } = await database.row<{ body: unknown }>(
        "select outbox.body(q) as body from outbox.events q where event_id = $1",
        [second.event_id]
      )
      assert.deepStrictEqual<unknown>(mine[0]?.payload, body)
      assert.include(await eventOf(database, mentor, 2), { status: "processing" })
      const { settled } = await settleAll(
        database,
        [{ eventId: second.event_id, token: mine[0]?.token, outcome: "completed", receipt: {} }],
        0
      )
      assert.deepStrictEqual(settled, [{ eventId: second.event_id, outcome: "completed" }])
    })

    it("returns what else is due, in full order, and nothing that another delivery holds", async () => {
      await using own = await openReadyDatabase()
      await own.rows("update outbox.settings set events_per_request = 2")
      const events = await pausedEvents(own, 16)
      const due = await own.rows<{ event_id: string }>("select event_id from outbox.events where delivery_id is null")
      assert.lengthOf(due, 12)
      const first = events.find(({ eventId }) => due.every(({ event_id }) => event_id !== eventId))
      if (first === undefined) throw new Error("no event was sent")
      await using hanging = await own.connect()
      await hanging.query("begin")
      await hanging.query("select from outbox.events where event_id = $1 for update", [due[0]?.event_id])
      const token = await claim(own, first.eventId)
      const settlement = { eventId: first.eventId, token, outcome: "completed", receipt: {} }
      const { next } = await settleAll(own, [settlement], 4)
      await hanging.query("rollback")
      assert.lengthOf(next, 4)
      const ids = due.slice(1).map(({ event_id }) => event_id)
      for (const { payload } of next) assert.include(ids, payload.event_id)
    })

    it("leaves an event alone that waits for its own retry", async () => {
      const { mentor, eventId } = await queued()
      await setStatus(database, mentor, "active")
      const second = await eventOf(database, mentor, 2)
      await database.rows(
        `update outbox.events set failures = 1, first_failed_at = now(), last_failed_at = now(),
           delivery_id = null, next_attempt_at = now() + interval '1 minute'
         where event_id = $1`,
        [second.event_id]
      )
      const { next } = await completedWith([{ eventId }], 50)
      assert.notInclude(
        next.map(({ payload }) => payload.event_id),
        second.event_id
      )
    })
  })

  const { eventId } = foreignEvent()
  const good = { eventId, token: 1, outcome: "released", kind: "transient", message: "refused" }
  it.for([
    { settlement: null, says: "eventId must be a uuid; token" },
    { settlement: { ...good, eventId: "1" }, says: "eventId must be a uuid" },
    { settlement: { ...good, token: null }, says: "token must be a whole number" },
    { settlement: { ...good, token: 1.5 }, says: "token must be a whole number" },
    { settlement: { ...good, outcome: "done" }, says: "outcome must be completed or released" },
    { settlement: { ...good, outcome: "completed" }, says: "receipt must be a JSON object" },
    { settlement: { ...good, outcome: "completed", receipt: "1" }, says: "receipt must be a JSON object" },
    { settlement: { ...good, kind: "odd" }, says: "kind must be" },
    { settlement: { ...good, message: undefined }, says: "message must be a string" },
    { settlement: { ...good, retryAfterSeconds: "soon" }, says: "retryAfterSeconds must be a number from 0" },
    { settlement: { ...good, retryAfterSeconds: -1 }, says: "retryAfterSeconds must be a number from 0" },
    { settlement: { ...good, status: 42 }, says: "status must be" },
    { settlement: { ...good, durationMs: -1 }, says: "durationMs must be a number from 0" }
  ])("says what is wrong with a malformed settlement: $says", async ({ settlement, says }) => {
    const answer = await settleWith(database, settlement)
    assert.strictEqual(answer.outcome, "invalid")
    assert.include(answer["message"], says)
  })

  it("refuses anything but an array", async () => {
    const failure = await failureOf(database.rpc("outbox_settle", { settlements: {} }))
    assert.include(failure, "22023: settlements must be a JSON array")
    assert.include(await settleWith(database, good), { outcome: "stale" })
  })
})
