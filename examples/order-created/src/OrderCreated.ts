import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SupabaseRest } from "pause-status-webhook-handler/supabase"
import * as Topic from "pause-status-webhook-handler/topic"
import { confirmationOf } from "./Confirmation.ts"
import { Invoices } from "./Invoices.ts"

interface NewOrder extends Topic.EventMeta {
  readonly orderId: string
}

/** A retry would not help. The event becomes a dead letter that says why. */
class OrderRefused extends Data.TaggedError("OrderRefused")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "permanent" }
}

/** The database did not answer. The event is retried. */
class OrderUnavailable extends Data.TaggedError("OrderUnavailable")<{
  readonly eventId: Topic.EventId
  readonly message: string
}> {
  readonly release: Topic.Release = { kind: "transient" }
}

const OrderToConfirm = Schema.Struct({
  customer_name: Schema.NullOr(Schema.String),
  customer_email: Schema.NullOr(Schema.String),
  currency: Schema.String,
  locale: Schema.String,
  total: Schema.String,
  status: Schema.String,
  is_mailed: Schema.Boolean
})

const decodeOrder = Schema.decodeUnknownEffect(Schema.NullOr(OrderToConfirm))
const decodeConfirmed = Schema.decodeUnknownEffect(Schema.Boolean)
const isAddress = Schema.is(Topic.MailAddress)

/**
 * Makes the invoice, sends the mail and confirms the order. Each step may repeat after a crash: the invoice is the same
 * file at the same URL, the mail has the same idempotency key, and a confirmed order stays confirmed.
 */
const confirm = Effect.fnUntraced(function* ({ eventId, orderId }: NewOrder) {
  const refuse = (message: string) => new OrderRefused({ eventId, message })
  const database = yield* SupabaseRest.SupabaseRest
  const call = <A>(name: string, decode: (data: unknown) => Effect.Effect<A, Schema.SchemaError>) =>
    Effect.mapError(
      database.rpc(name, { order_id: orderId }, decode),
      ({ detail }) => new OrderUnavailable({ eventId, message: detail })
    )

  const order = yield* call("order_to_confirm", decodeOrder)
  if (order === null) return yield* refuse(`There is no order ${orderId} any more`)
  if (order.is_mailed) return { mail: "sent before" }
  if (order.status === "cancelled") return { mail: "not sent: the order is cancelled" }
  const to = order.customer_email
  if (to === null || to === "") return yield* refuse(`Order ${orderId} has no customer_email`)
  if (!isAddress(to)) return yield* refuse(`The customer_email of order ${orderId} is not an email address`)

  const invoiceUrl = yield* Effect.flatMap(Invoices, (invoices) => invoices.make(orderId))
  const mail = confirmationOf({ ...order, orderId, invoiceUrl })
  const mailer = yield* Topic.Mailer
  const messageId = yield* mailer.send({ ...mail, to, idempotencyKey: `${eventId}/mail` })
  yield* call("confirm_order", decodeConfirmed)
  return { mail: messageId, invoiceUrl }
})

/** Each new order gets an invoice, and the customer a mail with a link to it. */
export const orderCreated = Topic.make("order-created", {
  payload: Schema.Struct({
    ...Topic.envelope,
    type: Schema.Literal("INSERT"),
    record: Schema.Struct({ id: Schema.String })
  }),
  read: ({ record: { id }, timestamp }) => ({
    _tag: "Event",
    key: id,
    occurredAt: timestamp,
    event: { orderId: id }
  }),
  handle: (orders) => Topic.each(orders, confirm, 4)
})
