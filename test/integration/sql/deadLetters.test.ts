import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
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
  givenEvent,
  historyOf,
  openReadyDatabase,
  release,
  setStatus,
  settle,
  sweep
} from "../../support/sql.ts"

describe("dead letters", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  /** A mentor whose first event failed for good, and the versions that were completed after it. */
  const buried = async (...completed: Array<string>) => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const { event_id } = await eventOf(database, mentor)
    await bury(database, event_id)
    for (const [index, status] of completed.entries()) {
      await setStatus(database, mentor, status)
      await settle(database, (await eventOf(database, mentor, index + 2)).event_id)
    }
    return { mentor, eventId: event_id, current: () => eventOf(database, mentor) }
  }

  const redrive = async (eventId: string, options: { force?: boolean; dryRun?: boolean } = {}) =>
    (
      await database.row<{ answer: unknown }>("select outbox.redrive($1, $2, $3) as answer", [
        eventId,
        options.force ?? false,
        options.dryRun ?? false
      ])
    ).answer

  const resolve = async (eventId: string, notes: string | null = null) =>
    (await database.row<{ answer: unknown }>("select outbox.resolve($1, $2) as answer", [eventId, notes])).answer

  const lettersOf = (eventId: string) =>
    database.rows<{ reason: string; last_error: string; resolution: string | null; notes: string | null }>(
      `select reason, last_error, resolution, notes from outbox.dead_letters
       where event_id = $1 order by created_at`,
      [eventId]
    )

  it("are made at once if the orchestrator refuses permanently, and say why", async () => {
    const { eventId, current } = await buried()
    assert.include(await current(), { status: "failed", seconds_until_next_attempt: null })
    const [letter, ...more] = await lettersOf(eventId)
    assert.include(letter, { reason: "refused", last_error: "permanent: refused", resolution: null })
    assert.lengthOf(more, 0)
  })

  it("are made when attempts run out, by failures or by lost leases", async () => {
    await using own = await openReadyDatabase()
    await own.rows("update outbox.settings set max_attempts = 3, retry_for_seconds = 0")
    const mentor = await createMentor(own)
    await setStatus(own, mentor, "paused")
    const { event_id } = await eventOf(own, mentor)
    assert.include(await release(own, event_id, await claim(own, event_id)), { outcome: "released" })
    await claim(own, event_id)
    await expireLease(own, event_id)
    await sweep(own)
    assert.include(await eventOf(own, mentor), { status: "pending", failures: 2 })
    assert.include(await release(own, event_id, await claim(own, event_id)), { outcome: "dead" })
    assert.deepStrictEqual(
      await own.rows("select reason, event_id, topic, key, version::int from outbox.dead_letters"),
      [{ reason: "exhausted", event_id, topic: "pause-status", key: mentor, version: 1 }]
    )
    assert.deepStrictEqual(
      (await historyOf(own, event_id)).map(({ outcome }) => outcome),
      ["transient", "lease", "transient"]
    )
  })

  it("count an expired lease as a failure even if a claim comes before the sweep", async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    const { event_id } = await eventOf(database, mentor)
    const token = await claim(database, event_id)
    await expireLease(database, event_id)
    await claim(database, event_id)
    assert.include(await eventOf(database, mentor), { status: "processing", failures: 1 })
    const [ended] = await historyOf(database, event_id)
    assert.include(ended, { outcome: "lease", claim_token: String(token) })
  })

  describe("redriven", () => {
    it("are sent again with a new budget, and the handler may claim them again", async () => {
      const { eventId, current } = await buried()
      assert.deepStrictEqual(await redrive(eventId), { outcome: "redriven" })
      assert.include(await current(), { status: "pending", failures: 0, attempts: 2 })
      assert.deepInclude(await lettersOf(eventId), {
        reason: "refused",
        last_error: "permanent: refused",
        resolution: "redriven",
        notes: null
      })
      assert.include(await settle(database, eventId), { outcome: "completed" })
      const history = await historyOf(database, eventId)
      assert.deepStrictEqual(
        history.map(({ why, outcome }) => [why, outcome]),
        [
          ["commit", "permanent"],
          ["redrive", "completed"]
        ]
      )
    })

    it("are dead letters again when they fail again", async () => {
      const { eventId } = await buried()
      await redrive(eventId)
      await bury(database, eventId)
      const letters = await lettersOf(eventId)
      assert.deepStrictEqual(
        letters.map(({ resolution }) => resolution),
        ["redriven", null]
      )
    })

    it("are only reported in a dry run", async () => {
      const { eventId, current } = await buried()
      assert.deepStrictEqual(await redrive(eventId, { dryRun: true }), { outcome: "would_redrive" })
      assert.include(await current(), { status: "failed", attempts: 1 })
    })

    it("are refused when a newer version is completed, unless forced: then the payload says so", async () => {
      const { mentor, eventId } = await buried("active")
      for (const dryRun of [true, false]) {
        assert.deepStrictEqual(await redrive(eventId, { dryRun }), { outcome: "superseded" })
      }
      assert.deepStrictEqual(await redrive(eventId, { force: true }), { outcome: "redriven" })
      const { payload } = await database.row<{ payload: { force?: boolean } }>(
        "select outbox.body(q) as payload from outbox.events q where key = $1 and version = 1",
        [mentor]
      )
      assert.strictEqual(payload.force, true)
      assert.include(await settle(database, eventId), { outcome: "completed" })
    })

    it("are refused if a newer version was completed and has been deleted since", async () => {
      const { mentor, eventId } = await buried("active", "paused")
      await database.rows("delete from outbox.events where key = $1 and version > 1", [mentor])
      assert.deepStrictEqual(await redrive(eventId), { outcome: "superseded" })
      assert.deepStrictEqual(await redrive(eventId, { force: true }), { outcome: "redriven" })
    })

    it("are refused if a newer version was notified, even if that became a dead letter", async () => {
      const { mentor, eventId } = await buried()
      await setStatus(database, mentor, "active")
      const second = await eventOf(database, mentor, 2)
      const [told] = await database.rpc("pause_status_notify", {
        events: [await givenEvent(database, second.event_id)]
      })
      assert.strictEqual(told?.outcome, "notified")
      await bury(database, second.event_id)
      assert.deepStrictEqual(await redrive(eventId), { outcome: "superseded" })
      assert.deepStrictEqual(await redrive(second.event_id), { outcome: "redriven" })
    })

    it("are not refused for newer versions that reached nobody, unless a person resolved one", async () => {
      const { mentor, eventId } = await buried()
      await setStatus(database, mentor, "active", "paused")
      const [second, third] = [await eventOf(database, mentor, 2), await eventOf(database, mentor, 3)]
      await bury(database, second.event_id)
      assert.deepStrictEqual(await redrive(eventId, { dryRun: true }), { outcome: "would_redrive" })
      assert.deepStrictEqual(await redrive(second.event_id, { dryRun: true }), { outcome: "would_redrive" })
      await bury(database, third.event_id)
      await resolve(third.event_id, "told by telephone")
      assert.deepStrictEqual(await redrive(eventId, { dryRun: true }), { outcome: "superseded" })
      assert.deepStrictEqual(await redrive(third.event_id, { dryRun: true }), { outcome: "would_redrive" })
    })

    it("are refused without a version if another event of the mentor was completed after them", async () => {
      const first = foreignEvent()
      const { token } = await claimOf(database, first)
      await release(database, first.eventId, token, { kind: "permanent", message: "refused" })
      const earlier = foreignEvent({ mentorId: first.mentorId, occurredAt: "2026-11-22T09:00:00Z" })
      const later = foreignEvent({
        mentorId: first.mentorId,
        transition: "RESUME",
        oldStatus: "paused",
        newStatus: "active",
        occurredAt: "2026-11-22T11:00:00Z"
      })
      for (const event of [earlier, later])
        await complete(database, event.eventId, (await claimOf(database, event)).token)
      await database.rows("update outbox.events set created_at = created_at - interval '1 hour' where event_id = $1", [
        earlier.eventId
      ])
      assert.deepStrictEqual(await redrive(first.eventId), { outcome: "superseded" })
      await database.rows("delete from outbox.events where event_id = $1", [later.eventId])
      assert.deepStrictEqual(await redrive(first.eventId), { outcome: "redriven" })
    })

    it("may be already on their way, not failed, or unknown", async () => {
      const mentor = await createMentor(database)
      await setStatus(database, mentor, "paused")
      const { event_id } = await eventOf(database, mentor)
      assert.deepStrictEqual(await redrive(event_id), { outcome: "already_pending" })
      const token = await claim(database, event_id)
      assert.deepStrictEqual(await redrive(event_id), { outcome: "already_pending" })
      await complete(database, event_id, token)
      assert.deepStrictEqual(await redrive(event_id), { outcome: "not_failed" })
      assert.deepStrictEqual(await redrive(randomUUID()), { outcome: "unknown" })
    })

    it("are sent by us even if another sender sent them first", async () => {
      const event = foreignEvent()
      const { token } = await claimOf(database, event)
      await release(database, event.eventId, token, { kind: "permanent", message: "refused" })
      assert.deepStrictEqual(await redrive(event.eventId), { outcome: "redriven" })
      const [sent] = await eventsOf(database, event.mentorId)
      assert.include(sent, { status: "pending" })
      assert.isNotNull(sent?.request_id)
      assert.strictEqual((await claimOf(database, event)).outcome, "claimed")
    })

    it("are redriven once if two people do it at the same time", async () => {
      const { eventId } = await buried()
      const answers = await Promise.all([redrive(eventId), redrive(eventId)])
      assert.sameDeepMembers(answers, [{ outcome: "redriven" }, { outcome: "already_pending" }])
    })
  })

  describe("resolved", () => {
    it("are closed with notes and stay failed", async () => {
      const { eventId, current } = await buried()
      assert.deepStrictEqual(await resolve(eventId, "told by telephone"), { outcome: "resolved" })
      assert.include(await current(), { status: "failed" })
      const [letter] = await lettersOf(eventId)
      assert.include(letter, { resolution: "resolved", notes: "told by telephone" })
      assert.deepStrictEqual(await resolve(eventId), { outcome: "already_resolved" })
      assert.deepStrictEqual(await resolve(randomUUID()), { outcome: "unknown" })
    })

    it("are not sent again by the sender, the sweep or reconciliation", async () => {
      for (const source of ["outbox", "webhook"]) {
        await using own = await openReadyDatabase()
        await own.rows("select outbox.feed_by('pause-status', $1)", [source])
        const mentor = await createMentor(own)
        const event = foreignEvent({ mentorId: mentor })
        const { token } = await claimOf(own, event)
        await release(own, event.eventId, token, { kind: "permanent", message: "refused" })
        await own.rows("select outbox.resolve($1)", [event.eventId])
        assert.strictEqual((await claimOf(own, event)).outcome, "failed")
        await own.rows("select outbox.sweep(), outbox.reconcile()")
        assert.deepStrictEqual(
          (await eventsOf(own, mentor)).map(({ event_id, status }) => ({ event_id, status })),
          [{ event_id: event.eventId, status: "failed" }]
        )
      }
    })

    it("can still be redriven", async () => {
      const { eventId } = await buried()
      await resolve(eventId)
      assert.deepStrictEqual(await redrive(eventId), { outcome: "redriven" })
    })
  })

  it.for([
    [
      "update outbox.events set status = 'pending', next_attempt_at = now() where event_id = $1",
      "status_agrees_with_columns"
    ],
    ["update outbox.events set dead_letter_id = null where event_id = $1", "status_agrees_with_columns"],
    ["update outbox.dead_letters set resolution = 'redriven' where event_id = $1", "resolution_has_time"],
    [
      `insert into outbox.dead_letters
         (event_id, topic, key, reason, attempts, first_failed_at, last_failed_at, last_error)
       values ($1, 'pause-status', gen_random_uuid(), 'refused', 1, now(), now(), 'again')`,
      "one_open_per_event"
    ]
  ] as const)("belong to failed events, at most one open per event: %s", async ([statement, constraint]) => {
    const { eventId } = await buried()
    assert.include(await failureOf(database.rows(statement, [eventId])), constraint)
  })
})
