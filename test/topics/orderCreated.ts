import { Context, Data, Effect, Layer, Schema } from "effect"
import { envelope } from "../../src/schema/Envelope.ts"
import type { EventId } from "../../src/schema/Identifiers.ts"
import type { Receipt } from "../../src/schema/Receipt.ts"
import type { Release } from "../../src/services/DedupeStore.ts"
import type { EventMeta } from "../../src/services/Extract.ts"
import * as Topic from "../../src/services/Topic.ts"

class OrderRefused extends Data.TaggedError("OrderRefused")<{ readonly eventId: EventId }> {
  override readonly message = "The warehouse does not know this item"
  readonly release: Release = { kind: "permanent", status: 422 }
}
// A tag that Problems.table has for an error of ours.
class NotFound extends Data.TaggedError("NotFound")<{ readonly eventId: EventId }> {
  override readonly message = "The warehouse is not there"
  readonly release: Release = { kind: "transient", retryAfterSeconds: 7 }
}
class WarehouseClosed extends Data.TaggedError("WarehouseClosed")<{ readonly eventId: EventId }> {
  override readonly message = "The warehouse is closed"
  readonly release: Release = { kind: "parked", retryAfterSeconds: 60 }
}
type OrderError = OrderRefused | NotFound | WarehouseClosed

interface Order extends EventMeta {
  readonly orderId: string
  readonly item: string
}

/** Where orders are picked: what a `handle` needs shows in the type of `Topic.receive`. */
export class Warehouse extends Context.Service<
  Warehouse,
  { readonly pick: (order: Order) => Effect.Effect<Receipt, OrderError> }
>()("test/topics/Warehouse") {}

/** A warehouse that goes by the item, and remembers what it was asked for. */
export const warehouse = () => {
  const orders: Array<Order> = []
  const layer = Layer.succeed(Warehouse, {
    pick: (order) =>
      Effect.suspend((): Effect.Effect<Receipt, OrderError> => {
        orders.push(order)
        const { eventId, item } = order
        if (item === "unknown") return new OrderRefused({ eventId })
        if (item === "late") return new NotFound({ eventId })
        if (item === "sunday") return new WarehouseClosed({ eventId })
        return Effect.succeed({ parcel: `parcel of ${order.orderId}` })
      })
  })
  return { layer, orders }
}

/** Another topic than the one that this project exists for: an INSERT, a bigint key, no stock webhooks, all defaults. */
export const orderCreated = Topic.make("order-created", {
  payload: Schema.Struct({
    ...envelope,
    type: Schema.Literal("INSERT"),
    record: Schema.Struct({ id: Schema.String, item: Schema.String })
  }),
  read: ({ record: { id, item }, timestamp }) => {
    if (item === "gift card") return { _tag: "NoChange", key: id, reason: "not shipped" }
    if (item === "bug") throw new Error("a bug of the topic's author")
    return { _tag: "Event", key: id, occurredAt: timestamp, event: { orderId: id, item } }
  },
  handle: (orders) => Topic.each(orders, (order) => Warehouse.use(({ pick }) => pick(order)))
})
