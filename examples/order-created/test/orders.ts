import { Result, Schema } from "effect"
import { notoSans } from "../build/notoSans.ts"
import { invoiceOf } from "../src/invoice/Invoice.ts"
import { drawInvoice, openFonts } from "../src/invoice/InvoicePdf.ts"
import { Order } from "../src/invoice/Order.ts"

const row = {
  id: "5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60",
  customer_name: "Ada Lovelace",
  customer_email: "ada@example.com",
  customer_address: "St James's Square 12\nLondon",
  currency: "EUR",
  locale: "en-IE",
  total: "25.00",
  created_at: "2026-11-28T23:30:00.123456+00:00",
  invoice_url: null,
  items: [{ description: "Coffee", quantity: 2, unit_price: "12.50" }]
}

/** An order as stored in the database, with the given values. */
export const order = (values: Partial<Record<keyof Order, unknown>> = {}): Order =>
  Schema.decodeUnknownSync(Order)({ ...row, ...values })

export const invoice = (values: Partial<Record<keyof Order, unknown>> = {}, seller = "Example Ltd\nDublin") =>
  Result.getOrThrow(invoiceOf(order(values), seller))

const files = await notoSans()

/** An invoice's font, unused so far. */
export const open = () => openFonts(files)
const fonts = open()

/** The characters of the font. */
export const { covered } = files

/** The bytes of an invoice. */
export const pdfOf = async (values: Partial<Record<keyof Order, unknown>> = {}, font = fonts): Promise<Uint8Array> => {
  const document = drawInvoice(invoice(values), font)
  const chunks: Array<Uint8Array> = []
  for await (const chunk of document) chunks.push(chunk)
  return Buffer.concat(chunks)
}
