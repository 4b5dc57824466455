import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import { test } from "node:test"
import { Effect, Layer, Logger } from "effect"
import { HttpRouter } from "effect/http"
import { HttpLimits, WebhookRouter } from "pause-status-webhook-handler/http"
import { Environment, SignatureVerifierWebCrypto } from "pause-status-webhook-handler/supabase"
import { DedupeStoreMemory, signDelivery } from "pause-status-webhook-handler/testing"
import * as Orchestrator from "../src/Orchestrator.ts"

const secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  DedupeStoreMemory.layer,
  Orchestrator.layer
).pipe(Layer.provide(Layer.succeed(Environment, { WEBHOOK_SECRETS: secret })))

test("a pause is told once", async () => {
  const { dispose, handler } = HttpRouter.toWebHandler(
    Layer.merge(Layer.provide(WebhookRouter.layer, services), Logger.layer([]))
  )
  const mentorId = randomUUID()
  const eventId = randomUUID()
  const body = new TextEncoder().encode(
    JSON.stringify({
      type: "UPDATE",
      schema: "public",
      table: "peer_mentor_profiles",
      event_id: eventId,
      version: 1,
      timestamp: "2026-11-22T09:30:00.123456Z",
      record: { id: mentorId, status: "paused" },
      old_record: { id: mentorId, status: "active" }
    })
  )
  const headers = await Effect.runPromise(signDelivery({ secret, id: eventId, body }))
  const deliver = () =>
    handler(new Request("http://localhost/api/v1/webhooks/pause-status", { method: "POST", headers, body }))

  const first = await deliver()
  assert.equal(first.status, 200)
  assert.match(await first.text(), /"status":"notified"/)
  const second = await deliver()
  assert.equal(second.status, 409)
  assert.match(await second.text(), /"code":"already_processed"/)
  await dispose()
})
