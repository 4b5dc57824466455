import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Layer, Result, Schema } from "effect"
import { expectTypeOf } from "vitest"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as Logging from "../../src/layers/Logging.ts"
import { receive } from "../../src/layers/WebhookHttp.ts"
import { envelope } from "../../src/schema/Envelope.ts"
import { EventId, EventTime } from "../../src/schema/Identifiers.ts"
import { DedupeStore, type OutboxEvent, type Settlement } from "../../src/services/DedupeStore.ts"
import type { SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import * as Topic from "../../src/services/Topic.ts"
import { config, logLines, verifierThatTrusts } from "../support/layers.ts"
import { bytesOf } from "../support/payloads.ts"
import { orderCreated, warehouse, type Warehouse } from "./orderCreated.ts"

// More than a double holds: as a number it would be another order's.
const bigKey = "9007199254740993"

const entry = (key: string, item: string, version = 1): OutboxEvent => ({
  eventId: EventId.make(randomUUID()),
  topic: "order-created",
  key,
  version,
  occurredAt: EventTime.make("2026-11-22T09:30:00.123456+00:00"),
  source: "outbox",
  record: { id: key, item },
  oldRecord: null
})

const payloadOf = ({ eventId, occurredAt, record, topic, version }: OutboxEvent) => ({
  topic,
  type: "INSERT",
  schema: "shop",
  table: "orders",
  event_id: eventId,
  version,
  timestamp: occurredAt,
  record,
  old_record: null
})

/** The engine with this topic, over a memory store whose outbox holds these events. */
const world = (...events: ReadonlyArray<OutboxEvent>) => {
  const store = DedupeStoreMemory.make({ outbox: new Set(events) })
  const { layer: shelves, orders } = warehouse()
  const settlements: Array<Settlement> = []
  const watched = Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (inner) => ({
      ...inner,
      settle: (given, options) =>
        Effect.andThen(
          Effect.sync(() => settlements.push(...given)),
          inner.settle(given, options)
        )
    }))
  ).pipe(Layer.provide(store.layer))
  const layer = Layer.mergeAll(
    verifierThatTrusts({ scheme: "static" }),
    watched,
    shelves,
    HttpLimits.layer.pipe(Layer.provide(config({}))),
    Logging.json
  )
  const stateOf = ({ eventId }: OutboxEvent) => store.state.get(eventId)?.state._tag
  return { layer, orders, settlements, stateOf }
}

const respond = receive(orderCreated)

const post = Effect.fnUntraced(function* (payload: unknown) {
  const body = bytesOf(payload)
  const headers = { "content-type": "application/json" }
  const response = yield* respond(new Request("http://localhost/", { method: "POST", headers, body }))
  const json = yield* Effect.promise((): Promise<Record<string, unknown>> => response.json())
  return { status: response.status, headers: response.headers, body: json }
})

const deliver = (...events: ReadonlyArray<OutboxEvent>) =>
  post(events.length === 1 ? events.map(payloadOf)[0] : events.map(payloadOf))

