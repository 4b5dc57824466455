import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { observe, openContract } from "../support/contract.ts"
import { problemOf, verdict } from "../support/deliveries.ts"
import { seedMemory, seedOf } from "../support/events.ts"
import { base, managementWorld, secretKey } from "./managementWorld.ts"

const orders = "/api/v1/webhooks/order-created"

/** A world with a mentor's event, and an order's with the same key. */
const twoTopics = async () => {
  const world = managementWorld()
  const mentor = seedOf({ status: "failed" })
  const template = seedOf({ mentorId: mentor.mentorId, status: "failed" })
  await Effect.runPromise(seedMemory(world.state)(mentor, template))
  const { eventId } = template
  const order = {
    ...(world.state.events.get(eventId) ?? assert.fail("no event")),
    topic: "order-created",
    type: "INSERT" as const,
    record: { total: 40, paid: false },
    oldRecord: null
  }
  world.state.events.set(eventId, order)
  const listed = async (path: string): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>> => {
    const response = await world.ask("GET", path)
    assert.deepStrictEqual((await openContract()).violations(await observe("GET", path, response.clone())), [])
    return (await response.json()).events
  }
  return { ...world, listed, mentor, order }
}

describe("a topic", () => {
  it("has its own events, and no others", async () => {
    const { ask, listed, mentor, order } = await twoTopics()
    assert.deepStrictEqual(
      (await listed(base)).map(({ eventId }) => eventId),
      [mentor.eventId]
    )
    assert.deepStrictEqual(
      (await listed(orders)).map(({ eventId }) => eventId),
      [order.eventId]
    )
    for (const [path, method, body] of [
      [`${base}/${order.eventId}`, "GET", undefined],
      [`${orders}/${mentor.eventId}`, "GET", undefined],
      [`${orders}/${mentor.eventId}`, "PUT", '{"status":"pending"}'],
      [`${orders}/${mentor.eventId}`, "DELETE", undefined]
    ] as const)
      assert.strictEqual(await verdict(await ask(method, path, secretKey, body)), "404 not_found")
  })

  it("shows the watched columns, and for pause-status also a mentor's transition", async () => {
    const { listed, mentor } = await twoTopics()
    const key = mentor.mentorId
    const [paused] = await listed(base)
    assert.deepInclude(paused, {
      topic: "pause-status",
      key,
      type: "UPDATE",
      record: { id: key, status: "paused" },
      oldRecord: { id: key, status: "active" },
      mentorId: key,
      transition: "PAUSE",
      oldStatus: "active",
      newStatus: "paused"
    })
    const [created] = await listed(orders)
    assert.deepInclude(created, { topic: "order-created", key, type: "INSERT", oldRecord: null })
    assert.notProperty(created, "mentorId")
    assert.notProperty(created, "transition")
  })

  it("has the words of pause-status in every reply with an event", async () => {
    const { ask, mentor } = await twoTopics()
    const path = `${base}/${mentor.eventId}`
    assert.strictEqual((await (await ask("GET", path)).json()).transition, "PAUSE")
    const changed = await (await ask("PUT", path, secretKey, '{"status":"resolved"}')).json()
    assert.strictEqual(changed.event.mentorId, mentor.mentorId)
  })

  it("can be searched by key and by record: numbers, text and booleans", async () => {
    const { listed, mentor } = await twoTopics()
    assert.lengthOf(await listed(`${orders}?key=${mentor.mentorId}`), 1)
    assert.isEmpty(await listed(`${orders}?key=another`))
    assert.lengthOf(await listed(`${orders}?record={"total":40,"paid":false}`), 1)
    assert.isEmpty(await listed(`${orders}?record={"total":"40"}`))
    assert.lengthOf(await listed(`${base}?transition=PAUSE`), 1)
    assert.isEmpty(await listed(`${base}?transition=RESUME`))
    assert.lengthOf(await listed(`${base}?record={"status":"paused"}`), 1)
  })

  it("cannot be searched by transition if it has none", async () => {
    const { ask } = await twoTopics()
    const response = await ask("GET", `${orders}?transition=PAUSE`)
    const { code, issues } = await problemOf(response)
    assert.strictEqual(code, "invalid_query")
    assert.deepStrictEqual(issues, [{ path: ["transition"], message: "This topic has no transitions" }])
  })

  it.each(["GET", "PUT", "DELETE", "PATCH", "POST"])("that is not declared is not found: %s", async (method) => {
    const { ask } = managementWorld()
    for (const headers of [{}, secretKey])
      for (const path of ["/api/v1/webhooks/nothing", `/api/v1/webhooks/nothing/${seedOf().eventId}`])
        assert.strictEqual(await verdict(await ask(method, path, headers)), "404 not_found")
  })
})
