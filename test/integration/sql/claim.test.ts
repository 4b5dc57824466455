import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  claim,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  expireLease,
  failureOf,
  foreignEvent,
  type GivenEvent,
  givenEvent,
  openReadyDatabase,
  setStatus,
  settle
} from "../../support/sql.ts"

describe("claiming, completing and releasing", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const claimOf = (event: unknown) => database.rpc("pause_status_claim", { event })

  const queued = async (): Promise<GivenEvent> => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    return givenEvent(database, (await eventOf(database, mentor)).event_id)
  }

  const release = async (event: GivenEvent, error: object) => {
    const token = await claim(database, event.eventId)
    return database.rpc("pause_status_release", { event_id: event.eventId, token, error })
  }

  describe("a claim", () => {
    it("is granted for a pending event, with the first token and the lease of the settings", async () => {
      assert.deepStrictEqual(await claimOf(await queued()), {
        outcome: "claimed",
        token: 1,
        attempt: 1,
        leaseSeconds: 30
      })
    })

    it("is granted for an event that nobody queued, which is then kept with its source", async () => {
      const event = foreignEvent()
      assert.strictEqual((await claimOf(event)).outcome, "claimed")
      const kept = await database.row(
        `select source, status, version, occurred_at = '2026-11-22T10:00:00.123456Z' as occurred
         from pause_status.webhook_queue where event_id = $1`,
        [event.eventId]
      )
      assert.deepStrictEqual(kept, { source: "webhook", status: "processing", version: null, occurred: true })
    })

    it("is granted for an outbox event whose row was lost, which is not dispatched by that", async () => {
      const event = foreignEvent({ source: "outbox", version: 7 })
      assert.strictEqual((await claimOf(event)).outcome, "claimed")
      const [kept] = await eventsOf(database, event.mentorId)
      assert.include(kept, { version: 7, status: "processing", request_id: null })
    })

    it("is granted to one of 32 claimers of the same unknown event", async () => {
      const event = foreignEvent()
      const answers = await Promise.all(Array.from({ length: 32 }, () => claimOf(event)))
      const outcomes = answers.map((answer) => answer.outcome).toSorted()
      assert.deepStrictEqual(outcomes, ["claimed", ...Array<string>(31).fill("in_flight")])
    })

    it("is granted to one of 32 claimers of the same queued event", async () => {
      const event = await queued()
      const answers = await Promise.all(Array.from({ length: 32 }, () => claimOf(event)))
      assert.lengthOf(
        answers.filter((answer) => answer.outcome === "claimed"),
        1
      )
    })

    it("is refused while another one holds the lease, and says when to come back", async () => {
      const event = await queued()
      await claimOf(event)
      const { outcome, retryAfterSeconds } = await claimOf(event)
      assert.strictEqual(outcome, "in_flight")
      assert.include([28, 29, 30], retryAfterSeconds)
    })

    it("is granted with the next token when the lease ran out, and the old token is stale from then on", async () => {
      const event = await queued()
      const token = await claim(database, event.eventId)
      await expireLease(database, event.eventId)
      const second = await claimOf(event)
      assert.include(second, { outcome: "claimed", token: token + 1 })
      const late = { event_id: event.eventId, token }
      assert.deepStrictEqual(await database.rpc("pause_status_complete", { ...late, receipt: {} }), {
        outcome: "stale"
      })
      assert.deepStrictEqual(
        await database.rpc("pause_status_release", { ...late, error: { kind: "transient", message: "late" } }),
        { outcome: "stale" }
      )
      assert.include(await eventOf(database, event.mentorId), { status: "processing", last_error: null })
    })

    it("gets the receipt of an event that is completed", async () => {
      const event = await queued()
      await settle(database, event.eventId)
      assert.deepStrictEqual(await claimOf(event), { outcome: "completed", receipt: { eventId: event.eventId } })
    })

    it("learns that an event failed for good", async () => {
      const event = await queued()
      await database.rows(
        "update pause_status.webhook_queue set status = 'failed', next_attempt_at = null where event_id = $1",
        [event.eventId]
      )
      assert.deepStrictEqual(await claimOf(event), { outcome: "failed" })
    })

    it("is refused for another payload under the same key, in whatever state the event is", async () => {
      const event = await queued()
      const forged = { ...event, occurredAt: "2020-01-01T00:00:00Z" }
      const mismatch = { outcome: "payload_mismatch" }
      assert.deepStrictEqual(await claimOf(forged), mismatch)
      assert.deepStrictEqual(await claimOf({ ...event, mentorId: randomUUID() }), mismatch)
      const reversed = { transition: "RESUME", oldStatus: "paused", newStatus: "active" }
      assert.deepStrictEqual(await claimOf({ ...event, ...reversed }), mismatch)
      assert.deepStrictEqual(await claimOf({ ...event, version: 2 }), mismatch)
      await settle(database, event.eventId)
      assert.deepStrictEqual(await claimOf(forged), mismatch)
    })

    it("is refused for a version of the mentor that belongs to another event", async () => {
      const event = await queued()
      assert.deepStrictEqual(await claimOf({ ...event, eventId: randomUUID() }), { outcome: "payload_mismatch" })
    })

    it("tells events apart by microseconds, and keeps a time that is no timestamp as text", async () => {
      const mentorId = randomUUID()
      const times = ["2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00.123457Z", "now", "last Tuesday"]
      const events = times.map((occurredAt) => foreignEvent({ mentorId, occurredAt }))
      for (const event of events) assert.strictEqual((await claimOf(event)).outcome, "claimed")
      const [first, second, ...words] = events
      assert.strictEqual((await claimOf({ ...first, occurredAt: second?.occurredAt })).outcome, "payload_mismatch")
      const { unknown } = await database.row<{ unknown: number }>(
        "select count(*)::int as unknown from pause_status.webhook_queue where mentor_id = $1 and occurred_at is null",
        [mentorId]
      )
      assert.strictEqual(unknown, words.length)
    })

    it("does not care how the mentor's uuid is written", async () => {
      const event = foreignEvent()
      await claimOf(event)
      const shouted = { ...event, mentorId: event.mentorId.toUpperCase(), eventId: event.eventId.toUpperCase() }
      assert.strictEqual((await claimOf(shouted)).outcome, "in_flight")
    })

    const malformed: ReadonlyArray<{ readonly event: unknown; readonly says: string }> = [
      { event: null, says: "event must be a JSON object, but it is null" },
      { event: '"text"', says: "event must be a JSON object, but it is string" },
      { event: {}, says: "eventId must be a non-empty string; mentorId" },
      { event: { ...foreignEvent(), eventId: "1" }, says: "eventId must be a uuid" },
      { event: { ...foreignEvent(), mentorId: null }, says: "mentorId must be a non-empty string" },
      { event: { ...foreignEvent(), occurredAt: 1700000000 }, says: "occurredAt must be a non-empty string" },
      { event: { ...foreignEvent(), occurredAt: "" }, says: "occurredAt must be a non-empty string" },
      { event: { ...foreignEvent(), transition: "NO_CHANGE" }, says: "transition must be PAUSE" },
      { event: { ...foreignEvent(), newStatus: "active" }, says: "transition must be PAUSE" },
      { event: { ...foreignEvent(), source: "dashboard" }, says: "source must be outbox or webhook" },
      { event: { ...foreignEvent(), source: "outbox" }, says: "version must be given" },
      { event: { ...foreignEvent(), version: "1" }, says: "version must be a whole number" },
      { event: { ...foreignEvent(), version: 1.5 }, says: "version must be a whole number" },
      { event: { ...foreignEvent(), version: 0 }, says: "version must be a whole number" }
    ]
    it.for(malformed)("of a malformed event is refused and writes nothing: $says", async ({ event, says }) => {
      const count = "select count(*)::int as events from pause_status.webhook_queue"
      const before = await database.row(count)
      const failure = await failureOf(claimOf(event))
      assert.include(failure, "22023: ")
      assert.include(failure, says)
      assert.deepStrictEqual(await database.row(count), before)
    })
  })

  describe("completing", () => {
    it("keeps the receipt and remembers what the coordinators know", async () => {
      const event = await queued()
      const token = await claim(database, event.eventId)
      const receipt = { run: "run_1", notified: 2 }
      assert.deepStrictEqual(await database.rpc("pause_status_complete", { event_id: event.eventId, token, receipt }), {
        outcome: "completed"
      })
      assert.deepInclude(await eventOf(database, event.mentorId), { status: "completed", receipt })
      const state = await database.row(
        "select notified_version::int, notified_status from pause_status.mentor_states where mentor_id = $1",
        [event.mentorId]
      )
      assert.deepStrictEqual(state, { notified_version: 1, notified_status: "paused" })
    })

    it("answers completed again to the claimant whose answer was lost, and changes nothing", async () => {
      const event = await queued()
      const token = await claim(database, event.eventId)
      const complete = (receipt: object) =>
        database.rpc("pause_status_complete", { event_id: event.eventId, token, receipt })
      await complete({ first: true })
      assert.deepStrictEqual(await complete({ first: false }), { outcome: "completed" })
      assert.deepInclude(await eventOf(database, event.mentorId), { receipt: { first: true } })
    })

    it("is stale for an unknown event and for one that nobody claimed", async () => {
      const { eventId } = await queued()
      for (const event_id of [eventId, randomUUID()]) {
        const answer = await database.rpc("pause_status_complete", { event_id, token: 0, receipt: {} })
        assert.deepStrictEqual(answer, { outcome: "stale" })
      }
    })

    it("refuses a receipt that is no object, or no token", async () => {
      const { eventId: event_id } = await queued()
      const token = await claim(database, event_id)
      for (const bad of [{ receipt: null }, { receipt: "1" }, { token: null }, { event_id: null }]) {
        const args = { event_id, token, receipt: {}, ...bad }
        assert.include(await failureOf(database.rpc("pause_status_complete", args)), "22023: ")
      }
    })
  })

  describe("releasing", () => {
    it("makes the event claimable at once for whoever comes, and due after the backoff for the sweep", async () => {
      const event = await queued()
      const answer = await release(event, { kind: "transient", message: "the orchestrator answered 503" })
      assert.deepStrictEqual(answer, { outcome: "released" })
      const kept = await eventOf(database, event.mentorId)
      assert.include(kept, { status: "pending", last_error: "transient: the orchestrator answered 503" })
      assert.isBelow(kept.seconds_until_next_attempt ?? 0, 3)
      assert.include(await claimOf(event), { outcome: "claimed", token: 2 })
    })

    it("waits as long as Retry-After asks when that is longer, but not beyond the cap", async () => {
      for (const [asked, low, high] of [
        [60, 50, 60],
        [86400, 290, 300]
      ] as const) {
        const event = await queued()
        await release(event, { kind: "transient", message: "busy", retryAfterSeconds: asked })
        const { seconds_until_next_attempt } = await eventOf(database, event.mentorId)
        assert.isAtLeast(seconds_until_next_attempt ?? 0, low)
        assert.isAtMost(seconds_until_next_attempt ?? 0, high)
      }
    })

    it("keeps a message of any length within 2 KB", async () => {
      const event = await queued()
      await release(event, { kind: "permanent", message: "🎉".repeat(5000) })
      const { last_error } = await eventOf(database, event.mentorId)
      assert.isAtMost(Buffer.byteLength(last_error ?? ""), 2048)
      assert.match(last_error ?? "", /^permanent: (🎉)+$/u)
    })

    it("counts every claim of what somebody else sends as an attempt", async () => {
      const event = foreignEvent()
      for (const attempt of [1, 2, 3]) {
        const answer = await claimOf(event)
        assert.strictEqual(answer["attempt"], attempt)
        await database.rpc("pause_status_release", {
          event_id: event.eventId,
          token: answer["token"],
          error: { kind: "transient", message: "refused" }
        })
      }
      const [kept] = await eventsOf(database, event.mentorId)
      assert.include(kept, { seconds_until_next_attempt: null, status: "pending" })
    })

    it("refuses an error without kind or message, or with a Retry-After that is no number", async () => {
      const { eventId: event_id } = await queued()
      const token = await claim(database, event_id)
      for (const error of [
        null,
        {},
        { kind: "odd", message: "x" },
        { kind: "transient" },
        { kind: "transient", message: "x", retryAfterSeconds: "soon" },
        { kind: "transient", message: "x", retryAfterSeconds: -1 }
      ]) {
        assert.include(await failureOf(database.rpc("pause_status_release", { event_id, token, error })), "22023: ")
      }
    })
  })
})
