import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { Effect, Layer, Schema } from "effect"
import { BatchReply } from "../../src/schema/Replies.ts"
import { DedupeStore, DedupeStoreUnavailable } from "../../src/services/DedupeStore.ts"
import { OrchestratorCircuitOpen } from "../../src/topics/OrchestratorClient.ts"
import { logLines, orchestratorOf } from "../support/layers.ts"
import { bytesOf, dashboardUpdate, eventId, fixture, mentorId, newPause, outboxPause } from "../support/payloads.ts"
import { replyTo, signed, unsigned, url, webhookWorld } from "./webhookWorld.ts"

const decode = Schema.decodeUnknownSync(BatchReply, { onExcessProperty: "error" })

const resultsOf = (request: Request) =>
  Effect.map(replyTo(request), ({ body, status }) => {
    assert.strictEqual(status, 200)
    return decode(body).results
  })

// Those that hold no JSON object, and one that has the event id of another.
const leftOut = new Set([
  "empty.json",
  "invalid-utf8.json",
  "truncated.json",
  "not-an-object.json",
  "outbox-resume.json"
])

const recordings = (): ReadonlyArray<unknown> =>
  readdirSync(new URL("../fixtures/", import.meta.url))
    .toSorted()
    .filter((name) => !leftOut.has(name))
    .map((name) => JSON.parse(new TextDecoder().decode(fixture(name))))

