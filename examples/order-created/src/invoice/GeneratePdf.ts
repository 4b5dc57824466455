import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { invoiceOf, type TotalMismatch } from "./Invoice.ts"
import { InvoicePrinter, type InvoiceUnprintable } from "./InvoicePrinter.ts"
import { InvoiceStore, type InvoiceStoreFailed } from "./InvoiceStore.ts"
import { type OrderInvalid, Orders, type OrdersUnavailable, type OrderUnknown } from "./Orders.ts"

/** The sender of the invoices. **Shape** name and address, separated by line breaks. */
export class Seller extends Context.Service<Seller, string>()("order-created/Seller") {}

/** Why an order has no invoice. */
export type NoInvoice =
  | OrderUnknown
  | OrderInvalid
  | TotalMismatch
  | InvoiceUnprintable
  | OrdersUnavailable
  | InvoiceStoreFailed

/**
 * Makes an order's invoice, stores it and its URL, and returns the URL. A repetition stores the same bytes and returns
 * the same URL.
 *
 * **Fails with** NoInvoice.
 */
export const generatePdf: (
  orderId: string
) => Effect.Effect<string, NoInvoice, Orders | InvoicePrinter | InvoiceStore | Seller> = Effect.fn("generatePdf")(
  function* (orderId) {
    const [orders, printer, store] = [yield* Orders, yield* InvoicePrinter, yield* InvoiceStore]
    const order = yield* orders.read(orderId)
    const invoice = yield* Effect.fromResult(invoiceOf(order, yield* Seller))
    yield* store.save(order.id, yield* printer.print(invoice))
    return yield* orders.setInvoiceUrl(order, yield* store.link(order.id, order.invoice_url))
  }
)
