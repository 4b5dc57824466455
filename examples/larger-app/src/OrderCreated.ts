import { Schema } from "effect"
import * as Topic from "pause-status-webhook-handler/topic"
import { Mailer } from "./Mailer.ts"

/** Confirms each new order to its customer. */
export const orderCreated = Topic.make("order-created", {
  payload: Schema.Struct({
    ...Topic.envelope,
    type: Schema.Literal("INSERT"),
    record: Schema.Struct({ id: Schema.String, customer_id: Schema.String, total: Schema.Finite })
  }),
  read: ({ record: { customer_id, id, total }, timestamp }) => ({
    _tag: "Event",
    key: id,
    occurredAt: timestamp,
    event: { orderId: id, customerId: customer_id, total }
  }),
  handle: (orders) => Topic.each(orders, (order) => Mailer.use((mailer) => mailer.confirm(order)))
})
