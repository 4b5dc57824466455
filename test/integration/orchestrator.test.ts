import { assert, afterAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { verdict } from "../support/deliveries.ts"
import { createMentor, openDatabase } from "../support/pipeline.ts"
import { newEvent, notificationsOf, order, resumed } from "../support/orders.ts"
import { sharedStack } from "../support/stack.ts"

const { databaseUrl, publishableKey, serviceKey } = sharedStack()
const database = openDatabase(databaseUrl)
afterAll(() => database[Symbol.asyncDispose]())

type Event = ReturnType<typeof newEvent>

const orderWithKey = (event: Event, key: string = event.eventId) =>
  order(event, { apikey: serviceKey, "idempotency-key": key })

describe("the orchestrator", () => {
  it("notifies each coordinator once, and its receipt names what it wrote", async () => {
    const mentorId = await createMentor(database, "active", 3)
    const event = newEvent(mentorId)
    const response = await orderWithKey(event)
    assert.strictEqual(response.status, 200)
    const receipt = await response.json()
    const rows = await notificationsOf(database, mentorId)
    assert.lengthOf(new Set(rows.map((row) => row.coordinator_id)), 3)
    for (const { event_id, transition, version } of rows) {
      assert.deepStrictEqual([event_id, transition, version], [event.eventId, "PAUSE", 1])
    }
    assert.deepStrictEqual(receipt, {
      eventId: event.eventId,
      mentorId,
      transition: "PAUSE",
      notified: 3,
      notificationIds: rows.map((row) => row.id)
    })
  })

  it("answers the same key again with the same receipt, and writes nothing more", async () => {
    const mentorId = await createMentor(database)
    const event = newEvent(mentorId)
    const first = await (await orderWithKey(event)).text()
    await database.rows(
      `with another as (insert into public.coordinators (name) values ('late') returning id)
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from another`,
      [mentorId]
    )
    for (let turn = 0; turn < 3; turn++) assert.strictEqual(await (await orderWithKey(event)).text(), first)
    assert.lengthOf(await notificationsOf(database, mentorId), 2)
  })

  it("writes one set of rows for 20 concurrent calls with one key, and answers all with one receipt", async () => {
    const mentorId = await createMentor(database)
    const event = newEvent(mentorId)
    const responses = await Promise.all(Array.from({ length: 20 }, () => orderWithKey(event)))
    assert.isTrue(responses.every(({ status }) => status === 200))
    const receipts = await Promise.all(responses.map((response) => response.text()))
    assert.lengthOf(new Set(receipts), 1)
    assert.lengthOf(await notificationsOf(database, mentorId), 2)
  })

  it("answers another event under the same key with 422", async () => {
    const mentorId = await createMentor(database)
    const event = newEvent(mentorId)
    assert.strictEqual((await orderWithKey(event)).status, 200)
    const other = { ...event, mentorId: await createMentor(database) }
    assert.strictEqual(await verdict(await orderWithKey(other)), "422 payload_mismatch")
    assert.lengthOf(await notificationsOf(database, other.mentorId), 0)
  })

  it("answers a key that is not the event's id with 400, and writes nothing", async () => {
    const mentorId = await createMentor(database)
    assert.strictEqual(await verdict(await orderWithKey(newEvent(mentorId), randomUUID())), "400 invalid_payload")
    assert.lengthOf(await notificationsOf(database, mentorId), 0)
  })

  it("answers a malformed event with 400 and where it is wrong", async () => {
    const response = await order({ ...newEvent("42"), transition: "STOP" }, { apikey: serviceKey })
    assert.strictEqual(await verdict(response), "400 invalid_payload")
  })

  it("refuses an event if a newer one of its mentor was notified, unless it is forced", async () => {
    const mentorId = await createMentor(database)
    const older = newEvent(mentorId)
    const newer = { ...newEvent(mentorId), ...resumed, version: 2 }
    assert.strictEqual((await orderWithKey(newer)).status, 200)
    assert.strictEqual(await verdict(await orderWithKey(older)), "409 superseded")
    assert.lengthOf(await notificationsOf(database, mentorId), 2)
    assert.strictEqual((await order({ ...older, force: true }, { apikey: serviceKey })).status, 200)
    assert.lengthOf(await notificationsOf(database, mentorId), 4)
  })

  it("completes an event of a mentor without coordinators, and notifies nobody", async () => {
    const response = await orderWithKey(newEvent(randomUUID()))
    assert.strictEqual(response.status, 200)
    assert.strictEqual((await response.json()).notified, 0)
  })

  it("also takes the project's key as a bearer token", async () => {
    const mentorId = await createMentor(database)
    const response = await order(newEvent(mentorId), { authorization: `Bearer ${serviceKey}` })
    assert.strictEqual(response.status, 200)
  })

  it.each([
    ["no key", {}],
    ["a wrong key", { apikey: "sb_secret_of_nobody" }],
    ["the publishable key", { apikey: publishableKey, authorization: `Bearer ${publishableKey}` }],
    ["half the key", { apikey: serviceKey.slice(0, -1) }],
    ["the key in another header", { "x-api-key": serviceKey }]
  ] as const)("answers a call with %s with 401, and writes nothing", async (_, headers) => {
    const mentorId = await createMentor(database)
    const event = newEvent(mentorId)
    const response = await order(event, headers)
    assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
    assert.strictEqual(await verdict(response), "401 unauthorized")
    assert.lengthOf(await notificationsOf(database, mentorId), 0)
    const kept = await database.rows("select from outbox.receipts where event_id = $1", [event.eventId])
    assert.lengthOf(kept, 0)
  })
})
