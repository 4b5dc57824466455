import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { missingFrom } from "./Characters.ts"
import { InvoicePrinter, InvoiceUnprintable } from "./InvoicePrinter.ts"

const bytesOf = (document: PDFKit.PDFDocument) =>
  Effect.callback<Uint8Array<ArrayBuffer>>((resume) => {
    const chunks: Array<Uint8Array<ArrayBuffer>> = []
    document.on("data", (chunk: Uint8Array<ArrayBuffer>) => void chunks.push(chunk))
    document.on("error", (cause: unknown) => resume(Effect.die(cause)))
    document.on("end", () => {
      const bytes = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
      chunks.reduce((offset, chunk) => (bytes.set(chunk, offset), offset + chunk.length), 0)
      resume(Effect.succeed(bytes))
    })
  })

// Loaded for the first invoice, because a refused request needs neither.
const parts = Effect.promise(() =>
  Promise.all([import("./InvoicePdf.ts"), import("./NotoSans.ts").then(({ load }) => load())])
).pipe(Effect.map(([{ drawInvoice, openFonts }, files]) => ({ ...files, drawInvoice, fonts: openFonts(files) })))

/** pdfkit and Noto Sans. */
export const layer = Layer.effect(
  InvoicePrinter,
  Effect.gen(function* () {
    const load = yield* Effect.cached(parts)
    return InvoicePrinter.of({
      print: Effect.fn("InvoicePrinter.print")(function* (invoice) {
        const { covered, drawInvoice, fonts } = yield* load
        const characters = missingFrom(covered, invoice)
        if (characters.length > 0) return yield* new InvoiceUnprintable({ characters })
        return yield* bytesOf(drawInvoice(invoice, fonts))
      })
    })
  })
)
