import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as OrchestratorClientTriggerDev from "../../src/layers/OrchestratorClientTriggerDev.ts"
import { EventId, MentorId } from "../../src/schema/Identifiers.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { config, fetchOf, throughTime } from "../support/layers.ts"
import { eventId, mentorId, pauseEvent } from "../support/payloads.ts"
import { callsOverFetch, type Caller, failureOf, notifier, status } from "./OrchestratorClientContract.ts"

const caller: Caller = {
  name: "OrchestratorClientTriggerDev",
  layer: OrchestratorClientTriggerDev.layer,
  settings: { TRIGGER_SECRET_KEY: "tr_prod_1" },
  accepted: { status: 200, body: '{"id":"run_1","isCached":false}' },
  receipt: { runId: "run_1" },
  refusals: [400, 413, 301, 302, 307, 308],
  passing: [401, 403, 404, 408, 409, 422, 425, 429, 500, 502, 503, 504],
  waitUntil: (second) => ({ "x-ratelimit-reset": String(second * 1000) }),
  senseless: ["soon", "", "-5", "1789999999999"].map((text) => ({ "x-ratelimit-reset": text })),
  noReceipts: ["", "accepted", "null", "[]", '"id"', "42", "{}", '{"id":""}', '{"id":1}', '{"runId":"run_1"}']
}
const notify = notifier(caller)
const { accepted } = caller

const TriggerCall = Schema.fromJsonString(
  Schema.Struct({
    payload: Schema.Unknown,
    options: Schema.Struct({
      idempotencyKey: Schema.String,
      concurrencyKey: Schema.String,
      tags: Schema.Array(Schema.String)
    })
  })
)
const bodyOf = (calls: ReadonlyArray<{ readonly body: string }>) =>
  Schema.decodeUnknownSync(TriggerCall)(calls[0]?.body ?? assert.fail("no call"))

callsOverFetch(caller)

describe("OrchestratorClientTriggerDev", () => {
  it.effect("triggers the task with the event, its id as the key, and the mentor as the concurrency key", () =>
    Effect.gen(function* () {
      const { calls, result } = yield* notify([accepted])
      assert.deepStrictEqual(result, Result.succeed({ runId: "run_1" }))
      const call = calls[0] ?? assert.fail("no call")
      assert.strictEqual(call.url, "https://api.trigger.dev/api/v1/tasks/notify-coordinators/trigger")
      assert.strictEqual(call.method, "POST")
      assert.strictEqual(call.headers.get("authorization"), "Bearer tr_prod_1")
      assert.strictEqual(call.headers.get("content-type"), "application/json")
      assert.isNull(call.headers.get("apikey"))
      assert.deepStrictEqual<unknown>(bodyOf(calls), {
        payload: pauseEvent,
        options: { idempotencyKey: eventId, concurrencyKey: mentorId, tags: [`event:${eventId}`] }
      })
    })
  )

  it.effect("a redrive has its own key, the same for each of its tries", () =>
    Effect.gen(function* () {
      const { calls } = yield* notify([status(503), accepted], {}, { ...pauseEvent, redrive: 2 })
      assert.strictEqual(bodyOf(calls).options.idempotencyKey, `${eventId}/2`)
      assert.strictEqual(calls[0]?.body, calls[1]?.body)
    })
  )

  it.effect("a key of a mentor that is too long for Trigger.dev is shortened", () =>
    Effect.gen(function* () {
      const { calls } = yield* notify([accepted], {}, { ...pauseEvent, mentorId: MentorId.make("m".repeat(200)) })
      assert.strictEqual(bodyOf(calls).options.concurrencyKey, "m".repeat(128))
    })
  )

  it.effect("another server and another task may be set", () =>
    Effect.gen(function* () {
      const { calls } = yield* notify([accepted], {
        TRIGGER_API_URL: "https://trigger.example.test/ignored",
        TRIGGER_TASK: "notify/all"
      })
      assert.strictEqual(calls[0]?.url, "https://trigger.example.test/api/v1/tasks/notify%2Fall/trigger")
    })
  )

  it.effect("needs the secret key", () =>
    Effect.gen(function* () {
      const error = failureOf(
        yield* Effect.result(
          Effect.provide(
            OrchestratorClient.use((client) => client.notify([pauseEvent])).pipe(
              Effect.provide(OrchestratorClientTriggerDev.layer)
            ),
            [fetchOf().layer, config({})]
          )
        )
      )
      assert.strictEqual(error.key, "TRIGGER_SECRET_KEY")
    })
  )

  it.effect("answers several events one by one, in order, with one call each", () =>
    Effect.gen(function* () {
      const events = [pauseEvent, { ...pauseEvent, eventId: EventId.make(mentorId) }, pauseEvent]
      const server = fetchOf(accepted, { status: 413 }, { status: 200, body: '{"id":"run_3"}' })
      const answers = yield* throughTime(
        OrchestratorClient.use((client) => client.notify(events)).pipe(
          Effect.provide(OrchestratorClientTriggerDev.layer),
          Effect.provide([server.layer, config(caller.settings)])
        )
      )
      assert.deepStrictEqual<unknown>(
        answers.map((answer) => (Result.isSuccess(answer) ? answer.success : answer.failure._tag)),
        [{ runId: "run_1" }, "OrchestratorRefused", { runId: "run_3" }]
      )
      assert.lengthOf(server.calls, 3)
    })
  )
})
