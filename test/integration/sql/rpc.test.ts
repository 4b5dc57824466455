import { assert, describe, inject, it } from "vitest"
import { foreignEvent } from "../../support/sql.ts"

const call = async (name: string, args: object, key: string): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(`${inject("stack").apiUrl}/rest/v1/rpc/${name}`, {
    method: "POST",
    headers: { apikey: key, authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(args)
  })
  return { status: response.status, body: await response.json() }
}

describe("the functions through the Data API", () => {
  it("carry an event from its claim to its receipt", async () => {
    const { serviceKey } = inject("stack")
    const event = foreignEvent()
    const claimed = { outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 30 }
    assert.deepStrictEqual(await call("pause_status_claim", { event }, serviceKey), { status: 200, body: claimed })
    const { body: notified } = await call("pause_status_notify", { event }, serviceKey)
    const receipt = {
      eventId: event.eventId,
      mentorId: event.mentorId,
      transition: "PAUSE",
      notified: 0,
      notificationIds: []
    }
    assert.deepStrictEqual(notified, { outcome: "notified", receipt, replayed: false })
    const settle = { event_id: event.eventId, token: 1, receipt }
    const { body: completed } = await call("pause_status_complete", settle, serviceKey)
    assert.deepStrictEqual(completed, { outcome: "completed" })
    const { body: again } = await call("pause_status_claim", { event }, serviceKey)
    assert.deepStrictEqual(again, { outcome: "completed", receipt })
  })

  it("give an event back", async () => {
    const { serviceKey } = inject("stack")
    const event = foreignEvent()
    await call("pause_status_claim", { event }, serviceKey)
    const release = { event_id: event.eventId, token: 1, error: { kind: "transient", message: "refused" } }
    const { body } = await call("pause_status_release", release, serviceKey)
    assert.deepStrictEqual(body, { outcome: "released" })
  })

  it("answer 400 with SQLSTATE 22023 to malformed input", async () => {
    const { status, body } = await call("pause_status_claim", { event: {} }, inject("stack").serviceKey)
    assert.strictEqual(status, 400)
    assert.deepInclude(body, { code: "22023" })
  })

  it("are refused to the publishable key", async () => {
    const { status, body } = await call("pause_status_claim", { event: {} }, inject("stack").publishableKey)
    assert.strictEqual(status, 401)
    assert.deepInclude(body, { code: "42501" })
  })

  it("leave the private schema and the tables out of reach, even for the secret key", async () => {
    const { apiUrl, serviceKey } = inject("stack")
    const reach = async (path: string, profile: string) => {
      const headers = { apikey: serviceKey, authorization: `Bearer ${serviceKey}`, "accept-profile": profile }
      return (await fetch(`${apiUrl}/rest/v1/${path}`, { headers })).status
    }
    assert.strictEqual(await reach("webhook_queue", "pause_status"), 406)
    assert.strictEqual(await reach("notifications", "public"), 403)
  })
})