describe("a topic of another table", () => {
  it("needs what its handle needs, as its type shows", () => {
    const handle = Topic.receive(orderCreated)
    type Needs = ReturnType<typeof handle> extends Effect.Effect<unknown, unknown, infer R> ? R : never
    expectTypeOf<Needs>().toEqualTypeOf<SignatureVerifier | DedupeStore | Warehouse>()
  })

  it("must have a Schema with the whole envelope", () => {
    const payload = Schema.Struct({ type: Schema.Literal("INSERT"), record: Schema.Struct({ id: Schema.String }) })
    Topic.make("order-created", {
      // @ts-expect-error: it would not decode the event id, and so lose it
      payload,
      read: ({ record: { id } }) => ({ _tag: "NoChange", key: id, reason: "none" }),
      handle: (orders) => Topic.each(orders, () => Effect.succeed({}))
    })
  })

  it.effect("is claimed, handled and settled, and answered with its key", () => {
    const order = entry(bigKey, "book")
    const { layer, orders, stateOf } = world(order)
    return Effect.gen(function* () {
      const { eventId } = order
      const receipt = { parcel: `parcel of ${bigKey}` }
      const { body, status } = yield* deliver(order)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual<unknown>(body, { status: "handled", eventId, key: bigKey, receipt })
      assert.deepStrictEqual<unknown>(orders, [
        { orderId: bigKey, item: "book", eventId, occurredAt: order.occurredAt, version: 1, source: "outbox" }
      ])
      assert.strictEqual(stateOf(order), "Completed")
      assert.deepStrictEqual<unknown>(yield* logLines, [
        { level: "INFO", message: { outcome: "handled", topic: "order-created", key: bigKey, eventId, durationMs: 0 } }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("answers a duplicate with the first receipt, and handles nothing", () => {
    const order = entry("7", "book")
    const { layer, orders } = world(order)
    return Effect.gen(function* () {
      yield* deliver(order)
      const { body, status } = yield* deliver(order)
      assert.strictEqual(status, 409)
      assert.deepInclude(body, { code: "already_processed", receipt: { parcel: "parcel of 7" } })
      assert.lengthOf(orders, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps the order of each key, and does not hold up other keys", () => {
    const [first, second, other] = [entry("7", "book"), entry("7", "lamp", 2), entry("8", "chair")]
    const { layer, orders } = world(first, second, other)
    return Effect.gen(function* () {
      const { body, status } = yield* deliver(second)
      assert.strictEqual(status, 409)
      assert.strictEqual(body["code"], "out_of_order")
      yield* deliver(other)
      assert.deepStrictEqual(
        orders.map(({ item }) => item),
        ["chair", "book", "lamp"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("continues with what the settlement returned, in order", () => {
    const lines = ["7", "8"].flatMap((key) =>
      Array.from({ length: 5 }, (_, index) => entry(key, `${key}/${index}`, index + 1))
    )
    const { layer, orders, stateOf } = world(...lines)
    return Effect.gen(function* () {
      yield* deliver(...lines.slice(0, 1))
      for (const key of ["7", "8"]) {
        const versions = orders.filter(({ orderId }) => orderId === key).map(({ version }) => version)
        assert.deepStrictEqual(versions, [1, 2, 3, 4, 5])
      }
      assert.isTrue(lines.every((event) => stateOf(event) === "Completed"))
      const [line] = yield* logLines
      assert.deepInclude(line?.message, { outcome: "handled", continued: 9 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("in a batch ends each event separately, with one settlement for all", () => {
    const events = [entry("1", "book"), entry("2", "unknown"), entry("3", "gift card"), entry("4", "lamp")]
    const { layer } = world(...events)
    return Effect.gen(function* () {
      const { body, status } = yield* post([...events.map(payloadOf), { topic: "order-created" }])
      assert.strictEqual(status, 200)
      const results: ReadonlyArray<Record<string, Record<string, unknown>>> = JSON.parse(
        JSON.stringify(body["results"])
      )
      assert.deepStrictEqual(
        results.map(({ problem, reply }) => problem?.["code"] ?? reply?.["status"]),
        ["handled", "handler_refused", "no_change", "handled", "invalid_payload"]
      )
      const [line] = yield* logLines
      assert.deepInclude(line?.message, { outcome: "batch", events: 5, handled: 2, noChange: 1, failed: 2 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("says why a payload is not an event, and changes nothing", () => {
    const { layer, orders, settlements } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* deliver(entry("7", "gift card"))
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, { status: "no_change", key: "7", reason: "not shipped" })
      assert.lengthOf([...orders, ...settlements], 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    [{ topic: "pause-status" }, "topic"],
    [{ topic: undefined }, "topic"],
    [{ type: "UPDATE" }, "type"],
    [{ type: "DELETE" }, "type"],
    [{ record: { id: 7, item: "book" } }, "record.id"],
    [{ event_id: "first" }, "event_id"]
  ] as const)("accepts no other delivery: %j", ([part, path]) => {
    const { layer, orders } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* post({ ...payloadOf(entry("7", "book")), ...part })
      assert.strictEqual(status, 400)
      const issues: ReadonlyArray<{ readonly path: ReadonlyArray<string> }> = JSON.parse(JSON.stringify(body["issues"]))
      assert.deepStrictEqual(
        issues.map((issue) => issue.path.join(".")),
        [path]
      )
      assert.isEmpty(orders)
    }).pipe(Effect.provide(layer))
  })
})

describe("an error of a topic", () => {
  it.effect.each([
    {
      item: "unknown",
      reason: { kind: "permanent", status: 422, message: "The warehouse does not know this item" },
      reply: [502, "handler_refused", false, null],
      state: "Dead"
    },
    {
      item: "late",
      reason: { kind: "transient", retryAfterSeconds: 7, message: "The warehouse is not there" },
      reply: [502, "handler_unavailable", true, "7"],
      state: "Pending"
    },
    {
      item: "sunday",
      reason: { kind: "parked", retryAfterSeconds: 60, message: "The warehouse is closed" },
      reply: [503, "handler_parked", undefined, "60"],
      state: "Pending"
    }
  ] as const)("decides how its event is released, and what the sender does: $item", (row) => {
    const order = entry("7", row.item)
    const { layer, settlements, stateOf } = world(order)
    return Effect.gen(function* () {
      const { body, headers, status } = yield* deliver(order)
      const { code, retryable } = body
      assert.deepStrictEqual<unknown>([status, code, retryable, headers.get("retry-after")], row.reply)
      assert.strictEqual(body["eventId"], order.eventId)
      const [settlement] = settlements
      assert.deepStrictEqual<unknown>(settlement?.outcome === "released" && settlement.reason, row.reason)
      assert.strictEqual(stateOf(order), row.state)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that leaves an event without an answer is a defect, and the lease expires", () => {
    const order = entry("7", "book")
    const { layer, stateOf } = world(order)
    const silent = receive({ ...orderCreated, handle: () => Effect.succeed([]) })
    return Effect.gen(function* () {
      const request = new Request("http://localhost/", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: bytesOf(payloadOf(order))
      })
      assert.strictEqual((yield* silent(request)).status, 500)
      assert.strictEqual(stateOf(order), "Processing")
    }).pipe(Effect.provide(layer))
  })
})

describe("a returned event that the topic cannot read", () => {
  it.effect("is a dead letter, is logged, and holds up neither the others nor what waits behind it", () => {
    const first = entry("1", "book")
    const wrong = { ...entry("2", ""), record: { id: "2" } }
    const events = [
      first,
      wrong,
      entry("2", "lamp", 2),
      entry("3", "gift card"),
      entry("4", "bug"),
      entry("5", "chair")
    ]
    const { layer, orders, settlements, stateOf } = world(...events)
    return Effect.gen(function* () {
      const { status } = yield* deliver(first)
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(
        orders.map(({ item }) => item),
        ["book", "chair", "lamp"]
      )
      assert.deepStrictEqual(events.map(stateOf), ["Completed", "Dead", "Completed", "Dead", "Dead", "Completed"])
      const reasons = settlements.flatMap((settlement) =>
        settlement.outcome === "released" ? [settlement.reason.message] : []
      )
      assert.deepStrictEqual(reasons, [
        "record.item: Missing key",
        "Expected an event, but it reads NO_CHANGE: not shipped",
        "The topic could not read it"
      ])
      const lines = yield* logLines
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message["outcome"]]),
        [
          ["ERROR", "defect"],
          ["WARN", "handled"]
        ]
      )
      assert.deepInclude(lines[1]?.message, { continued: 5, continuedFailed: 3 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("without an event id is left to its lease, and logged", () => {
    const order = entry("7", "book")
    const { layer, orders } = world(order)
    const nameless = Layer.effect(
      DedupeStore,
      Effect.map(DedupeStore, (inner) => ({
        ...inner,
        settle: (settlements, options) =>
          Effect.map(inner.settle(settlements, options), ({ settled }) => ({
            settled,
            next: orders.length === 1 ? [{ payload: { record: 1 }, token: 1, attempt: 1, leaseSeconds: 30 }] : []
          }))
      }))
    )
    return Effect.gen(function* () {
      const { status } = yield* Effect.provide(deliver(order), nameless)
      assert.strictEqual(status, 200)
      const outcomes = (yield* logLines).map(({ message }) => message["outcome"])
      assert.includeMembers(outcomes, ["no_event_id", "handled"])
    }).pipe(Effect.provide(layer))
  })
})

describe("a topic that also accepts stock webhooks", () => {
  const named = (name: string) =>
    Topic.make(name, {
      payload: Schema.Struct({
        ...envelope,
        type: Schema.Literal("INSERT"),
        record: Schema.Struct({ id: Schema.String })
      }),
      stock: { schema: "shop", table: "orders" },
      read: ({ record: { id }, timestamp }) => ({ _tag: "Event", key: id, occurredAt: timestamp, event: {} }),
      handle: (orders) => Topic.each(orders, () => Effect.succeed({}))
    })
  const webhook = {
    type: "INSERT",
    schema: "shop",
    table: "orders",
    timestamp: "2026-11-22T09:30:00Z",
    record: { id: "7" },
    old_record: null
  }
  const idOf = (name: string, payload: unknown) =>
    Effect.map(Effect.result(named(name).read(payload)), (seen) =>
      Result.isSuccess(seen) && seen.success._tag === "Event" ? seen.success.entry.eventId : assert.fail("no event")
    )

  it.effect("identifies them by topic, key and time by default", () =>
    Effect.gen(function* () {
      const id = yield* idOf("order-created", webhook)
      assert.strictEqual(yield* idOf("order-created", webhook), id)
      assert.notStrictEqual(yield* idOf("order-billed", webhook), id)
      assert.notStrictEqual(yield* idOf("order-created", { ...webhook, record: { id: "8" } }), id)
      assert.notStrictEqual(yield* idOf("order-created", { ...webhook, timestamp: "2026-11-22T09:30:01Z" }), id)
    })
  )

  it.effect("refuses one without a time, because it cannot identify it", () =>
    Effect.gen(function* () {
      const { timestamp: _, ...timeless } = webhook
      assert.strictEqual((yield* Effect.flip(named("order-created").read(timeless)))._tag, "NoEventTime")
    })
  )
})
