import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Release } from "pause-status-webhook-handler/topic"
import type { Invoice } from "./Invoice.ts"

const namedAtMost = 20

/** The font lacks characters of the invoice, such as a name in another script or an emoji. */
export class InvoiceUnprintable extends Data.TaggedError("InvoiceUnprintable")<{
  readonly characters: ReadonlyArray<string>
}> {
  readonly release: Release = { kind: "permanent" }

  override get message(): string {
    const more = this.characters.length > namedAtMost ? ", and more" : ""
    return `The invoice's font has no ${this.characters.slice(0, namedAtMost).join(", ")}${more}`
  }
}

/**
 * Makes an invoice's file. The same invoice gives the same bytes.
 *
 * **Fails with** InvoiceUnprintable.
 */
export class InvoicePrinter extends Context.Service<
  InvoicePrinter,
  { readonly print: (invoice: Invoice) => Effect.Effect<Uint8Array<ArrayBuffer>, InvoiceUnprintable> }
>()("order-created/InvoicePrinter") {}
