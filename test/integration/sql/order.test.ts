import { setTimeout } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  bury,
  claim,
  complete,
  createMentor,
  type Database,
  eventOf,
  eventsOf,
  makeDue,
  openReadyDatabase,
  release,
  setStatus,
  settle,
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

  const blockedBackends = async (count: number, own = database): Promise<void> => {
    for (;;) {
      const { blocked } = await own.row<{ blocked: number }>(
        `select count(*)::int as blocked from pg_stat_activity
         where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`
      )
      if (blocked >= count) return
      await setTimeout(5)
    }
  }

  it("dispatches only the first of two changes made in one transaction", async () => {
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
        [2, "RESUME", 0]
      ]
    )
  })

  it("dispatches the next event as soon as its predecessor is completed, and not before", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active", "paused")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 0, 0])
    await settle(database, (await eventOf(database, mentor, 1)).event_id)
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1, 0])
    await settle(database, (await eventOf(database, mentor, 2)).event_id)
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1, 1])
  })

  it("holds the next event back while its predecessor is being processed", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await claim(database, (await eventOf(database, mentor)).event_id)
    await setStatus(database, mentor, "active")
    await sweep(database)
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 0])
  })

  it("holds the next event back while its predecessor waits after a failure", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused", "active")
    const { event_id } = await eventOf(database, mentor, 1)
    const token = await claim(database, event_id)
    const reason = { kind: "transient", message: "refused", retryAfterSeconds: 300 }
    await release(database, event_id, token, reason)
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

  it("is not held up by a predecessor that failed for good", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await bury(database, (await eventOf(database, mentor)).event_id)
    await setStatus(database, mentor, "active")
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1])
  })

  it("loses no time when a change commits while its predecessor is being completed", async () => {
    await using own = await openReadyDatabase()
    // For longer than a slow machine can keep us from letting go.
    await own.rows("alter function pause_status.dispatch_transaction() set lock_timeout = '5min'")
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    const token = await claim(own, event_id)
    await using settler = await own.connect()
    await settler.query("begin")
    const settlements = JSON.stringify([{ eventId: event_id, token, outcome: "completed", receipt: {} }])
    await settler.query("select public.pause_status_settle($1)", [settlements])
    const change = setStatus(own, mentor, "active")
    await blockedBackends(1, own)
    await settler.query("commit")
    await change
    assert.deepStrictEqual(await attemptsOf(mentor, own), [1, 1])
  })

  it("loses no time when its predecessor is completed while a change commits", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const { event_id } = await eventOf(database, mentor)
    const token = await claim(database, event_id)
    await using writer = await database.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [mentor])
    await writer.query("set constraints all immediate")
    const completion = complete(database, event_id, token)
    await blockedBackends(1)
    await writer.query("commit")
    assert.include(await completion, { outcome: "completed" })
    assert.deepStrictEqual(await attemptsOf(mentor), [1, 1])
  })

  it("does not let a completion that hangs hold up the commit of the next change", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    await using hanging = await database.connect()
    await hanging.query("begin")
    await hanging.query("select from pause_status.webhook_queue where mentor_id = $1 for update", [mentor])
    await setStatus(database, mentor, "active")
    assert.include(await eventOf(database, mentor, 2), { status: "pending", attempts: 0, last_error: null })
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
