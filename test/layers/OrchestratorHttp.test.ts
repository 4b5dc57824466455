import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as Logging from "../../src/layers/Logging.ts"
import { respond } from "../../src/layers/OrchestratorHttp.ts"
import { ProjectKey } from "../../src/layers/ProjectKey.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { PayloadMismatch } from "../../src/services/DedupeStore.ts"
import { NotificationStore, NotificationStoreUnavailable } from "../../src/services/NotificationStore.ts"
import { config, logLines } from "../support/layers.ts"
import { bytesOf, eventId, fixture, mentorId, pauseEvent } from "../support/payloads.ts"

const receipt = { notified: 2, notificationIds: ["a", "b"] }
const root = "http://localhost"
const name = "/pause-notification-orchestrator"

/** Remembers what it wrote, and answers from memory when it is asked again. */
const world = (failure?: PayloadMismatch | NotificationStoreUnavailable, notified = 2) => {
  const written: Array<PauseEvent> = []
  const layer = Layer.mergeAll(
    Layer.succeed(NotificationStore, {
      write: Effect.fnUntraced(function* (event) {
        if (failure !== undefined) return yield* failure
        const replayed = written.some((earlier) => earlier.eventId === event.eventId)
        if (!replayed) written.push(event)
        return { receipt: { ...receipt, notified }, replayed }
      })
    }),
    ProjectKey.layer,
    HttpLimits.layer,
    Logging.json
  ).pipe(Layer.provide(config({ SUPABASE_SERVICE_ROLE_KEY: "key", MAX_BODY_BYTES: "1000" })))
  return { layer, written }
}

const order = (value: unknown = pauseEvent, headers = {}, url = root + name) =>
  new Request(url, {
    method: "POST",
    body: value instanceof Uint8Array ? new Uint8Array(value) : bytesOf(value),
    headers: { "content-type": "application/json", apikey: "key", "idempotency-key": eventId, ...headers }
  })

const replyTo = Effect.fnUntraced(function* (request: Request) {
  const response = yield* respond(request)
  const body: Record<string, unknown> = yield* Effect.promise(() => response.json())
  return { status: response.status, headers: response.headers, body }
})

describe("the orchestrator", () => {
  it.effect("writes the event and answers with the receipt", () => {
    const { layer, written } = world()
    return Effect.gen(function* () {
      const { body, headers, status } = yield* replyTo(order())
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("content-type"), "application/json")
      assert.deepStrictEqual(body, receipt)
      assert.deepStrictEqual(written, [pauseEvent])
      assert.deepStrictEqual<unknown>(yield* logLines, [
        {
          level: "INFO",
          message: { outcome: "notified", eventId, mentorId, transition: "PAUSE", notified: 2, replayed: false }
        }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("answers a second call with the same receipt, and says so in the log", () => {
    const { layer, written } = world()
    return Effect.gen(function* () {
      const first = yield* replyTo(order())
      const second = yield* replyTo(order())
      assert.deepStrictEqual(second.body, first.body)
      assert.lengthOf(written, 1)
      assert.deepStrictEqual(
        (yield* logLines).map(({ message }) => message["replayed"]),
        [false, true]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("warns when nobody was told, and how to change that", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* replyTo(order())).status, 200)
      const [line] = yield* logLines
      assert.strictEqual(line?.level, "WARN")
      assert.include(String(line?.message["detail"]), "mentor_coordinators")
    }).pipe(Effect.provide(world(undefined, 0).layer))
  )

  it.effect.each([root, `${root}/`, `${root}${name}`, `${root}${name}/`])("is at %s", (url) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* replyTo(order(pauseEvent, {}, url))).status, 200)
    }).pipe(Effect.provide(world().layer))
  )

  const { eventId: _, ...anonymous } = pauseEvent
  it.effect.each([
    { why: "a stranger", request: () => order(pauseEvent, { apikey: "guess" }), status: 401 },
    { why: "a stranger's nonsense", request: () => order(fixture("truncated.json"), { apikey: "" }), status: 401 },
    {
      why: "a stranger's form",
      request: () => order("", { apikey: "guess", "content-type": "text/plain" }),
      status: 401
    },
    { why: "a stranger's bulk", request: () => order("x".repeat(2000), { apikey: "guess" }), status: 401 },
    { why: "another path", request: () => order(pauseEvent, {}, `${root}${name}/more`), status: 404 },
    { why: "a GET", request: () => new Request(root + name), status: 405 },
    { why: "no JSON", request: () => order(fixture("truncated.json")), status: 400 },
    { why: "no UTF-8", request: () => order(fixture("invalid-utf8.json")), status: 400 },
    { why: "a payload instead of an event", request: () => order(fixture("outbox-pause.json")), status: 400 },
    { why: "an event without an id", request: () => order(anonymous), status: 400 },
    { why: "an event of no change", request: () => order({ ...pauseEvent, transition: "NO_CHANGE" }), status: 400 },
    { why: "another key", request: () => order(pauseEvent, { "idempotency-key": mentorId }), status: 400 },
    { why: "another media type", request: () => order(pauseEvent, { "content-type": "text/plain" }), status: 415 },
    { why: "a large body", request: () => order({ ...pauseEvent, more: "x".repeat(1000) }), status: 413 }
  ])("writes nothing for $why, which is a $status", ({ request, status }) => {
    const { layer, written } = world()
    return Effect.gen(function* () {
      const reply = yield* replyTo(request())
      assert.strictEqual(reply.status, status)
      assert.strictEqual(reply.body["status"], status)
      assert.isEmpty(written)
      assert.lengthOf(yield* logLines, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("names what is wrong with an event, without its values", () =>
    Effect.gen(function* () {
      const { body } = yield* replyTo(order({ ...pauseEvent, mentorId: "canary", version: 0 }))
      assert.include(JSON.stringify(body["issues"]), "mentorId")
      assert.include(JSON.stringify(body["issues"]), "version")
      assert.notInclude(JSON.stringify(body), "canary")
    }).pipe(Effect.provide(world().layer))
  )

  it.effect("is a 422 for a used id, and a 503 when the database is away", () =>
    Effect.gen(function* () {
      const mismatch = world(new PayloadMismatch({ eventId })).layer
      assert.strictEqual((yield* Effect.provide(replyTo(order()), mismatch)).status, 422)
      const away = world(new NotificationStoreUnavailable({ detail: "canary" })).layer
      const reply = yield* Effect.provide(replyTo(order()), away)
      assert.strictEqual(reply.status, 503)
      assert.strictEqual(reply.headers.get("retry-after"), "5")
      assert.notInclude(JSON.stringify(reply.body), "canary")
    })
  )

  it.effect("needs no Idempotency-Key", () =>
    Effect.gen(function* () {
      const request = order()
      request.headers.delete("idempotency-key")
      assert.strictEqual((yield* replyTo(request)).status, 200)
    }).pipe(Effect.provide(world().layer))
  )
})
