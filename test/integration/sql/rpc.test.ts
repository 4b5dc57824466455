import { assert, describe, inject, it } from "vitest"
import { asClaim, foreignEvent } from "../../support/sql.ts"

const call = async (name: string, args: object, key: string): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(`${inject("stack").apiUrl}/rest/v1/rpc/${name}`, {
    method: "POST",
    headers: { apikey: key, authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(args)
  })
  return { status: response.status, body: await response.json() }
}

describe("the functions through the Data API", () => {
  it("carry events from their claim to their receipt", async () => {
    const { serviceKey } = inject("stack")
    const events = [foreignEvent(), foreignEvent()]
    const ids = events.map(({ eventId }) => eventId)
    const claimed = { outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 30 }
    assert.deepStrictEqual(await call("outbox_claim", { events: events.map(asClaim) }, serviceKey), {
      status: 200,
      body: ids.map((eventId) => ({ eventId, ...claimed }))
    })
    const { body: notified } = await call("pause_status_notify", { events }, serviceKey)
    const receipts = events.map(({ eventId, mentorId }) => ({
      eventId,
      mentorId,
      transition: "PAUSE",
      notified: 0,
      notificationIds: []
    }))
    assert.deepStrictEqual(
      notified,
      receipts.map((receipt) => ({ eventId: receipt.eventId, outcome: "notified", receipt, replayed: false }))
    )
    const settlements = [
      { eventId: ids[0], token: 1, outcome: "completed", receipt: receipts[0], durationMs: 12.5 },
      { eventId: ids[1], token: 1, outcome: "released", kind: "transient", message: "refused", status: 503 }
    ]
    const { body: settled } = await call("outbox_settle", { settlements, topic: "pause-status" }, serviceKey)
    assert.deepStrictEqual(settled, {
      settled: [
        { eventId: ids[0], outcome: "completed" },
        { eventId: ids[1], outcome: "released" }
      ],
      next: []
    })
    const { body: again } = await call("outbox_claim", { events: events.map(asClaim) }, serviceKey)
    assert.deepStrictEqual(again, [
      { eventId: ids[0], outcome: "completed", receipt: receipts[0] },
      { eventId: ids[1], ...claimed, token: 2, attempt: 2 }
    ])
  })

  it("answer 400 with SQLSTATE 22023 to malformed input", async () => {
    const { status, body } = await call("outbox_claim", { events: {} }, inject("stack").serviceKey)
    assert.strictEqual(status, 400)
    assert.deepInclude(body, { code: "22023" })
  })

  it("are refused to the publishable key", async () => {
    const { status, body } = await call("outbox_claim", { events: {} }, inject("stack").publishableKey)
    assert.strictEqual(status, 401)
    assert.deepInclude(body, { code: "42501" })
  })

  it("leave the private schema and the tables out of reach, even for the secret key", async () => {
    const { apiUrl, serviceKey } = inject("stack")
    const reach = async (path: string, profile: string) => {
      const headers = { apikey: serviceKey, authorization: `Bearer ${serviceKey}`, "accept-profile": profile }
      return (await fetch(`${apiUrl}/rest/v1/${path}`, { headers })).status
    }
    assert.strictEqual(await reach("events", "outbox"), 406)
    assert.strictEqual(await reach("notifications", "public"), 403)
  })
})
