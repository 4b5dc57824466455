import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { after, test } from "node:test"
import { Effect, Layer, Logger } from "effect"
import { HttpRouter } from "effect/http"
import { pauseStatus } from "pause-status-webhook-handler"
import { HttpLimits, WebhookRouter } from "pause-status-webhook-handler/http"
import { Environment, SignatureVerifierWebCrypto } from "pause-status-webhook-handler/supabase"
import { DedupeStoreMemory, signDelivery } from "pause-status-webhook-handler/testing"
import { Mailer } from "../src/Mailer.ts"
import * as Orchestrator from "../src/Orchestrator.ts"
import { orderCreated } from "../src/OrderCreated.ts"

const secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  DedupeStoreMemory.layer,
  Orchestrator.layer,
  Mailer.layer
).pipe(Layer.provide(Layer.succeed(Environment, { WEBHOOK_SECRETS: secret })))

const routes = Layer.merge(WebhookRouter.layer(pauseStatus), WebhookRouter.layer(orderCreated))
const { dispose, handler } = HttpRouter.toWebHandler(Layer.merge(Layer.provide(routes, services), Logger.layer([])))
after(dispose)

/** A row, as the outbox sends it. */
const eventOf = (topic: string, row: object) => ({
  topic,
  event_id: randomUUID(),
  version: 1,
  timestamp: "2026-11-22T09:30:00.123456+00:00",
  ...row
})

const deliver = async (event: ReturnType<typeof eventOf>) => {
  const body = new TextEncoder().encode(JSON.stringify(event))
  const headers = await Effect.runPromise(signDelivery({ secret, id: event.event_id, body }))
  const url = `http://localhost/api/v1/webhooks/${event.topic}`
  const response = await handler(new Request(url, { method: "POST", headers, body }))
  return { status: response.status, text: await response.text() }
}

test("a pause is notified once", async () => {
  const id = randomUUID()
  const pause = eventOf("pause-status", {
    type: "UPDATE",
    record: { id, status: "paused" },
    old_record: { id, status: "active" }
  })
  const first = await deliver(pause)
  assert.equal(first.status, 200)
  assert.match(first.text, /"status":"notified"/)
  const second = await deliver(pause)
  assert.equal(second.status, 409)
  assert.match(second.text, /"code":"already_processed"/)
})

const newOrder = (customerId: string) =>
  eventOf("order-created", {
    type: "INSERT",
    record: { id: randomUUID(), customer_id: customerId, total: 12.5 },
    old_record: null
  })

test("an order is confirmed once", async () => {
  const order = newOrder("4711")
  const first = await deliver(order)
  assert.equal(first.status, 200)
  assert.match(first.text, /"status":"handled".*"receipt":\{"mail":"confirmation of /)
  const second = await deliver(order)
  assert.equal(second.status, 409)
  assert.match(second.text, /"code":"already_processed".*"receipt":\{"mail":"confirmation of /)
})

test("an order of an unknown customer becomes a dead letter", async () => {
  const order = newOrder("")
  const first = await deliver(order)
  assert.equal(first.status, 502)
  assert.match(first.text, /"code":"handler_refused".*"retryable":false/)
  assert.match((await deliver(order)).text, /"code":"dead_letter"/)
})
