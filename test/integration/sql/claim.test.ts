import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  asClaim,
  bury,
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
  type GivenEvent,
  givenEvent,
  openReadyDatabase,
  release,
  setStatus,
  settle,
  claimMany
} from "../../support/sql.ts"

describe("claiming events", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  /** The answer to one event, without the event id that every answer repeats. */
  const ask = async (event: GivenEvent) => {
    const { eventId, ...answer } = await claimOf(database, event)
    assert.strictEqual(eventId, event.eventId.toLowerCase())
    return answer
  }

  const queued = async (): Promise<GivenEvent> => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    return givenEvent(database, (await eventOf(database, mentor)).event_id)
  }

  describe("a claim", () => {
    it("is granted for a pending event, with the first token and the lease of the settings", async () => {
      assert.deepStrictEqual(await ask(await queued()), {
        outcome: "claimed",
        token: 1,
        attempt: 1,
        leaseSeconds: 30
      })
    })

    it("is granted for an event that is not queued, which is then stored with its source", async () => {
      const event = foreignEvent()
      assert.strictEqual((await ask(event)).outcome, "claimed")
      const kept = await database.row(
        `select source, status, version, occurred_at = '2026-11-22T10:00:00.123456Z' as occurred
         from outbox.events where event_id = $1`,
        [event.eventId]
      )
      assert.deepStrictEqual(kept, { source: "webhook", status: "processing", version: null, occurred: true })
    })

    it("is refused for an outbox event that this outbox does not have, and writes nothing but an alert", async () => {
      const mentor = await createMentor(database)
      for (const version of [1, 50]) {
        const event = foreignEvent({ mentorId: mentor, source: "outbox", version })
        assert.deepStrictEqual(await ask(event), { outcome: "unknown_event" })
      }
      assert.lengthOf(await eventsOf(database, mentor), 0)
      await setStatus(database, mentor, "paused")
      assert.include(await eventOf(database, mentor), { version: 1, status: "pending" })
      const { value } = await database.row<{ value: number }>(
        "select value::int from outbox.alerts where kind = 'unknown_event' and closed_at is null"
      )
      assert.isAtLeast(value, 2)
    })

    it("is granted to one of 32 claimers of the same unknown event", async () => {
      const event = foreignEvent()
      const answers = await Promise.all(Array.from({ length: 32 }, () => ask(event)))
      const outcomes = answers.map((answer) => answer.outcome).toSorted()
      assert.deepStrictEqual(outcomes, ["claimed", ...Array<string>(31).fill("in_flight")])
    })

    it("is granted to one of 32 claimers of the same queued event", async () => {
      const event = await queued()
      const answers = await Promise.all(Array.from({ length: 32 }, () => ask(event)))
      assert.lengthOf(
        answers.filter((answer) => answer.outcome === "claimed"),
        1
      )
    })

    it("is refused while another one holds the lease, and says when to retry", async () => {
      const event = await queued()
      await ask(event)
      const secondsLeft = async () =>
        (
          await database.row<{ seconds: number }>(
            `select ceil(extract(epoch from lease_expires_at - clock_timestamp()))::int as seconds
             from outbox.events where event_id = $1`,
            [event.eventId]
          )
        ).seconds
      const before = await secondsLeft()
      const { outcome, retryAfterSeconds } = await ask(event)
      assert.strictEqual(outcome, "in_flight")
      assert.isAtMost(Number(retryAfterSeconds), before)
      assert.isAtLeast(Number(retryAfterSeconds), Math.max(1, await secondsLeft()))
    })

    it("is granted with the next token when the lease ran out, and the old token is stale from then on", async () => {
      const event = await queued()
      const token = await claim(database, event.eventId)
      await expireLease(database, event.eventId)
      const second = await ask(event)
      assert.include(second, { outcome: "claimed", token: token + 1 })
      assert.include(await complete(database, event.eventId, token), { outcome: "stale" })
      assert.include(await release(database, event.eventId, token), { outcome: "stale" })
      assert.include(await eventOf(database, event.mentorId), { status: "processing", last_error: null })
    })

    it("gets the receipt of an event that is completed", async () => {
      const event = await queued()
      await settle(database, event.eventId)
      assert.deepStrictEqual(await ask(event), { outcome: "completed", receipt: { eventId: event.eventId } })
    })

    it("learns that an event failed permanently", async () => {
      const event = await queued()
      await bury(database, event.eventId)
      assert.deepStrictEqual(await ask(event), { outcome: "failed" })
    })

    it("is refused for another payload under the same key, in every state of the event", async () => {
      const event = await queued()
      const forged = { ...event, occurredAt: "2020-01-01T00:00:00Z" }
      const mismatch = { outcome: "payload_mismatch" }
      assert.deepStrictEqual(await ask(forged), mismatch)
      assert.deepStrictEqual(await ask({ ...event, mentorId: randomUUID() }), mismatch)
      const reversed = { transition: "RESUME", oldStatus: "paused", newStatus: "active" }
      assert.deepStrictEqual(await ask({ ...event, ...reversed }), mismatch)
      assert.deepStrictEqual(await ask({ ...event, version: 2 }), mismatch)
      await settle(database, event.eventId)
      assert.deepStrictEqual(await ask(forged), mismatch)
    })

    it("is refused for a version of the mentor that belongs to another event", async () => {
      const event = await queued()
      assert.deepStrictEqual(await ask({ ...event, eventId: randomUUID() }), { outcome: "unknown_event" })
    })

    it("distinguishes events by microseconds, and keeps a time that is not a timestamp as text", async () => {
      const mentorId = randomUUID()
      const times = ["2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00.123457Z", "now", "last Tuesday"]
      const events = times.map((occurredAt) => foreignEvent({ mentorId, occurredAt }))
      for (const event of events) assert.strictEqual((await ask(event)).outcome, "claimed")
      const [first = foreignEvent(), second = foreignEvent(), ...words] = events
      assert.strictEqual((await ask({ ...first, occurredAt: second.occurredAt })).outcome, "payload_mismatch")
      const { unknown } = await database.row<{ unknown: number }>(
        "select count(*)::int as unknown from outbox.events where key = $1 and occurred_at is null",
        [mentorId]
      )
      assert.strictEqual(unknown, words.length)
    })

    it("accepts any spelling of the event id, but takes another spelling of the key for another key", async () => {
      const event = foreignEvent()
      const digits = event.eventId.replaceAll("-", "")
      for (const eventId of [digits, event.eventId, event.eventId.toUpperCase(), `{${digits}}`]) {
        const outcome = eventId === digits ? "claimed" : "in_flight"
        assert.include(await claimOf(database, { ...event, eventId }), { eventId: event.eventId, outcome })
      }
      const shouted = { ...event, mentorId: event.mentorId.toUpperCase() }
      assert.deepStrictEqual(await ask(shouted), { outcome: "payload_mismatch" })
    })

    it("is out of order while an earlier version of the mentor is unsettled, for every caller", async () => {
      const first = await queued()
      await setStatus(database, first.mentorId, "active")
      const second = await givenEvent(database, (await eventOf(database, first.mentorId, 2)).event_id)
      const outOfOrder = async () => {
        const { outcome, retryAfterSeconds } = await ask(second)
        assert.strictEqual(outcome, "out_of_order")
        assert.isAtLeast(Number(retryAfterSeconds), 1)
      }
      await outOfOrder()
      await claim(database, first.eventId)
      await outOfOrder()
      await expireLease(database, first.eventId)
      await outOfOrder()
      await settle(database, first.eventId)
      assert.include(await ask(second), { outcome: "claimed" })
    })

    it("is out of order behind an earlier version in the same array", async () => {
      const first = await queued()
      await setStatus(database, first.mentorId, "active")
      const second = await givenEvent(database, (await eventOf(database, first.mentorId, 2)).event_id)
      const events = [second, first]
      const answers = await claimMany(database, events)
      assert.deepStrictEqual(
        answers.map(({ outcome }) => outcome),
        ["out_of_order", "claimed"]
      )
    })

    it("is granted to the first of two in one array, and answered in the array's order", async () => {
      const [first, second] = [foreignEvent(), await queued()]
      const events = [first, second, foreignEvent()]
      const answers = await claimMany(database, [...events, second, first])
      assert.deepStrictEqual(
        answers.map((answer) => [answer["eventId"], answer.outcome]),
        [0, 1, 2, 1, 0].map((index, place) => [events[index]?.eventId, place < 3 ? "claimed" : "in_flight"])
      )
    })

    const claims = (events: unknown) => database.rpc("outbox_claim", { events })

    const good = asClaim(foreignEvent())
    const malformed: ReadonlyArray<{ readonly event: unknown; readonly says: string }> = [
      { event: null, says: "it must be a JSON object" },
      { event: "text", says: "it must be a JSON object" },
      { event: {}, says: "eventId must be a uuid; topic must be a non-empty string; key must be a non-empty string" },
      { event: { ...good, eventId: "1" }, says: "eventId must be a uuid" },
      { event: { ...good, topic: 1 }, says: "topic must be a non-empty string" },
      { event: { ...good, key: null }, says: "key must be a non-empty string" },
      { event: { ...good, key: "" }, says: "key must be a non-empty string" },
      { event: { ...good, occurredAt: 1700000000 }, says: "occurredAt must be a non-empty string" },
      { event: { ...good, occurredAt: "" }, says: "occurredAt must be a non-empty string" },
      { event: { ...good, record: null }, says: "record must be a JSON object" },
      { event: { ...good, record: ["paused"] }, says: "record must be a JSON object" },
      { event: { ...good, oldRecord: "active" }, says: "oldRecord must be a JSON object or null" },
      { event: { ...good, source: "dashboard" }, says: "source must be outbox or webhook" },
      { event: { ...good, source: "outbox" }, says: "version must be given" },
      { event: { ...good, version: "1" }, says: "version must be a whole number" },
      { event: { ...good, version: 1.5 }, says: "version must be a whole number" },
      { event: { ...good, version: 0 }, says: "version must be a whole number" }
    ]
    it.for(malformed)("of a malformed event is invalid, and the others are claimed: $says", async (given) => {
      const [first, invalid, last] = await claims([asClaim(foreignEvent()), given.event, asClaim(foreignEvent())])
      assert.deepStrictEqual([first?.outcome, invalid?.outcome, last?.outcome], ["claimed", "invalid", "claimed"])
      assert.include(invalid?.["message"], given.says)
    })

    it.for([null, {}, "text"])("of anything but an array is refused: %j", async (events) => {
      const failure = await failureOf(claims(events))
      assert.include(failure, "22023: events must be a JSON array")
    })
  })
})
