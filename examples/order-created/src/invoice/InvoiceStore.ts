import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Release } from "pause-status-webhook-handler/topic"

/** Storage did not accept the invoice, or made no link to it. */
export class InvoiceStoreFailed extends Data.TaggedError("InvoiceStoreFailed")<{
  readonly detail: string
  /** Whether a retry may help. */
  readonly retryable: boolean
}> {
  override get message(): string {
    return `The invoice cannot be stored: ${this.detail}`
  }

  get release(): Release {
    return { kind: this.retryable ? "transient" : "permanent" }
  }
}

/**
 * Stores the invoices, one per order.
 *
 * `save` replaces an earlier file. The same order has the same bytes, so a repetition changes nothing. `link` returns a
 * URL that anyone can open: the known one if it is valid for another day, otherwise a new one. So a mail that is
 * written again after a crash has the same link.
 *
 * **Fails with** InvoiceStoreFailed.
 */
export class InvoiceStore extends Context.Service<
  InvoiceStore,
  {
    readonly save: (orderId: string, pdf: Uint8Array<ArrayBuffer>) => Effect.Effect<void, InvoiceStoreFailed>
    readonly link: (orderId: string, known: string | null) => Effect.Effect<string, InvoiceStoreFailed>
  }
>()("order-created/InvoiceStore") {}
