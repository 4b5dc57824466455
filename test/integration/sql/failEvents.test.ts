import { randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  type Answer,
  bury,
  claim,
  complete,
  createMentor,
  type Database,
  eventOf,
  historyOf,
  openReadyDatabase,
  setStatus
} from "../../support/sql.ts"

describe("a completed event whose work fails later", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const fail = (eventId: string, receipt: object = {}, topic = "pause-status", message: string | null = "no stock") =>
    database.call<Answer>("outbox_fail", { topic, event_id: eventId, message, receipt })

  const redrive = async (eventId: string) =>
    (await database.row<{ answer: Answer }>("select outbox.redrive($1) as answer", [eventId])).answer

  const bodyOf = async (eventId: string) =>
    (
      await database.row<{ body: Record<string, unknown> }>(
        "select outbox.body(e) as body from outbox.events e where e.event_id = $1",
        [eventId]
      )
    ).body

  const lettersOf = (eventId: string) =>
    database.rows<{ reason: string; last_error: string; resolution: string | null }>(
      "select reason, last_error, resolution from outbox.dead_letters where event_id = $1 order by created_at",
      [eventId]
    )

  const queued = async () => {
    const mentor = await createMentor(database)
    await setStatus(database, mentor, "paused")
    return { mentor, eventId: (await eventOf(database, mentor)).event_id }
  }

  const started = async (runId = "run_1") => {
    const { eventId, mentor } = await queued()
    await complete(database, eventId, await claim(database, eventId), { runId })
    return { mentor, eventId }
  }

  it("is an open dead letter that says why, once", async () => {
    const { eventId, mentor } = await started()
    assert.deepStrictEqual(await fail(eventId, { runId: "run_1" }), { outcome: "failed" })
    assert.deepStrictEqual(await fail(eventId, { runId: "run_1" }), { outcome: "already_failed" })
    assert.strictEqual((await eventOf(database, mentor)).status, "failed")
    assert.deepStrictEqual(await lettersOf(eventId), [
      { reason: "refused", last_error: "permanent: no stock", resolution: null }
    ])
    assert.deepStrictEqual(
      (await historyOf(database, eventId)).map(({ outcome }) => outcome),
      ["completed", "permanent"]
    )
  })

  it("is redriven under its own number, which stays the same until it is redriven again", async () => {
    const { eventId } = await started()
    assert.notProperty(await bodyOf(eventId), "redrive")
    for (const redrives of [1, 2]) {
      await fail(eventId)
      assert.deepStrictEqual(await redrive(eventId), { outcome: "redriven" })
      assert.strictEqual((await bodyOf(eventId))["redrive"], redrives)
      const token = await claim(database, eventId)
      assert.strictEqual((await bodyOf(eventId))["redrive"], redrives)
      await complete(database, eventId, token, { runId: `run_${redrives}` })
    }
  })

  it("is counted as redriven however it had ended, and not when an attempt ends", async () => {
    const { eventId } = await queued()
    await bury(database, eventId)
    await redrive(eventId)
    assert.strictEqual((await bodyOf(eventId))["redrive"], 1)

    const { eventId: reachedNobody } = await queued()
    await complete(database, reachedNobody, await claim(database, reachedNobody), { notified: 0 })
    await redrive(reachedNobody)
    assert.strictEqual((await bodyOf(reachedNobody))["redrive"], 1)

    const { eventId: retried } = await queued()
    await claim(database, retried)
    await database.rows("update outbox.events set lease_expires_at = now() - interval '1 hour' where event_id = $1", [
      retried
    ])
    await database.rows("select outbox.sweep()")
    assert.notProperty(await bodyOf(retried), "redrive")
  })

  it("is left alone if its receipt names other work than what failed", async () => {
    const { eventId, mentor } = await started("run_2")
    assert.deepStrictEqual(await fail(eventId, { runId: "run_1" }), { outcome: "stale" })
    assert.strictEqual((await eventOf(database, mentor)).status, "completed")
    assert.isEmpty(await lettersOf(eventId))
  })

  it("waits for its receipt", async () => {
    const { eventId } = await queued()
    assert.deepStrictEqual(await fail(eventId, { runId: "run_1" }), { outcome: "in_flight", retryAfterSeconds: 1 })
    const token = await claim(database, eventId)
    assert.deepInclude(await fail(eventId, { runId: "run_1" }), { outcome: "in_flight" })
    await complete(database, eventId, token, { runId: "run_1" })
    assert.deepStrictEqual(await fail(eventId, { runId: "run_1" }), { outcome: "failed" })
  })

  it("does not hold up or change later events of its mentor", async () => {
    const { eventId, mentor } = await started()
    await setStatus(database, mentor, "active")
    await fail(eventId)
    const next = await eventOf(database, mentor, 2)
    assert.strictEqual(next.status, "pending")
    await complete(database, next.event_id, await claim(database, next.event_id))
    assert.deepStrictEqual(await redrive(eventId), { outcome: "superseded" })
  })

  it("is unknown under another topic, like an event that does not exist", async () => {
    const { eventId } = await started()
    assert.deepStrictEqual(await fail(eventId, {}, "order-created"), { outcome: "unknown" })
    assert.deepStrictEqual(await fail(randomUUID()), { outcome: "unknown" })
  })

  it("has a message of at most 2 KB, and one when none is given", async () => {
    const long = await started()
    await fail(long.eventId, {}, "pause-status", "é".repeat(4000))
    const silent = await started()
    await fail(silent.eventId, {}, "pause-status", null)
    assert.isAtMost(Buffer.byteLength((await lettersOf(long.eventId))[0]?.last_error ?? ""), 2048)
    assert.strictEqual((await lettersOf(silent.eventId))[0]?.last_error, "permanent: its work failed")
  })

  it("is what the runbook makes of events with lost runs, and of no others", async () => {
    const runbook = await readFile(new URL("../../../docs/runbook.md", import.meta.url), "utf8")
    const [, statement = ""] = /```sql\n(select[^`]*outbox_fail[^`]*);\n```/.exec(runbook) ?? []
    const lost = await started("run_lost")
    const elsewhere = await queued()
    await complete(database, elsewhere.eventId, await claim(database, elsewhere.eventId), { notified: 1 })
    const failed = await database.rows<{ event_id: string; run: string }>(statement)
    assert.deepInclude(
      failed.find(({ event_id }) => event_id === lost.eventId),
      { run: "run_lost" }
    )
    assert.strictEqual((await eventOf(database, lost.mentor)).status, "failed")
    assert.strictEqual((await eventOf(database, elsewhere.mentor)).status, "completed")
  })
})
