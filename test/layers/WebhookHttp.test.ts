import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as Problems from "../../src/layers/Problems.ts"
import type { Receipt } from "../../src/schema/Receipt.ts"
import { DedupeStore, DedupeStoreUnavailable, EventDeadLettered } from "../../src/services/DedupeStore.ts"
import { heldOrchestrator, logLines, orchestratorOf } from "../support/layers.ts"
import { bytesOf, eventId, newPause, outboxPause, RoughPayload, roughJson } from "../support/payloads.ts"
import { HeaderText, otherSecret, standardHeaders, staticSecret } from "../support/signing.ts"
import { respond, replyTo, signed, unsigned, url, webhookWorld } from "./webhookWorld.ts"

const pause = () => signed(bytesOf(outboxPause))

const failing = (error: DedupeStoreUnavailable | EventDeadLettered) =>
  Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (store) => ({
      ...store,
      claim: () => (error._tag === "EventDeadLettered" ? Effect.succeed([Result.fail(error)]) : error)
    }))
  )

describe("replies", () => {
  it.effect("200 with the receipt, then 409 with the same one", () =>
    Effect.gen(function* () {
      const first = yield* replyTo(pause())
      assert.strictEqual(first.status, 200)
      assert.strictEqual(first.headers.get("content-type"), "application/json")
      const second = yield* replyTo(pause())
      assert.strictEqual(second.status, 409)
      assert.deepInclude(second.body, { code: "already_processed", eventId, receipt: first.body["receipt"] })
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("200 that says so if nobody was notified, unless the orchestrator does not count", () =>
    Effect.gen(function* () {
      const statusOf = (receipt: Receipt) =>
        Effect.map(
          Effect.provide(
            replyTo(signed(bytesOf({ ...newPause(), event_id: eventId }))),
            Layer.merge(
              orchestratorOf(() => Effect.succeed(receipt)),
              DedupeStoreMemory.make().layer
            )
          ),
          ({ body, status }) => `${status} ${String(body["status"])}`
        )
      assert.strictEqual(yield* statusOf({ notified: 0, notificationIds: [] }), "200 no_recipients")
      assert.strictEqual(yield* statusOf({ notified: 2 }), "200 notified")
      assert.strictEqual(yield* statusOf({}), "200 notified")
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("409 for an event that the outbox does not have, and nobody is notified", () => {
    const { isUntouched, layer } = webhookWorld()
    const empty = DedupeStoreMemory.make({ outbox: new Set() })
    return Effect.gen(function* () {
      const { body, headers, status } = yield* Effect.provide(replyTo(pause()), empty.layer)
      assert.strictEqual(status, 409)
      assert.isNull(headers.get("retry-after"))
      assert.deepInclude(body, { code: "unknown_event", eventId })
      assert.strictEqual(empty.state.size, 0)
      assert.isTrue(isUntouched())
    }).pipe(Effect.provide(layer))
  })

  it.effect("401 with the age of a valid signature from another time, and without it for an invalid one", () => {
    const { isUntouched, layer } = webhookWorld()
    return Effect.gen(function* () {
      yield* TestClock.adjust("301 seconds")
      const stale = yield* replyTo(pause())
      assert.strictEqual(stale.status, 401)
      assert.deepInclude(stale.body, { code: "stale_signature", skewSeconds: 301 })
      const body = bytesOf(outboxPause)
      const forged = yield* replyTo(
        signed(body, standardHeaders(body, { id: eventId, seconds: 0, secret: otherSecret }))
      )
      assert.strictEqual(forged.status, 401)
      assert.strictEqual(forged.body["code"], "unauthorized")
      assert.notInclude(JSON.stringify(forged.body), "301")
      assert.isTrue(isUntouched())
    }).pipe(Effect.provide(layer))
  })

  it.effect("409 with a Retry-After while another delivery is being processed", () =>
    Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const first = yield* Effect.forkChild(Effect.provide(replyTo(pause()), held.layer))
      yield* held.called
      const { body, headers, status } = yield* replyTo(pause())
      assert.deepInclude(body, { code: "in_flight", eventId })
      assert.strictEqual(status, 409)
      assert.strictEqual(headers.get("retry-after"), "30")
      yield* held.answer
      assert.strictEqual((yield* Fiber.join(first)).status, 200)
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("422 for the same id with another payload", () =>
    Effect.gen(function* () {
      yield* replyTo(pause())
      const { body, status } = yield* replyTo(signed(bytesOf({ ...outboxPause, version: 8 })))
      assert.strictEqual(status, 422)
      assert.deepInclude(body, { code: "payload_mismatch", eventId })
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect.each([
    { behaviour: "refuse", code: "orchestrator_refused", retryable: false },
    { behaviour: "fail", code: "orchestrator_unavailable", retryable: true }
  ] as const)("502 that says whether a retry helps: $code", ({ behaviour, ...members }) =>
    Effect.gen(function* () {
      const { body, status } = yield* replyTo(pause())
      assert.strictEqual(status, 502)
      assert.deepInclude(body, { eventId, ...members })
    }).pipe(Effect.provide(webhookWorld(behaviour).layer))
  )

  it.effect("503 with a Retry-After if the claim store is down, 409 for a dead letter", () => {
    const { layer, orchestrator } = webhookWorld()
    return Effect.gen(function* () {
      const away = failing(new DedupeStoreUnavailable({ operation: "claim", detail: "no connection" }))
      const unavailable = yield* Effect.provide(replyTo(pause()), away)
      assert.strictEqual(unavailable.status, 503)
      assert.strictEqual(unavailable.headers.get("retry-after"), "5")
      const dead = yield* Effect.provide(replyTo(pause()), failing(new EventDeadLettered({ eventId })))
      assert.strictEqual(dead.status, 409)
      assert.deepInclude(dead.body, { code: "dead_letter", eventId })
      assert.isEmpty(orchestrator.state.calls)
    }).pipe(Effect.provide(layer))
  })

  it.effect("401 for an unsigned delivery, before anything is read or written", () => {
    const { isUntouched, layer } = webhookWorld()
    return Effect.gen(function* () {
      const body = bytesOf(outboxPause)
      const forged = standardHeaders(body, { id: eventId, seconds: 0, secret: otherSecret })
      const requests = [
        signed(body, { "webhook-signature": "" }),
        signed(body, forged),
        signed(body, { "webhook-id": "another" }),
        signed(new TextEncoder().encode("not json"), forged),
        new Request(url, { method: "POST", body, headers: { "content-type": "application/json" } })
      ]
      for (const request of requests) {
        const reply = yield* replyTo(request)
        assert.strictEqual(reply.status, 401)
        assert.strictEqual(reply.headers.get("www-authenticate"), "Signature")
      }
      yield* TestClock.adjust("301 seconds")
      assert.strictEqual((yield* replyTo(pause())).status, 401)
      assert.isTrue(isUntouched())
    }).pipe(Effect.provide(layer))
  })

  it.effect("redacted 500 for a defect, which is logged", () => {
    const broken = orchestratorOf(() => Effect.die(new Error("canary")))
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(pause()).pipe(Effect.provide(broken))
      assert.strictEqual(status, 500)
      assert.notInclude(JSON.stringify(body), "canary")
      const [line] = yield* logLines
      assert.deepInclude(line?.message, { outcome: "defect", eventId })
    }).pipe(Effect.provide(webhookWorld().layer))
  })

  it.effect("500 for a request whose body was already read, which is logged", () =>
    Effect.gen(function* () {
      const request = pause()
      yield* Effect.promise(() => request.text())
      assert.strictEqual((yield* replyTo(request)).status, 500)
      assert.deepStrictEqual<unknown>(yield* logLines, [{ level: "ERROR", message: { outcome: "defect" } }])
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("500 for a receipt that is not JSON", () => {
    const odd = orchestratorOf(() => Effect.succeed({ notified: 2n }))
    return Effect.gen(function* () {
      const response = yield* respond(pause()).pipe(Effect.provide(odd))
      assert.strictEqual(response.status, 500)
    }).pipe(Effect.provide(webhookWorld().layer))
  })

  it.effect("one log line per request, whatever the outcome", () =>
    Effect.gen(function* () {
      const requests = [
        pause(),
        pause(),
        new Request(url, { method: "POST", body: "a" }),
        signed(bytesOf({})),
        signed(bytesOf(outboxPause), { "webhook-signature": "v1,AAAA" })
      ]
      yield* Effect.forEach(requests, respond)
      assert.deepStrictEqual(
        (yield* logLines).map(({ message }) => message["outcome"]),
        ["notified", "AlreadyProcessed", "UnsupportedMediaType", "InvalidPayload", "SignatureRejected"]
      )
    }).pipe(Effect.provide(webhookWorld().layer))
  )
})

describe("any request", () => {
  const statuses = [200, ...Object.values(Problems.table).map(({ status }) => status)]
  const AnyHeader = Schema.Literals([
    "content-type",
    "content-length",
    "content-encoding",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-webhook-secret",
    "x-webhook-signature"
  ])
  const AnyValue = Schema.Union([
    Schema.Literals(["application/json", "gzip", "-1", "1e9", "0", "v1,AAAA", staticSecret, ""]),
    HeaderText
  ])

  it.effect.prop(
    "any bytes and any headers get a status of the table",
    { bytes: Schema.Uint8Array, changes: Schema.Array(Schema.Tuple([AnyHeader, AnyValue])) },
    ({ bytes, changes }) =>
      Effect.gen(function* () {
        const headers = Object.fromEntries(changes)
        const request = changes.length % 2 === 0 ? signed(new Uint8Array(bytes), headers) : pause()
        for (const [header, value] of changes) request.headers.set(header, value)
        const { body, status } = yield* replyTo(request)
        assert.include(statuses, status)
        assert.notStrictEqual(status, 500)
        if (status !== 200) assert.strictEqual(body["status"], status)
      }).pipe(Effect.provide(webhookWorld().layer)),
    { timeout: 30_000, arbitrary: { runs: 100 } }
  )

  it.effect.prop(
    "any payload gets 200, or 400 with its problem",
    [RoughPayload],
    ([rough]) =>
      Effect.gen(function* () {
        const { body, status } = yield* replyTo(unsigned(bytesOf(roughJson(rough))))
        assert.include([200, 400], status)
        assert.include(status === 200 ? ["notified", "no_change"] : [400], body["status"])
      }).pipe(Effect.provide(webhookWorld().layer)),
    { timeout: 30_000, arbitrary: { runs: 100 } }
  )
})
