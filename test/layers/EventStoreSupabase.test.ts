import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as EventStoreSupabase from "../../src/layers/EventStoreSupabase.ts"
import * as SupabaseRest from "../../src/layers/SupabaseRest.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { seedOf } from "../support/events.ts"
import { answered, config, rpcClient, type RpcStep } from "../support/layers.ts"

const { createdAt, eventId, mentorId } = seedOf()
const cursor = { createdAt, eventId }
const topic = "pause-status"
const filters = { topic, limit: 3, key: mentorId, record: { status: "paused" }, status: "failed", userId: "u" } as const

const over = (...steps: ReadonlyArray<RpcStep>) => {
  const { calls, client } = rpcClient(...steps)
  const layer = EventStoreSupabase.layer.pipe(
    Layer.provide(SupabaseRest.fromClient(client)),
    Layer.provide(config({ STORE_TIMEOUT_MS: "1000" }))
  )
  return { calls, layer }
}

describe("EventStoreSupabase", () => {
  it.effect("asks for a page in one call, with unchanged filters and the cursor as a position", () => {
    const { calls, layer } = over(answered({ events: [], next: cursor }))
    return Effect.gen(function* () {
      const store = yield* EventStore
      const page = yield* store.list({ ...filters, cursor })
      assert.deepStrictEqual(page, { events: [], next: cursor })
      assert.lengthOf(calls, 1)
      assert.strictEqual(calls[0]?.name, "outbox_list_events")
      assert.deepStrictEqual(calls[0]?.args, { query: { ...filters, after: cursor } })
    }).pipe(Effect.provide(layer))
  })

  it.effect.each<
    readonly [name: string, args: object, call: (store: EventStore["Service"]) => Effect.Effect<unknown, unknown>]
  >([
    ["outbox_get_event", { topic, event_id: eventId, user_id: null }, (store) => store.get(topic, eventId)],
    ["outbox_get_event", { topic, event_id: eventId, user_id: "u" }, (store) => store.get(topic, eventId, "u")],
    [
      "outbox_redrive",
      { topic, event_id: eventId, force: true, dry_run: false },
      (store) => store.redrive(topic, eventId, { force: true })
    ],
    [
      "outbox_resolve",
      { topic, event_id: eventId, notes: "told", dry_run: true },
      (store) => store.resolve(topic, eventId, { notes: "told", dryRun: true })
    ],
    ["outbox_erase", { topic, event_id: eventId }, (store) => store.erase(topic, eventId)],
    ["outbox_health", {}, (store) => store.health()],
    ["outbox_metrics", {}, (store) => store.figures()]
  ])("calls %s with %j, in the schema's own words", ([name, args, call]) => {
    const { calls, layer } = over("rejects")
    return Effect.gen(function* () {
      yield* Effect.flip(Effect.flatMap(EventStore, call))
      assert.deepStrictEqual(
        calls.map((made) => [made.name, made.args]),
        [[name, args]]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["list", (store: EventStore["Service"]) => store.list({ topic, limit: 1 })],
    ["get", (store: EventStore["Service"]) => store.get(topic, eventId)],
    ["redrive", (store: EventStore["Service"]) => store.redrive(topic, eventId, {})],
    ["resolve", (store: EventStore["Service"]) => store.resolve(topic, eventId, {})],
    ["erase", (store: EventStore["Service"]) => store.erase(topic, eventId)],
    ["health", (store: EventStore["Service"]) => store.health()],
    ["figures", (store: EventStore["Service"]) => store.figures()]
  ] as const)("%s is unavailable if the call fails or the answer has an unexpected shape", ([operation, call]) =>
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
