import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { OrchestratorClient } from "../../src/services/OrchestratorClient.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"

const tag = OrchestratorClient.use((client) => client.notify(pauseEvent)).pipe(
  Effect.match({ onSuccess: (receipt) => receipt, onFailure: (error) => error._tag })
)
const receipt = { eventId, notified: 1 }

describe("OrchestratorClientMemory", () => {
  it.effect("accepts an event once, and answers with its receipt ever after", () => {
    const { layer, state } = OrchestratorClientMemory.make()
    return Effect.gen(function* () {
      assert.deepStrictEqual([yield* tag, yield* tag], [receipt, receipt])
      assert.deepStrictEqual(state.calls, [pauseEvent, pauseEvent])
      assert.strictEqual(state.accepted.size, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("does what it is told, and then accepts", () => {
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

  it.effect("is new with each layer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.provide(tag, OrchestratorClientMemory.layer), receipt)
      assert.deepStrictEqual(
        yield* Effect.provide(tag, OrchestratorClientMemory.make("fail").layer),
        "OrchestratorUnavailable"
      )
    })
  )

  it.effect("hangs until it is interrupted, and has accepted nothing then", () => {
    const { layer, state } = OrchestratorClientMemory.make("hang")
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(tag, { startImmediately: true })
      assert.lengthOf(state.calls, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state.accepted.size, 0)
    }).pipe(Effect.provide(layer))
  })
})