describe("the reply to a batch", () => {
  it.effect("is a 200 with each payload's own reply or problem, in order", () =>
    Effect.gen(function* () {
      const results = yield* resultsOf(
        signed(bytesOf([outboxPause, { ...newPause(), table: "another" }, dashboardUpdate("paused", "paused")]))
      )
      const [told, wrong, unchanged] = results
      assert.deepStrictEqual<unknown>(told, {
        status: 200,
        eventId,
        reply: { status: "notified", transition: "PAUSE", eventId, mentorId, receipt: { eventId, notified: 1 } }
      })
      assert.deepInclude(wrong, { status: 400 })
      assert.deepInclude(wrong?.problem, { status: 400, code: "invalid_payload" })
      assert.deepStrictEqual(
        wrong?.problem?.issues?.map(({ path }) => path),
        [["table"]]
      )
      assert.deepStrictEqual<unknown>(unchanged, {
        status: 200,
        reply: { status: "no_change", transition: "NO_CHANGE", reason: "unchanged", mentorId }
      })
      assert.lengthOf(results, 3)
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("has for every recorded payload the reply that it gets alone", () =>
    Effect.gen(function* () {
      const payloads = recordings()
      assert.isAtLeast(payloads.length, 15)
      const alone = yield* Effect.forEach(payloads, (payload) =>
        Effect.provide(replyTo(unsigned(bytesOf(payload))), webhookWorld().layer)
      )
      const results = yield* Effect.provide(resultsOf(unsigned(bytesOf(payloads))), webhookWorld().layer)
      assert.deepStrictEqual<unknown>(
        results.map(({ problem, reply, status }) => ({ status, body: reply ?? problem })),
        alone.map(({ body, status }) => ({ status, body }))
      )
    })
  )

  it.effect("to a redelivery has each duplicate's receipt", () =>
    Effect.gen(function* () {
      const request = () => signed(bytesOf([outboxPause, "nonsense"]), {}, "msg_1")
      yield* resultsOf(request())
      const [again, nonsense] = yield* resultsOf(request())
      assert.strictEqual(again?.status, 409)
      assert.deepInclude(again?.problem, { code: "already_processed", eventId, receipt: { eventId, notified: 1 } })
      assert.strictEqual(nonsense?.status, 400)
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("says for each failure what the sender must do", () => {
    const [refused, failed, told] = [newPause(), newPause(), newPause()]
    return Effect.gen(function* () {
      const request = () => signed(bytesOf([refused, failed, told]))
      const results = yield* resultsOf(request())
      assert.deepStrictEqual(
        results.map(({ problem, status }) => [status, problem?.code, problem?.retryable]),
        [
          [502, "orchestrator_refused", false],
          [502, "orchestrator_unavailable", true],
          [200, undefined, undefined]
        ]
      )
      const open = orchestratorOf((event) => new OrchestratorCircuitOpen({ ...event, retryAfterSeconds: 9 }))
      const codes = (yield* Effect.provide(resultsOf(request()), open)).map(({ problem }) => problem?.code)
      assert.deepStrictEqual(codes, ["dead_letter", "circuit_open", "already_processed"])
    }).pipe(Effect.provide(webhookWorld("refuse", "fail").layer))
  })

  it.effect.each([0, 201])("is a 400 for %i payloads", (length) => {
    const { isUntouched, layer } = webhookWorld()
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(signed(bytesOf(Array.from({ length }, newPause))))
      assert.strictEqual(status, 400)
      assert.strictEqual(body["code"], "invalid_payload")
      assert.isTrue(isUntouched())
    }).pipe(Effect.provide(layer))
  })

  it.effect("is a single 503 if nothing could be claimed", () => {
    const unavailable = new DedupeStoreUnavailable({ operation: "claim", detail: "no connection" })
    const away = Layer.effect(
      DedupeStore,
      Effect.map(DedupeStore, (store) => ({ ...store, claim: () => unavailable }))
    )
    return Effect.gen(function* () {
      const reply = yield* Effect.provide(replyTo(signed(bytesOf([newPause(), newPause()]))), away)
      assert.strictEqual(reply.status, 503)
      assert.strictEqual(reply.headers.get("retry-after"), "5")
      assert.lengthOf(yield* logLines, 1)
    }).pipe(Effect.provide(webhookWorld().layer))
  })

  it.effect("is a 401 for an unsigned batch", () => {
    const { isUntouched, layer } = webhookWorld()
    return Effect.gen(function* () {
      const forged = signed(bytesOf([newPause()]), { "webhook-signature": "v1,AAAA" })
      assert.strictEqual((yield* replyTo(forged)).status, 401)
      assert.isTrue(isUntouched())
    }).pipe(Effect.provide(layer))
  })
})

describe("the webhook-id of a request", () => {
  const sent = { "webhook-id": "msg_1" }
  it.effect.each([
    { status: 200, request: () => signed(bytesOf([newPause()]), {}, "msg_1") },
    { status: 200, request: () => signed(bytesOf(dashboardUpdate("paused", "paused")), {}, "msg_1") },
    { status: 400, request: () => signed(bytesOf({}), {}, "msg_1") },
    { status: 401, request: () => signed(bytesOf(outboxPause), sent) },
    { status: 415, request: () => new Request(url, { method: "POST", headers: sent, body: "a" }) }
  ])("comes back with a $status", ({ request, status }) =>
    Effect.gen(function* () {
      const reply = yield* replyTo(request())
      assert.strictEqual(reply.status, status)
      assert.strictEqual(reply.headers.get("webhook-id"), "msg_1")
    }).pipe(Effect.provide(webhookWorld().layer))
  )

  it.effect("comes back with a 500 too, and with a duplicate's 409", () => {
    const broken = orchestratorOf(() => Effect.die(new Error("a bug of ours")))
    return Effect.gen(function* () {
      const defect = yield* Effect.provide(replyTo(signed(bytesOf(outboxPause))), broken)
      assert.deepStrictEqual([defect.status, defect.headers.get("webhook-id")], [500, eventId])
      const duplicate = yield* replyTo(signed(bytesOf(outboxPause)))
      assert.deepStrictEqual([duplicate.status, duplicate.headers.get("webhook-id")], [409, eventId])
    }).pipe(Effect.provide(webhookWorld().layer))
  })

  it.effect("is missing if none was sent", () =>
    Effect.gen(function* () {
      assert.isNull((yield* replyTo(unsigned(bytesOf(dashboardUpdate("active", "paused"))))).headers.get("webhook-id"))
    }).pipe(Effect.provide(webhookWorld().layer))
  )
})
