import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Result, Schema } from "effect"
import * as OrchestratorClientHttp from "../../src/layers/OrchestratorClientHttp.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import { PauseEvents } from "../../src/schema/PauseEvent.ts"
import { OrchestratorClient, type OrchestratorError } from "../../src/topics/OrchestratorClient.ts"
import { config, type FetchStep, fetchOf, throughTime } from "../support/layers.ts"
import { pauseEvent } from "../support/payloads.ts"

type Settings = Readonly<Record<string, string>>

const project = {
  SUPABASE_URL: "https://abcdefgh.supabase.co",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}'
}
const elsewhere = { ORCHESTRATOR_URL: "https://hooks.example.test/pause" }

const eventsOf = (count: number) =>
  Array.from({ length: count }, () => ({ ...pauseEvent, eventId: EventId.make(randomUUID()) }))
const [one, two, three] = eventsOf(3)
const events = [one, two, three].flatMap((event) => event ?? [])
const [first, second, third] = events.map(({ eventId }) => eventId)

const reply = (results: ReadonlyArray<unknown>): FetchStep => ({ status: 200, body: JSON.stringify({ results }) })
const receiptOf = (eventId: unknown) => ({ of: eventId })
const told = (eventId: unknown) => ({ eventId, status: 200, receipt: receiptOf(eventId) })

/** Hands events over, the way notifyAll does: uninterruptibly, while the clock moves on. */
const notify = Effect.fnUntraced(function* (
  steps: ReadonlyArray<FetchStep>,
  settings: Settings = {},
  given: ReadonlyArray<typeof pauseEvent> = events
) {
  const server = fetchOf(...steps)
  const program = Effect.uninterruptible(OrchestratorClient.use((client) => client.notify(given)))
  const answers = yield* throughTime(
    program.pipe(
      Effect.provide(OrchestratorClientHttp.layer),
      Effect.provide([server.layer, config({ ...project, ...settings })])
    )
  )
  return { calls: server.calls, answers }
})

const atOnceWith = (settings: Settings) =>
  OrchestratorClient.use(({ atOnce }) => Effect.succeed(atOnce)).pipe(
    Effect.provide(OrchestratorClientHttp.layer),
    Effect.provide([fetchOf().layer, config({ ...project, ...settings })])
  )

const summary = (answer: Result.Result<unknown, OrchestratorError>) => {
  if (Result.isSuccess(answer)) return answer.success
  const { failure } = answer
  return failure._tag === "OrchestratorUnavailable" ? failure.failure : failure._tag
}
const answersTo = (...steps: ReadonlyArray<FetchStep>) =>
  Effect.map(notify(steps, { ORCHESTRATOR_RETRIES: "0" }), ({ answers }) => answers.map(summary))

