import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as NotificationStoreSupabase from "../../src/layers/NotificationStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { NotificationStore } from "../../src/services/NotificationStore.ts"
import { answered, type RpcStep, rpcClient } from "../support/layers.ts"
import { eventId, pauseEvent } from "../support/payloads.ts"

const write = Effect.fnUntraced(function* (step: RpcStep) {
  const { calls, client } = rpcClient(step)
  const layer = Layer.provide(NotificationStoreSupabase.layer, SupabaseRest.fromClient(client))
  const result = yield* NotificationStore.use((store) => store.write(pauseEvent)).pipe(
    Effect.provide(layer),
    Effect.result
  )
  return {
    asked: calls.map(({ args, name }) => ({ name, args })),
    outcome: result._tag === "Success" ? result.success : result.failure
  }
})

describe("NotificationStoreSupabase", () => {
  it.effect.each([true, false])("writes with pause_status_notify(event), in one call (replayed: %s)", (replayed) =>
    Effect.gen(function* () {
      const receipt = { notified: 2, notificationIds: ["a", "b"] }
      const { asked, outcome } = yield* write(answered({ outcome: "notified", receipt, replayed }))
      assert.deepStrictEqual<unknown>(outcome, { receipt, replayed })
      assert.deepStrictEqual(asked, [{ name: "pause_status_notify", args: { event: { ...pauseEvent } } }])
    })
  )

  it.effect("an id that was used for another event is a mismatch", () =>
    Effect.gen(function* () {
      const { outcome } = yield* write(answered({ outcome: "payload_mismatch" }))
      assert.deepInclude(outcome, { _tag: "PayloadMismatch", eventId })
    })
  )

  it.effect.each(["rejects", answered(null), { data: null, error: { message: "canary" }, status: 500 }] as const)(
    "anything else is unavailable, without the database's words: %j",
    (step) =>
      Effect.gen(function* () {
        const { outcome } = yield* write(step)
        assert.deepInclude(outcome, { _tag: "NotificationStoreUnavailable" })
        assert.notInclude(JSON.stringify(outcome), "canary")
      })
  )
})
