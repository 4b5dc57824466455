import { assert, afterAll, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { OrchestratorBatchReply } from "../../src/schema/OrchestratorReplies.ts"
import { problemOf, verdict } from "../support/deliveries.ts"
import { createMentors, openDatabase } from "../support/pipeline.ts"
import { newEvent, notificationsOf, order, resumed } from "../support/orders.ts"
import { sharedStack } from "../support/stack.ts"

const { databaseUrl, serviceKey } = sharedStack()
const database = openDatabase(databaseUrl)
afterAll(() => database[Symbol.asyncDispose]())

const decodeReply = Schema.decodeUnknownPromise(OrchestratorBatchReply, { onExcessProperty: "error" })

describe("the orchestrator, with an array of events", () => {
  const orderAll = async (...events: ReadonlyArray<unknown>) => {
    const response = await order(events, { apikey: serviceKey })
    assert.strictEqual(response.status, 200)
    const { results } = await decodeReply(await response.json())
    return results
  }

  it("notifies each coordinator of each mentor once, and answers with each event's receipt, in order", async () => {
    const mentorIds = await createMentors(database, 20)
    const events = mentorIds.map(newEvent)
    const results = await orderAll(...events)
    for (const [index, { eventId, mentorId }] of events.entries()) {
      const rows = await notificationsOf(database, mentorId)
      assert.deepStrictEqual(results[index], {
        eventId,
        status: 200,
        receipt: { eventId, mentorId, transition: "PAUSE", notified: 2, notificationIds: rows.map(({ id }) => id) }
      })
      assert.lengthOf(new Set(rows.map((row) => row.coordinator_id)), 2)
    }
  })

  it("answers known events with their first receipts, alone or among others, and writes nothing more", async () => {
    const mentorIds = await createMentors(database, 3)
    const [first, second, third] = mentorIds.map(newEvent)
    const alone = await (await order(first, { apikey: serviceKey })).json()
    const [, told] = await orderAll(first, second)
    const again = await orderAll(third, second, first, second)
    assert.deepStrictEqual(
      again.map(({ receipt }) => receipt),
      [again[0]?.receipt, told?.receipt, alone, told?.receipt]
    )
    for (const mentorId of mentorIds) assert.lengthOf(await notificationsOf(database, mentorId), 2)
  })

  it("refuses the events that it must refuse, and notifies the rest", async () => {
    const [known, ahead, late, good] = (await createMentors(database, 4)).map(newEvent)
    if (!known || !ahead || !late || !good) throw new Error("four events were expected")
    await orderAll(known, { ...newEvent(late.mentorId), ...resumed, version: 2 })
    const other = { ...known, occurredAt: "2026-11-22T09:30:00.123457Z" }
    const results = await orderAll(other, ahead, late, good)
    assert.deepStrictEqual(
      results.map(({ eventId, status }) => [eventId, status]),
      [
        [known.eventId, 422],
        [ahead.eventId, 200],
        [late.eventId, 409],
        [good.eventId, 200]
      ]
    )
    for (const { mentorId } of [known, ahead, late, good]) assert.lengthOf(await notificationsOf(database, mentorId), 2)
  })

  it("notifies a mentor's events in the order of their versions, however the array is ordered", async () => {
    const [mentorId = ""] = await createMentors(database, 1)
    const paused = newEvent(mentorId)
    const later = { ...newEvent(mentorId), ...resumed, version: 2 }
    const last = { ...newEvent(mentorId), version: 3 }
    assert.deepStrictEqual(
      (await orderAll(last, paused, later)).map(({ status }) => status),
      [200, 200, 200]
    )
    const rows = await database.rows<{ version: number }>(
      "select version::int from public.notifications where mentor_id = $1 order by created_at",
      [mentorId]
    )
    assert.deepStrictEqual(
      rows.map(({ version }) => version),
      [1, 1, 2, 2, 3, 3]
    )
  })

  it("notifies each event once in 20 concurrent calls with overlapping events", async () => {
    const mentorIds = await createMentors(database, 20)
    const events = mentorIds.map(newEvent)
    const replies = await Promise.all(
      events.map((_, turn) => orderAll(...events.slice(turn), ...events.slice(0, turn).toReversed()))
    )
    assert.isTrue(replies.flat().every(({ status }) => status === 200))
    for (const [index, mentorId] of mentorIds.entries()) {
      const receipts = replies.flatMap((reply) => reply.filter(({ eventId }) => eventId === events[index]?.eventId))
      assert.lengthOf(new Set(receipts.map(({ receipt }) => JSON.stringify(receipt))), 1)
      assert.lengthOf(await notificationsOf(database, mentorId), 2)
    }
  })

  it("answers a malformed event among them with 400 and where it is wrong, and writes nothing", async () => {
    const [mentorId = ""] = await createMentors(database, 1)
    const problem = await problemOf(await order([newEvent(mentorId), newEvent("")], { apikey: serviceKey }))
    assert.deepStrictEqual([problem.status, problem.code], [400, "invalid_payload"])
    assert.deepStrictEqual(
      problem.issues?.map(({ path }) => path),
      [[1, "mentorId"]]
    )
    assert.lengthOf(await notificationsOf(database, mentorId), 0)
  })

  it("answers a call without the key with 401, and writes nothing", async () => {
    const [mentorId = ""] = await createMentors(database, 1)
    assert.strictEqual(await verdict(await order([newEvent(mentorId)], {})), "401 unauthorized")
    assert.lengthOf(await notificationsOf(database, mentorId), 0)
  })
})
