import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  bury,
  claim,
  claimOf,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  foreignEvent,
  givenEvent,
  openReadyDatabase,
  release,
  setStatus,
  settle,
  sweep
} from "../../support/sql.ts"

const topic = "pause-status"

describe("a pending event that a person cancels", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const resolve = async (event_id: string, options: object = {}) =>
    (await database.call<{ outcome: string }>("outbox_resolve", { topic, event_id, ...options })).outcome

  const requests = async (eventId: string) =>
    (
      await database.row<{ requests: number }>(
        "select count(*)::int as requests from net.http_request_queue where convert_from(body, 'UTF8') like $1",
        [`%${eventId}%`]
      )
    ).requests

  /** A mentor with events of versions 1, 2 and so on. */
  const changed = async (...statuses: ReadonlyArray<string>) => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, ...statuses)
    return { mentor, at: (version: number) => eventOf(database, mentor, version) }
  }

  it("is settled, with a closed dead letter that says who did it and why", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    assert.strictEqual(await resolve(event_id, { notes: "a mistake", dry_run: true }), "would_cancel")
    assert.include(await at(1), { status: "pending" })
    assert.strictEqual(await resolve(event_id, { notes: "a mistake" }), "cancelled")
    assert.include(await at(1), { status: "failed", failures: 0, attempts: 1, seconds_until_next_attempt: null })
    const { deadLetter } = await database.call<{ deadLetter: object }>("outbox_get_event", { topic, event_id })
    assert.include(deadLetter, { reason: "cancelled", resolution: "resolved", notes: "a mistake", attempts: 1 })
    assert.strictEqual(await resolve(event_id), "already_resolved")
    await sweep(database)
    assert.include(await at(1), { status: "failed" })
  })

  it("cannot be claimed by a late request", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    const event = await givenEvent(database, event_id)
    assert.strictEqual(await requests(event_id), 1)
    assert.strictEqual(await resolve(event_id), "cancelled")
    assert.deepStrictEqual(await claimOf(database, event), { eventId: event_id, outcome: "failed" })
  })

  it("releases the mentor's next event at once", async () => {
    const { mentor, at } = await changed("paused", "active")
    await emptyNet(database)
    const [first, second] = [await at(1), await at(2)]
    await database.rows("select outbox.park(array[$1::uuid])", [second.event_id])
    assert.strictEqual(await resolve(first.event_id), "cancelled")
    assert.strictEqual(await requests(second.event_id), 1)
    assert.include(await settle(database, second.event_id), { outcome: "completed" })
    await setStatus(database, mentor, "paused")
    assert.include(await settle(database, (await at(3)).event_id), { outcome: "completed" })
  })

  it("in the middle of the line does not affect those before it", async () => {
    const { at } = await changed("paused", "active", "paused")
    const [first, second, third] = [await at(1), await at(2), await at(3)]
    assert.strictEqual(await requests(first.event_id), 1)
    assert.strictEqual(await resolve(second.event_id), "cancelled")
    assert.strictEqual(await requests(first.event_id), 1)
    assert.strictEqual((await claimOf(database, await givenEvent(database, third.event_id))).outcome, "out_of_order")
    assert.include(await settle(database, first.event_id), { outcome: "completed" })
    assert.include(await settle(database, third.event_id), { outcome: "completed" })
  })

  it("may be waiting for a retry, or belong to another sender", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    await release(database, event_id, await claim(database, event_id))
    assert.strictEqual(await resolve(event_id), "cancelled")
    const event = foreignEvent()
    await release(database, event.eventId, (await claimOf(database, event)).token)
    assert.strictEqual(await resolve(event.eventId), "cancelled")
    assert.strictEqual((await claimOf(database, event)).outcome, "failed")
  })

  it("must not be in process", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    await claim(database, event_id)
    const answer = await database.call<{ outcome: string; retryAfterSeconds: number }>("outbox_resolve", {
      topic,
      event_id
    })
    assert.strictEqual(answer.outcome, "in_flight")
    assert.isAtLeast(answer.retryAfterSeconds, 1)
    assert.isAtMost(answer.retryAfterSeconds, 60)
    assert.include(await at(1), { status: "processing" })
  })

  it("is not brought back by reconciliation, and opens no alert", async () => {
    const { mentor, at } = await changed("paused")
    await resolve((await at(1)).event_id)
    await database.rows("select outbox.reconcile(), outbox.watch()")
    const { events } = await database.row<{ events: number }>(
      "select count(*)::int as events from outbox.events where key = $1",
      [mentor]
    )
    assert.strictEqual(events, 1)
    const { open } = await database.row<{ open: number }>(
      "select count(*)::int as open from outbox.alerts where kind = 'dead_letters'"
    )
    assert.strictEqual(open, 0)
  })

  it("can be redriven, and erased", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    await resolve(event_id)
    const { outcome } = await database.call<{ outcome: string }>("outbox_redrive", { topic, event_id })
    assert.strictEqual(outcome, "redriven")
    assert.strictEqual(await resolve(event_id), "cancelled")
    assert.deepStrictEqual(await database.call("outbox_erase", { topic, event_id }), { outcome: "erased" })
  })

  it("is cancelled or claimed, never both", async () => {
    const { at } = await changed("paused")
    const { event_id } = await at(1)
    const event = await givenEvent(database, event_id)
    const [resolved, claimed] = await Promise.all([resolve(event_id), claimOf(database, event)])
    assert.include(["cancelled failed", "in_flight claimed"], `${resolved} ${claimed.outcome}`)
  })

  it("does not release events that wait behind a dead letter", async () => {
    const { at } = await changed("paused", "active", "paused")
    await bury(database, (await at(1)).event_id)
    assert.strictEqual(await resolve((await at(2)).event_id), "cancelled")
    assert.include(await settle(database, (await at(3)).event_id), { outcome: "completed" })
  })
})