describe("OrchestratorClientHttp with several events", () => {
  it.effect("posts them as one array to the project's own orchestrator, and returns each one's receipt", () =>
    Effect.gen(function* () {
      const { answers, calls } = yield* notify([reply(events.map(({ eventId }) => told(eventId)))])
      assert.deepStrictEqual<unknown>(
        answers,
        events.map(({ eventId }) => Result.succeed(receiptOf(eventId)))
      )
      assert.lengthOf(calls, 1)
      assert.deepStrictEqual(Schema.decodeUnknownSync(Schema.fromJsonString(PauseEvents))(calls[0]?.body), events)
      assert.isNull(calls[0]?.headers.get("idempotency-key"))
      assert.strictEqual(calls[0]?.headers.get("apikey"), "sb_secret_1")
    })
  )

  it.effect("posts one alone as an object under its key", () =>
    Effect.gen(function* () {
      const { answers, calls } = yield* notify([{ status: 200, body: '{"notified":1}' }], {}, [pauseEvent])
      assert.deepStrictEqual(answers, [Result.succeed({ notified: 1 })])
      assert.strictEqual(calls[0]?.headers.get("idempotency-key"), pauseEvent.eventId)
    })
  )

  it.effect("makes no call for no events", () =>
    Effect.gen(function* () {
      const { answers, calls } = yield* notify([], {}, [])
      assert.isEmpty(answers)
      assert.isEmpty(calls)
    })
  )

  it.effect("each event has its own status", () =>
    Effect.gen(function* () {
      const results = [{ eventId: first, status: 422 }, told(second), { eventId: third, status: 503 }]
      const { answers } = yield* notify([reply(results)])
      assert.deepStrictEqual(answers.map(summary), ["OrchestratorRefused", receiptOf(second), "status"])
      for (const [index, status] of [
        [0, 422],
        [2, 503]
      ] as const) {
        const answer = answers[index] ?? assert.fail("no answer")
        assert.deepInclude<unknown>(Result.isFailure(answer) && answer.failure, {
          eventId: events[index]?.eventId,
          status
        })
      }
    })
  )

  it.effect.each([408, 425, 429, 500, 502, 503, 504])("an event's %i is temporary", (status) =>
    Effect.gen(function* () {
      const answers = yield* answersTo(reply([{ eventId: first, status }, told(second), told(third)]))
      assert.deepStrictEqual(answers, ["status", receiptOf(second), receiptOf(third)])
    })
  )

  it.effect.each([400, 401, 404, 409, 413, 422, 302])("an event's %i is permanent", (status) =>
    Effect.gen(function* () {
      const answers = yield* answersTo(reply([told(first), { eventId: second, status }, told(third)]))
      assert.deepStrictEqual(answers, [receiptOf(first), "OrchestratorRefused", receiptOf(third)])
    })
  )

  it.effect.each([200, 201, 202, 204])("an event's %i is a success with a receipt, and unclear without one", (status) =>
    Effect.gen(function* () {
      const answers = yield* answersTo(reply([{ ...told(first), status }, { eventId: second, status }, told(third)]))
      assert.deepStrictEqual(answers, [receiptOf(first), "receipt", receiptOf(third)])
    })
  )

  it.effect("an event without a result is sent again, and never gets another event's", () =>
    Effect.gen(function* () {
      const refused = { eventId: second, status: 400 }
      assert.deepStrictEqual(yield* answersTo(reply([])), ["receipt", "receipt", "receipt"])
      assert.deepStrictEqual(yield* answersTo(reply([told(first)])), [receiptOf(first), "receipt", "receipt"])
      assert.deepStrictEqual(yield* answersTo(reply([refused, told(first), told(third)])), [
        "receipt",
        "receipt",
        receiptOf(third)
      ])
      assert.deepStrictEqual(yield* answersTo(reply([told(first), told(third)])), [
        receiptOf(first),
        "receipt",
        "receipt"
      ])
    })
  )

  it.effect("surplus results are ignored", () =>
    Effect.gen(function* () {
      const results = [...events.map(({ eventId }) => told(eventId)), { eventId: first, status: 400 }]
      assert.deepStrictEqual(yield* answersTo(reply(results)), [first, second, third].map(receiptOf))
    })
  )
})

describe("a call of several events that fails as a whole", () => {
  it.effect("is retried with the same body until it is accepted", () =>
    Effect.gen(function* () {
      const accepted = reply(events.map(({ eventId }) => told(eventId)))
      const { answers, calls } = yield* notify([{ status: 503 }, "no connection", accepted])
      assert.isTrue(answers.every(Result.isSuccess))
      assert.lengthOf(calls, 3)
      assert.strictEqual(new Set(calls.map(({ body }) => body)).size, 1)
    })
  )

  it.effect.each([
    { step: { status: 503 }, end: "status" },
    { step: { status: 200, body: "{}" }, end: "receipt" },
    { step: { status: 200, body: '{"notified":3}' }, end: "receipt" },
    { step: { status: 200, body: '{"results":[{"status":"200"}]}' }, end: "receipt" },
    { step: "no connection", end: "connection" },
    { step: "hangs", end: "timeout" }
  ] as const)("ends in the same way for each of them: $end", ({ end, step }) =>
    Effect.gen(function* () {
      const { answers } = yield* notify([step], { ORCHESTRATOR_RETRIES: "0" })
      assert.deepStrictEqual(answers.map(summary), [end, end, end])
      assert.deepStrictEqual(
        answers.map((answer) => Result.isFailure(answer) && answer.failure.eventId),
        events.map(({ eventId }) => eventId)
      )
    })
  )
})

