import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Layer, Metric, Option, Tracer } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as Traced from "../../src/layers/Traced.ts"
import { DedupeStore, DedupeStoreUnavailable } from "../../src/services/DedupeStore.ts"
import * as Topic from "../../src/services/Topic.ts"
import { verifierThatTrusts } from "../support/layers.ts"
import { bytesOf } from "../support/payloads.ts"
import { orderCreated, warehouse } from "../topics/orderCreated.ts"

const topic = "order-created"

const newOrder = (item: string) => ({
  topic,
  type: "INSERT",
  event_id: randomUUID(),
  version: 1,
  timestamp: "2026-11-22T09:30:00.123456Z",
  record: { id: randomUUID(), item },
  old_record: null
})

const receive = Topic.receive(Traced.topic(orderCreated))
const deliver = (payload: unknown) => Effect.result(receive({ header: () => undefined, body: bytesOf(payload) }))

const unavailable = new DedupeStoreUnavailable({ operation: "claim", detail: "no connection" })
const down = Layer.succeed(DedupeStore, {
  claim: () => Effect.fail(unavailable),
  settle: () => Effect.die("nothing was claimed")
})

/** What the tracer and the registry of an app see of some deliveries. */
const world = (store: Layer.Layer<DedupeStore> = DedupeStoreMemory.layer) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const layer = Layer.mergeAll(
    verifierThatTrusts({ scheme: "static" }),
    Layer.provide(Traced.layer, store),
    warehouse().layer,
    Logging.json,
    Layer.succeed(Tracer.Tracer, tracer),
    Layer.succeed(Metric.MetricRegistry, new Map())
  )
  return { layer, spans }
}

const counted = Effect.map(Metric.snapshot, (metrics) =>
  metrics.flatMap(({ attributes, id, state }) =>
    id === "outbox_events" && "count" in state && attributes?.["outcome"] !== undefined
      ? [`${attributes["topic"]} ${attributes["outcome"]} ${state.count}`]
      : []
  )
)

const measured = Effect.map(Metric.snapshot, (metrics) =>
  metrics.flatMap(({ attributes, id, state }) =>
    id === "outbox_step_duration_ms" && "count" in state && attributes?.["step"] !== undefined
      ? [`${attributes["topic"]} ${attributes["step"]} ${state.count}`]
      : []
  )
)

describe("Traced", () => {
  it.effect("makes a span for each step of a delivery, with its events and its outcome", () => {
    const { layer, spans } = world()
    const orders = [newOrder("book"), newOrder("unknown")]
    const eventIds = orders.map(({ event_id }) => event_id)
    return Effect.gen(function* () {
      yield* Effect.withSpan(deliver(orders), "POST")
      const [post, ...steps] = spans
      assert.deepStrictEqual(
        steps.map(({ attributes, kind, name }) => [name, kind, Object.fromEntries(attributes)]),
        [
          ["DedupeStore.claim", "client", { topic, events: 2, eventIds, claimed: 2 }],
          ["Topic.handle", "internal", { topic, events: 2, failed: 1 }],
          ["DedupeStore.settle", "client", { topic, events: 2, eventIds, taken: 0, completed: 1 }]
        ]
      )
      assert.deepStrictEqual(
        steps.map(({ parent, status }) => [Option.getOrUndefined(parent)?.spanId, status._tag]),
        steps.map(() => [post?.spanId, "Ended"])
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("names the first ten of many events", () => {
    const { layer, spans } = world()
    return Effect.gen(function* () {
      yield* deliver(Array.from({ length: 30 }, () => newOrder("book")))
      assert.deepStrictEqual(
        spans.map(({ attributes }) => [attributes.get("events"), [attributes.get("eventIds") ?? []].flat().length]),
        [
          [30, 10],
          [30, 0],
          [30, 10]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts how events end and measures each step, by topic", () => {
    const { layer } = world()
    const book = newOrder("book")
    return Effect.gen(function* () {
      yield* deliver([book, newOrder("unknown"), newOrder("late"), newOrder("pen")])
      yield* deliver(book)
      assert.sameMembers(yield* counted, [
        "order-created completed 2",
        "order-created dead 1",
        "order-created released 1",
        "order-created AlreadyProcessed 1"
      ])
      assert.sameMembers(yield* measured, ["order-created claim 2", "order-created handle 1", "order-created settle 1"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts every event of a claim that the store did not answer, and fails like the store", () => {
    const { layer, spans } = world(down)
    return Effect.gen(function* () {
      const end = yield* deliver([newOrder("book"), newOrder("pen")])
      assert.strictEqual(end._tag === "Failure" ? end.failure : undefined, unavailable)
      assert.deepStrictEqual(yield* counted, ["order-created DedupeStoreUnavailable 2"])
      assert.deepStrictEqual(
        spans.map(({ name, status }) => [name, status._tag === "Ended" && status.exit._tag]),
        [["DedupeStore.claim", "Failure"]]
      )
    }).pipe(Effect.provide(layer))
  })
})
