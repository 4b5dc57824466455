import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import * as NotificationStoreSupabase from "../../src/layers/NotificationStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { EventId } from "../../src/schema/Identifiers.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { EventSuperseded, NotificationStore } from "../../src/topics/NotificationStore.ts"
import { answered, only, type RpcStep, rpcClient } from "../support/layers.ts"
import { eventId, mentorId, pauseEvent } from "../support/payloads.ts"

const writeAll = Effect.fnUntraced(function* (step: RpcStep, events: ReadonlyArray<PauseEvent> = [pauseEvent]) {
  const { calls, client } = rpcClient(step)
  const layer = Layer.provide(NotificationStoreSupabase.layer, SupabaseRest.fromClient(client))
  const result = yield* NotificationStore.use((store) => store.write(events)).pipe(Effect.provide(layer), Effect.result)
  return {
    asked: calls.map(({ args, name }) => ({ name, args })),
    outcome: result._tag === "Success" ? result.success : result.failure
  }
})

/** Writes one event; what came of it, or of the whole call. */
const write = (step: RpcStep) =>
  Effect.map(writeAll(step), ({ asked, outcome }) => {
    if ("_tag" in outcome) return { asked, outcome }
    const result = only(outcome)
    return { asked, outcome: Result.isSuccess(result) ? result.success : result.failure }
  })

const told = { outcome: "notified", receipt: {}, replayed: false }

describe("NotificationStoreSupabase", () => {
  it.effect.each([true, false])("writes with pause_status_notify(events), in one call (replayed: %s)", (replayed) =>
    Effect.gen(function* () {
      const receipt = { notified: 2, notificationIds: ["a", "b"] }
      const { asked, outcome } = yield* write(answered([{ eventId, outcome: "notified", receipt, replayed }]))
      assert.deepStrictEqual<unknown>(outcome, { receipt, replayed })
      assert.deepStrictEqual(asked, [{ name: "pause_status_notify", args: { events: [{ ...pauseEvent }] } }])
    })
  )

  it.effect.each([
    { word: "payload_mismatch", tag: "PayloadMismatch" },
    { word: "superseded", tag: "EventSuperseded" },
    { word: "invalid", tag: "EventUnstorable" }
  ])("an event that is refused says why: $word", ({ tag, word }) =>
    Effect.gen(function* () {
      const { outcome } = yield* write(answered([{ eventId, outcome: word }]))
      assert.deepInclude<unknown>(outcome, { _tag: tag, eventId })
    })
  )

  it.effect("many events are written in one call, and answered one by one in order", () =>
    Effect.gen(function* () {
      const newer = { ...pauseEvent, eventId: EventId.make(mentorId), version: 8, force: true }
      const receipt = { notified: 1, notificationIds: ["a"] }
      const { asked, outcome } = yield* writeAll(
        answered([{ outcome: "superseded" }, { outcome: "notified", receipt, replayed: false }]),
        [pauseEvent, newer]
      )
      assert.deepStrictEqual<unknown>(outcome, [
        Result.fail(new EventSuperseded({ eventId })),
        Result.succeed({ receipt, replayed: false })
      ])
      assert.deepStrictEqual(asked, [
        { name: "pause_status_notify", args: { events: [{ ...pauseEvent }, { ...newer }] } }
      ])
    })
  )

  it.effect.each([
    "rejects",
    answered(null),
    answered([]),
    answered([told, told]),
    answered(told),
    { data: null, error: { message: "canary" }, status: 500 }
  ] as const)("anything else is unavailable, without the database's message: %j", (step) =>
    Effect.gen(function* () {
      const { outcome } = yield* write(step)
      assert.deepInclude(outcome, { _tag: "NotificationStoreUnavailable" })
      assert.notInclude(JSON.stringify(outcome), "canary")
    })
  )
})
