import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as EventStoreSupabase from "../../src/layers/EventStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { seedOf } from "../support/events.ts"
import { answered, config, rpcClient, type RpcStep } from "../support/layers.ts"

const { createdAt, eventId, mentorId } = seedOf()
const cursor = { createdAt, eventId }

const over = (...steps: ReadonlyArray<RpcStep>) => {
  const { calls, client } = rpcClient(...steps)
  const layer = EventStoreSupabase.layer.pipe(
    Layer.provide(SupabaseRest.fromClient(client)),
    Layer.provide(config({ STORE_TIMEOUT_MS: "1000" }))
  )
  return { calls, layer }
}

describe("EventStoreSupabase", () => {
  it.effect("asks for a page in one call, with the filters as they are and the cursor as a place", () => {
    const { calls, layer } = over(answered({ events: [], next: cursor }))
    return Effect.gen(function* () {
      const store = yield* EventStore
      const page = yield* store.list({ limit: 3, mentorId, status: "failed", cursor, coordinatorId: "c" })
      assert.deepStrictEqual(page, { events: [], next: cursor })
      assert.lengthOf(calls, 1)
      assert.strictEqual(calls[0]?.name, "pause_status_list_events")
      const query = { limit: 3, mentorId, status: "failed", after: cursor, coordinatorId: "c" }
      assert.deepStrictEqual(calls[0]?.args, { query })
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["list", (store: EventStore["Service"]) => store.list({ limit: 1 })],
    ["get", (store: EventStore["Service"]) => store.get(eventId)],
    ["redrive", (store: EventStore["Service"]) => store.redrive(eventId, {})],
    ["resolve", (store: EventStore["Service"]) => store.resolve(eventId, {})],
    ["erase", (store: EventStore["Service"]) => store.erase(eventId)],
    ["health", (store: EventStore["Service"]) => store.health()]
  ] as const)("%s is unavailable when the call fails, or is answered in another shape", ([operation, call]) =>
    Effect.gen(function* () {
      for (const step of ["rejects", answered({ outcome: "canary" }), answered([])] as const) {
        const asked = Effect.flatMap(EventStore, (store): Effect.Effect<unknown, { readonly _tag: string }> =>
          call(store)
        )
        const error = yield* Effect.flip(Effect.provide(asked, over(step).layer))
        const { detail: _, ...seen } = JSON.parse(JSON.stringify(error))
        assert.deepStrictEqual(seen, { _tag: "EventStoreUnavailable", operation })
        assert.notInclude(JSON.stringify(error), "canary")
      }
    })
  )
})
