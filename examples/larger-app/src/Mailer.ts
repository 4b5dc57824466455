import { Context, Data, Effect, Layer } from "effect"
import type { EventId, EventMeta, Receipt, Release } from "pause-status-webhook-handler/topic"

/** An order, as the mail describes it. */
export interface Order extends EventMeta {
  readonly orderId: string
  readonly customerId: string
  readonly total: number
}

/** There is no address. A retry would not help, so the event becomes a dead letter. */
export class CustomerUnknown extends Data.TaggedError("CustomerUnknown")<{ readonly eventId: EventId }> {
  override readonly message = "Nobody knows this customer's address"
  readonly release: Release = { kind: "permanent" }
}

/** The mail server asks to wait. The event is retried after that time. */
export class MailerBusy extends Data.TaggedError("MailerBusy")<{ readonly eventId: EventId }> {
  override readonly message = "The mail server accepts no more mails for now"
  readonly release: Release = { kind: "transient", retryAfterSeconds: 60 }
}

/** Writes to customers. The event id is the idempotency key, so the same order is mailed once. */
export class Mailer extends Context.Service<
  Mailer,
  { readonly confirm: (order: Order) => Effect.Effect<Receipt, CustomerUnknown | MailerBusy> }
>()("larger-app/Mailer") {
  /** Stands in for a mail server. */
  static readonly layer = Layer.sync(Mailer, () => {
    const receipts = new Map<EventId, Receipt>()

    const confirm = Effect.fn("Mailer.confirm")(
      function* ({ customerId, eventId, orderId, total }: Order) {
        const known = receipts.get(eventId)
        if (known !== undefined) return known
        if (customerId === "") return yield* new CustomerUnknown({ eventId })
        yield* Effect.logInfo("confirming an order", total)
        const receipt = { mail: `confirmation of ${orderId}` }
        receipts.set(eventId, receipt)
        return receipt
      },
      Effect.annotateLogs({ service: "mailer" })
    )
    return { confirm }
  })
}
