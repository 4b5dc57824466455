import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as Logging from "../../src/layers/Logging.ts"
import { respond } from "../../src/layers/OrchestratorHttp.ts"
import { ProjectKey } from "../../src/layers/ProjectKey.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { EventUnstorable, PayloadMismatch } from "../../src/services/DedupeStore.ts"
import {
  EventSuperseded,
  NotificationStore,
  NotificationStoreUnavailable,
  type WriteRefused
} from "../../src/topics/NotificationStore.ts"
import { config, logLines } from "../support/layers.ts"
import { bytesOf, eventId, fixture, mentorId, pauseEvent } from "../support/payloads.ts"

const receipt = { notified: 2, notificationIds: ["a", "b"] }
const root = "http://localhost"
const name = "/pause-notification-orchestrator"

/** Remembers what it wrote, and answers from memory when it is asked again. */
const world = (failure?: WriteRefused | NotificationStoreUnavailable, notified = 2) => {
  const written: Array<PauseEvent> = []
  const layer = Layer.mergeAll(
    Layer.succeed(NotificationStore, {
      write: Effect.fnUntraced(function* (events) {
        if (failure?._tag === "NotificationStoreUnavailable") return yield* failure
        return events.map((event: PauseEvent) => {
          if (failure !== undefined && event.eventId === failure.eventId) return Result.fail(failure)
          const replayed = written.some((earlier) => earlier.eventId === event.eventId)
          if (!replayed) written.push(event)
          return Result.succeed({ receipt: { ...receipt, notified }, replayed })
        })
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

  it.effect("warns if nobody was notified, and says how to change that", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* replyTo(order())).status, 200)
      const [line] = yield* logLines
      assert.strictEqual(line?.level, "WARN")
      assert.strictEqual(line?.message["outcome"], "no_recipients")
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
      const { body } = yield* replyTo(order({ ...pauseEvent, mentorId: "canary\n", version: 0 }))
      assert.include(JSON.stringify(body["issues"]), "mentorId")
      assert.include(JSON.stringify(body["issues"]), "version")
      assert.notInclude(JSON.stringify(body), "canary")
    }).pipe(Effect.provide(world().layer))
  )

  it.effect.each([
    { why: "a used id", refusal: new PayloadMismatch({ eventId }), status: 422, code: "payload_mismatch" },
    {
      why: "an event it cannot hold",
      refusal: new EventUnstorable({ eventId }),
      status: 422,
      code: "payload_mismatch"
    },
    { why: "a superseded event", refusal: new EventSuperseded({ eventId }), status: 409, code: "superseded" }
  ])("is a $status for $why", ({ code, refusal, status }) =>
    Effect.gen(function* () {
      const reply = yield* replyTo(order())
      assert.strictEqual(reply.status, status)
      assert.deepInclude(reply.body, { code, eventId })
      assert.lengthOf(yield* logLines, 1)
    }).pipe(Effect.provide(world(refusal).layer))
  )

  it.effect("is a 503 if the database is down", () =>
    Effect.gen(function* () {
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

describe("the orchestrator, with several events at once", () => {
  const other = { ...pauseEvent, eventId: EventId.make(mentorId), version: 8 }
  const both = [pauseEvent, other]

  it.effect("writes them together, and answers with each one's receipt in their order", () => {
    const { layer, written } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(order(both))
      assert.strictEqual(status, 200)
      const results = both.map((event) => ({ eventId: event.eventId, status: 200, receipt }))
      assert.deepStrictEqual<unknown>(body, { results })
      assert.deepStrictEqual(written, both)
      assert.deepStrictEqual<unknown>(yield* logLines, [
        { level: "INFO", message: { outcome: "batch", events: 2, notified: 2, noRecipients: 0 } }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    { refusal: new PayloadMismatch({ eventId }), status: 422 },
    { refusal: new EventUnstorable({ eventId }), status: 422 },
    { refusal: new EventSuperseded({ eventId }), status: 409 }
  ])("answers a refused event with its own status, and the other with its receipt: $status", (refused) => {
    const { layer, written } = world(refused.refusal)
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(order(both))
      assert.strictEqual(status, 200)
      const results = [
        { eventId, status: refused.status },
        { eventId: other.eventId, status: 200, receipt }
      ]
      assert.deepStrictEqual<unknown>(body, { results })
      assert.deepStrictEqual(written, [other])
      const lines = yield* logLines
      assert.lengthOf(lines, 1)
      assert.strictEqual(lines[0]?.level, "WARN")
      assert.deepInclude(lines[0]?.message, { events: 2, notified: 1 })
      assert.deepStrictEqual<unknown>(lines[0]?.message["refused"], [{ eventId, outcome: refused.refusal._tag }])
    }).pipe(Effect.provide(layer))
  })

  it.effect("warns of the events that notified nobody", () =>
    Effect.gen(function* () {
      yield* replyTo(order(both))
      const [line] = yield* logLines
      assert.strictEqual(line?.level, "WARN")
      assert.deepInclude(line?.message, { notified: 0, noRecipients: 2 })
    }).pipe(Effect.provide(world(undefined, 0).layer))
  )

  it.effect("writes nothing if one of them is not an event, and says which", () => {
    const { layer, written } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(order([pauseEvent, { ...other, version: 0 }]))
      assert.strictEqual(status, 400)
      assert.deepInclude(JSON.stringify(body["issues"]), '"path":[1,"version"]')
      assert.isEmpty(written)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is a 503 if the database is down, and answers an empty array with an empty one", () =>
    Effect.gen(function* () {
      const away = world(new NotificationStoreUnavailable({ detail: "canary" })).layer
      assert.strictEqual((yield* Effect.provide(replyTo(order(both)), away)).status, 503)
      const none = yield* Effect.provide(replyTo(order([])), world().layer)
      assert.deepStrictEqual(none.body, { results: [] })
    })
  )
})
