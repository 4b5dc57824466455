import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  asClaim,
  blockedSessions,
  bury,
  claim,
  claimMany,
  claimOf,
  complete,
  createMentor,
  type Database,
  emptyNet,
  eventOf,
  eventsOf,
  givenEvent,
  makeDue,
  openReadyDatabase,
  release,
  setStatus,
  settle,
  settleAll,
  settleWith,
  sweep
} from "../../support/sql.ts"

describe("the order of a mentor's events", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const attemptsOf = async (mentor: string, own = database) =>
    (await eventsOf(own, mentor)).map((event) => event.attempts)

  it("posts the changes of one transaction at its commit, and lets only the first be claimed", async () => {
    const mentor = await createMentor(database)
    await using client = await database.connect()
    await client.query("begin")
    await client.query("update public.peer_mentor_profiles set status = 'paused' where id = $1", [mentor])
    await client.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [mentor])
    await client.query("commit")
    assert.deepStrictEqual(
      (await eventsOf(database, mentor)).map(({ version, transition, attempts }) => [version, transition, attempts]),
      [
        [1, "PAUSE", 1],
        [2, "RESUME", 1]
      ]
    )
    const second = await givenEvent(database, (await eventOf(database, mentor, 2)).event_id)
    assert.include(await claimOf(database, second), { outcome: "out_of_order" })
  })

  it("dispatches the next event as soon as its predecessor is completed, and not before", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active", "paused")
    const events = await eventsOf(database, mentor)
    // Their own requests came too early, and the sweep has parked them.
    for (const { event_id } of events.slice(1)) await makeDue(database, event_id)
    await sweep(database)
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 0, 0])
    await settle(database, events[0]?.event_id ?? "")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1, 0])
    await settle(database, events[1]?.event_id ?? "")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1, 1])
  })

  it("holds the next event back while its predecessor is being processed", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await claim(database, (await eventOf(database, mentor)).event_id)
    await setStatus(database, mentor, "active")
    await makeDue(database, (await eventOf(database, mentor, 2)).event_id)
    await sweep(database)
    assert.deepInclude(await eventOf(database, mentor, 2), {
      attempts: 0,
      failures: 0,
      request_id: null,
      seconds_until_next_attempt: null
    })
  })

  it("holds the next event back while its predecessor waits after a failure", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active")
    const { event_id } = await eventOf(database, mentor, 1)
    const token = await claim(database, event_id)
    const reason = { kind: "transient", message: "refused", retryAfterSeconds: 300 }
    await release(database, event_id, token, reason)
    await makeDue(database, (await eventOf(database, mentor, 2)).event_id)
    await sweep(database)
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 0])
    await makeDue(database, event_id)
    await sweep(database)
    assert.deepStrictEqual(await attemptsOf(mentor), [2, 0])
  })

  it("does not let one mentor wait for another", async () => {
    const [first, second] = [await createMentor(database), await createMentor(database)]
    await setStatus(database, first, "paused")
    await setStatus(database, second, "paused")
    assert.deepStrictEqual([await attemptsOf(first), await attemptsOf(second)], [[1], [1]])
  })

  it("is not held up by a predecessor that failed permanently", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await bury(database, (await eventOf(database, mentor)).event_id)
    await setStatus(database, mentor, "active")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1])
  })

  /** Two changes of one mentor. Both were sent at their commits, and the first is claimed. */
  const firstIsClaimed = async (own: Database) => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    const [first, second] = await eventsOf(own, mentor)
    if (first === undefined || second === undefined) throw new Error("not two events")
    const settlement = {
      eventId: first.event_id,
      token: await claim(own, first.event_id),
      outcome: "completed",
      receipt: {}
    }
    return { mentor, settlement, second: await givenEvent(own, second.event_id) }
  }

  it.for([0, 10])(
    "a settlement that takes %i finds the next event although a claim came too early for it and has yet to commit",
    async (take) => {
      await using own = await openReadyDatabase()
      await own.rows("alter function public.outbox_settle(jsonb, text, integer) set lock_timeout = '5min'")
      const { settlement, second } = await firstIsClaimed(own)
      await emptyNet(own)
      await using early = await own.connect()
      await early.query("begin")
      const { rows } = await early.query("select public.outbox_claim($1) -> 0 as answer", [
        JSON.stringify([asClaim(second)])
      ])
      assert.include(rows[0]?.answer, { outcome: "out_of_order" })
      const settling = settleAll(own, [settlement], take)
      await blockedSessions(own)
      await early.query("commit")
      const { next } = await settling
      const sent = await own.rows("select from net.http_request_queue")
      assert.deepStrictEqual(
        next.map(({ payload }) => payload.event_id),
        take === 0 ? [] : [second.eventId]
      )
      assert.lengthOf(sent, take === 0 ? 1 : 0)
    }
  )

  it("an early claim waits for a settlement that began before the event existed, and then gets the event", async () => {
    await using own = await openReadyDatabase()
    await own.rows("alter function outbox.lock_line(uuid[]) set lock_timeout = '5min'")
    await own.rows("alter function public.outbox_claim(jsonb) set lock_timeout = '5min'")
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    const token = await claim(own, event_id)
    await using settler = await own.connect()
    await settler.query("begin")
    const settlements = JSON.stringify([{ eventId: event_id, token, outcome: "completed", receipt: {} }])
    await settler.query("select public.outbox_settle($1)", [settlements])
    await setStatus(own, mentor, "active")
    const claiming = claimOf(own, await givenEvent(own, (await eventOf(own, mentor, 2)).event_id))
    await blockedSessions(own)
    await settler.query("commit")
    assert.include(await claiming, { outcome: "claimed" })
  })

  it("an early claim is refused when a settlement hangs, and gets the event afterwards", async () => {
    const { mentor, settlement, second } = await firstIsClaimed(database)
    const other = await createMentor(database)
    await setStatus(database, other, "paused")
    const neighbour = await givenEvent(database, (await eventOf(database, other)).event_id)
    await using settler = await database.connect()
    await settler.query("begin")
    await settler.query("select from outbox.events where key = $1 and version = 1 for update", [mentor])
    const answers = await claimMany(database, [second, neighbour])
    assert.deepStrictEqual(
      answers.map(({ outcome }) => outcome),
      ["out_of_order", "claimed"]
    )
    await settler.query("rollback")
    assert.include(await settleWith(database, settlement), { outcome: "completed" })
    assert.include(await claimOf(database, second), { outcome: "claimed" })
  })

  it("releases an event that a sweep parks while its predecessor is being settled", async () => {
    await using own = await openReadyDatabase()
    await own.rows("alter function public.outbox_settle(jsonb, text, integer) set lock_timeout = '5min'")
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused", "active")
    const [first, second] = await eventsOf(own, mentor)
    const token = await claim(own, first?.event_id ?? "")
    await makeDue(own, second?.event_id ?? "")
    await using sweeper = await own.connect()
    await sweeper.query("begin")
    await sweeper.query("select outbox.sweep()")
    const completion = complete(own, first?.event_id ?? "", token)
    await blockedSessions(own)
    await sweeper.query("commit")
    assert.include(await completion, { outcome: "completed" })
    assert.deepStrictEqual(await attemptsOf(mentor, own), [1, 1])
  })

  it("does not hold up a settlement when constraints are checked before the commit", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const { event_id } = await eventOf(database, mentor)
    const token = await claim(database, event_id)
    await using writer = await database.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [mentor])
    await writer.query("set constraints all immediate")
    assert.include(await complete(database, event_id, token), { outcome: "completed" })
    await writer.query("commit")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1])
  })

  it("does not let a hanging completion hold up the commit of the next change", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await using hanging = await database.connect()
    await hanging.query("begin")
    await hanging.query("select from outbox.events where key = $1 for update", [mentor])
    await setStatus(database, mentor, "active")
    assert.include(await eventOf(database, mentor, 2), { status: "pending", attempts: 1, last_error: null })
    await hanging.query("rollback")
  })

  it("lets an event be completed while a long transaction has changed the same mentor again", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await using writer = await database.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [mentor])
    assert.include(await settle(database, (await eventOf(database, mentor)).event_id), { outcome: "completed" })
    await writer.query("commit")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1])
  })
})
