import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import {
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../../src/topics/OrchestratorClient.ts"
import type { BatchItem } from "../../src/services/Outcome.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { orchestratorOf, verifierThatTrusts } from "../support/layers.ts"
import { bytesOf, newPause, RoughPayload, roughJson } from "../support/payloads.ts"

/** A program whose orchestrator goes by the event alone: its version says how it answers. */
const world = () => {
  const told: Array<string> = []
  const answer = (event: PauseEvent) => {
    const { eventId, version } = event
    if (version === 7) return Effect.fail(new OrchestratorRefused({ eventId, status: 400 }))
    if (version === Number.MAX_SAFE_INTEGER) {
      return Effect.fail(
        new OrchestratorUnavailable({ eventId, failure: "connection", detail: "the connection failed" })
      )
    }
    return Effect.sync(() => (told.push(eventId), { of: eventId }))
  }
  const layer = Layer.mergeAll(
    verifierThatTrusts({ scheme: "static" }),
    DedupeStoreMemory.make().layer,
    orchestratorOf(answer)
  )
  return { layer, told }
}

const deliver = (json: unknown) => handleWebhookEvent({ header: () => undefined, body: bytesOf(json) })

const describeEnd = (result: Result.Result<unknown, { readonly _tag: string; readonly message: string }>) => {
  if (Result.isSuccess(result)) return result.success
  const { _tag, message } = result.failure
  return { _tag, message, issues: "issues" in result.failure ? result.failure.issues : [] }
}

const tagOf = (result: Result.Result<unknown, { readonly _tag: string }>) =>
  Result.isSuccess(result) ? "" : result.failure._tag

const eventIdOf = (result: BatchItem<PauseEvent, OrchestratorError>["result"]): string | undefined => {
  if (Result.isSuccess(result)) return "event" in result.success ? result.success.event.eventId : undefined
  return "eventId" in result.failure ? result.failure.eventId : undefined
}

const Mix = Schema.Array(Schema.Struct({ rough: RoughPayload, own: Schema.Boolean })).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(12)
)

describe("a batch, whatever is in it", () => {
  it.effect.prop(
    "each payload ends exactly as its own delivery would end",
    [Mix],
    ([mix]) =>
      Effect.gen(function* () {
        const payloads = mix.map(({ own, rough }) => ({
          ...roughJson(rough),
          ...(own && rough.eventId !== undefined && { event_id: newPause().event_id })
        }))
        const apart = world()
        const alone = yield* Effect.forEach(payloads, (payload) => Effect.result(deliver(payload))).pipe(
          Effect.provide(apart.layer)
        )
        const together = world()
        const handled = yield* Effect.provide(deliver(payloads), together.layer)
        if (handled._tag !== "Batch") return assert.fail("it was no batch")
        assert.lengthOf(handled.items, payloads.length)

        const claimed = new Set<string>()
        const inFlight = new Set<string>()
        for (const [index, { result }] of handled.items.entries()) {
          const expected = alone[index] ?? assert.fail("fewer payloads than items")
          const eventId = eventIdOf(result)
          // Deliveries one after the other find the first one settled; within a batch it still holds its claim.
          if (eventId !== undefined && claimed.has(eventId) && tagOf(expected) !== "PayloadMismatch") {
            assert.strictEqual(tagOf(result), "EventInFlight")
            inFlight.add(eventId)
          } else {
            assert.deepStrictEqual(describeEnd(result), describeEnd(expected))
          }
          if (eventId !== undefined) claimed.add(eventId)
        }
        // If the first of two equal events failed, the second is handled when its sender delivers it again.
        const sooner = apart.told.filter((eventId) => !inFlight.has(eventId) || together.told.includes(eventId))
        assert.deepStrictEqual(together.told, sooner)
      }),
    { timeout: 60_000, arbitrary: { runs: 100, size: 12 } }
  )
})
