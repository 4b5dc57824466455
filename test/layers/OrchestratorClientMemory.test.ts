import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { notifyOne } from "../support/layers.ts"
import { eventId, mentorId, pauseEvent } from "../support/payloads.ts"

const tag = Effect.match(notifyOne(pauseEvent), { onSuccess: (receipt) => receipt, onFailure: (error) => error._tag })
const receipt = { eventId, notified: 1 }

describe("OrchestratorClientMemory", () => {
  it.effect("accepts an event once, and answers with its receipt from then on", () => {
    const { layer, state } = OrchestratorClientMemory.make()
    return Effect.gen(function* () {
      assert.deepStrictEqual([yield* tag, yield* tag], [receipt, receipt])
      assert.deepStrictEqual(state.calls, [pauseEvent, pauseEvent])
      assert.strictEqual(state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("does what it is set to do, and then accepts", () => {
    const { layer, state } = OrchestratorClientMemory.make("refuse", "fail", "accept and lose the reply")
    return Effect.gen(function* () {
      assert.deepStrictEqual(
        [yield* tag, yield* tag, yield* tag],
        ["OrchestratorRefused", "OrchestratorUnavailable", "OrchestratorUnavailable"]
      )
      assert.strictEqual(state.accepted.size, 1)
      assert.deepStrictEqual(yield* tag, receipt)
    }).pipe(Effect.provide(layer))
  })

  it.effect("answers many events one by one, in order", () => {
    const { layer, state } = OrchestratorClientMemory.make("accept", "refuse", "fail")
    const events = [pauseEvent, { ...pauseEvent, eventId: EventId.make(mentorId) }, pauseEvent, pauseEvent]
    return Effect.gen(function* () {
      const answers = yield* OrchestratorClient.use((client) => client.notify(events))
      assert.deepStrictEqual<unknown>(
        answers.map((answer) => (Result.isSuccess(answer) ? answer.success : answer.failure._tag)),
        [receipt, "OrchestratorRefused", "OrchestratorUnavailable", receipt]
      )
      assert.deepStrictEqual(state.calls, events)
      assert.strictEqual(state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("starts empty with each layer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(tag, OrchestratorClientMemory.layer), receipt)
      assert.deepStrictEqual(
        yield* Effect.provide(tag, OrchestratorClientMemory.make("fail").layer),
        "OrchestratorUnavailable"
      )
    })
  )

  it.effect("hangs until it is interrupted, and has then accepted nothing", () => {
    const { layer, state } = OrchestratorClientMemory.make("hang")
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(tag, { startImmediately: true })
      assert.lengthOf(state.calls, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state.accepted.size, 0)
    }).pipe(Effect.provide(layer))
  })
})