describe("an array that is refused", () => {
  it.effect.each([400, 404, 413, 415, 422])(
    "with %i is sent event by event, so that each gets its own answer",
    (code) =>
      Effect.gen(function* () {
        const steps = [
          { status: code },
          { status: 200, body: '{"nr":1}' },
          { status: 422 },
          { status: 200, body: '{"nr":3}' }
        ]
        const { answers, calls } = yield* notify(steps)
        assert.deepStrictEqual(answers.map(summary), [{ nr: 1 }, "OrchestratorRefused", { nr: 3 }])
        assert.deepStrictEqual<unknown>(
          calls.map(({ headers }) => headers.get("idempotency-key")),
          [null, first, second, third]
        )
      })
  )

  it.effect("refuses each event when it refuses each one", () =>
    Effect.gen(function* () {
      const { answers } = yield* notify([400, 400, 401, 403].map((status) => ({ status })))
      assert.deepStrictEqual(
        answers.map((answer) => Result.isFailure(answer) && "status" in answer.failure && answer.failure.status),
        [400, 401, 403]
      )
      assert.deepStrictEqual(new Set(answers.map(summary)), new Set(["OrchestratorRefused"]))
    })
  )
})

describe("an orchestrator that accepts no arrays", () => {
  it.effect("is called once per event, under its key, and each event gets its own answer", () =>
    Effect.gen(function* () {
      const steps = [{ status: 200, body: '{"nr":1}' }, { status: 400 }, { status: 200, body: '{"nr":3}' }]
      const { answers, calls } = yield* notify(steps, elsewhere)
      assert.deepStrictEqual(answers.map(summary), [{ nr: 1 }, "OrchestratorRefused", { nr: 3 }])
      assert.deepStrictEqual<unknown>(
        calls.map(({ headers }) => headers.get("idempotency-key")),
        [first, second, third]
      )
    })
  )

  it.effect("is called for 16 of them at a time", () =>
    Effect.gen(function* () {
      const steps = Array.from({ length: 16 }, () => "hangs" as const)
      const settings = {
        ...elsewhere,
        ORCHESTRATOR_TIMEOUT_MS: "500",
        ORCHESTRATOR_RETRIES: "0",
        CIRCUIT_FAILURES: "99"
      }
      const { calls } = yield* notify(steps, settings, eventsOf(20))
      assert.lengthOf(calls, 20)
      assert.deepStrictEqual(calls.map(({ at }) => at - (calls[0]?.at ?? 0)).filter((at) => at === 0).length, 16)
    })
  )

  it.effect("may be set to accept them", () =>
    Effect.gen(function* () {
      const { calls } = yield* notify([reply([])], { ...elsewhere, ORCHESTRATOR_BATCH: "true" })
      assert.lengthOf(calls, 1)
      const apart = yield* notify([], { ORCHESTRATOR_BATCH: "false", ORCHESTRATOR_RETRIES: "0" })
      assert.lengthOf(apart.calls, 3)
    })
  )

  it.effect("are a hundred at once if it accepts arrays, otherwise as many as there are concurrent calls", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* atOnceWith({}), 100)
      assert.strictEqual(yield* atOnceWith(elsewhere), 16)
      assert.strictEqual(yield* atOnceWith({ ...elsewhere, ORCHESTRATOR_BATCH: "true" }), 100)
    })
  )
})
