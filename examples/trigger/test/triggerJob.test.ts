import { randomUUID } from "node:crypto"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { buildExample } from "../../../local/examples.ts"
import type { Trigger } from "../../../local/trigger/server.ts"
import { secretKey, startWorld, type World } from "./world.ts"

describe("trigger-job", () => {
  let world: World
  let trigger: Trigger

  beforeAll(async () => {
    const { functions } = await buildExample("trigger")
    world = await startWorld((url) => ({
      functions: functions.map((one) =>
        Object.assign({}, one, { env: { TRIGGER_API_URL: url, TRIGGER_SECRET_KEY: secretKey } })
      )
    }))
  })
  afterAll(() => world?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    trigger = await world.startTrigger({
      worker: { tasks: [{ id: "process-order" }], execute: async () => ({ ok: true }) }
    })
  })
  afterEach(() => trigger[Symbol.asyncDispose]())

  const post = async (body: unknown, key: string = world.stack.serviceKey) => {
    const response = await fetch(`${world.stack.apiUrl}/functions/v1/trigger-job`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
    return { status: response.status, body: await response.json() }
  }
  const inserted = (more: object = {}) => ({
    type: "INSERT",
    schema: "public",
    table: "orders",
    record: { id: randomUUID(), total: "9007199254740993.10", created_at: "2026-11-28T08:00:00.123456+00:00" },
    old_record: null,
    ...more
  })

  it("triggers the task for a table with the whole payload, once per event", async () => {
    const event_id = randomUUID()
    const payload = inserted({ event_id })
    const first = await post(payload)
    assert.deepStrictEqual(first, { status: 200, body: { success: true, run_id: trigger.runs.all()[0]?.id } })
    assert.deepStrictEqual(await post(payload), first)
    const [run, ...more] = trigger.runs.all()
    assert.isEmpty(more)
    assert.deepInclude(run, {
      task: "process-order",
      idempotencyKey: event_id,
      concurrencyKey: payload.record.id,
      tags: [`event:${event_id}`]
    })
    assert.deepStrictEqual(JSON.parse(run?.payload ?? ""), payload)
  })

  it("distinguishes the events of a stock webhook by what changed and when", async () => {
    const first = inserted()
    const later = {
      ...first,
      type: "UPDATE",
      record: { ...first.record, updated_at: "2026-11-28T08:00:00.123457+00:00" }
    }
    const runs = [await post(first), await post(first), await post(later), await post(inserted())]
    assert.strictEqual(new Set(runs.map(({ body }) => body.run_id)).size, 3)
    assert.lengthOf(trigger.runs.all(), 3)
  })

  it("retries if the answer is lost, and makes one run", async () => {
    trigger.faults.push("accepts, then hangs up", { status: 500 })
    assert.strictEqual((await post(inserted())).status, 200)
    assert.lengthOf(trigger.runs.all(), 1)
  })

  it.each([
    { fault: { status: 500 }, retryable: true },
    { fault: { rateLimited: 60 }, retryable: true },
    { fault: { status: 413 }, retryable: false }
  ])("says that Trigger.dev failed with $fault, and whether to ask again", async ({ fault, retryable }) => {
    trigger.faults.push(fault, fault, fault)
    const { body, status } = await post(inserted())
    assert.deepInclude(body, { success: false, retryable })
    assert.strictEqual(status, 502)
    assert.lengthOf(trigger.requests, retryable ? 3 : 1)
  })

  it("accepts only the project's key", async () => {
    assert.strictEqual((await post(inserted(), world.stack.publishableKey)).status, 401)
    assert.strictEqual((await post(inserted(), "another")).status, 401)
    assert.isEmpty(trigger.requests)
  })

  it.each([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["a DELETE", inserted({ type: "DELETE" })],
    ["a table without a task", inserted({ table: "payments" })],
    ["a record without an id", inserted({ record: {} })],
    ["an invalid event id", inserted({ event_id: "1" })],
    ["nothing that distinguishes its events", inserted({ record: { id: "1" } })]
  ])("refuses %s", async (_, body) => {
    const { body: answer, status } = await post(body)
    assert.strictEqual(status, 400)
    assert.isFalse(answer.success)
    assert.isEmpty(trigger.requests)
  })

  it("answers only POST", async () => {
    const response = await fetch(`${world.stack.apiUrl}/functions/v1/trigger-job`)
    assert.deepStrictEqual([response.status, response.headers.get("allow")], [405, "POST"])
    await response.body?.cancel()
  })
})
