import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import { formatsOf } from "./invoice/Formats.ts"

/** The data of a confirmation. **Shape** `total` is decimal text, never a float. */
export interface Confirmed {
  readonly orderId: string
  readonly customer_name: string | null
  readonly currency: string
  readonly locale: string
  readonly total: string
  readonly invoiceUrl: string
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;"
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (found) => entities[found] ?? "")

/** The mail that confirms an order. The same order gives the same bytes, as the idempotency key requires. */
export const confirmationOf = ({ currency, customer_name, invoiceUrl, locale, orderId, total }: Confirmed) => {
  const number = orderId.slice(0, 8)
  const { money } = formatsOf(locale, currency)
  const amount = Option.match(BigDecimal.fromString(total), { onNone: () => `${total} ${currency}`, onSome: money })
  const subject = `Your order ${number} is confirmed`
  const greeting = `Hello ${customer_name ?? "there"},`
  const body = `thank you for your order ${number}. The total is ${amount}.`
  return {
    subject,
    text: `${greeting}\n\n${body}\n\nYour invoice (PDF): ${invoiceUrl}\n`,
    html: `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${escape(subject)}</title></head>
<body>
<h1>${escape(subject)}</h1>
<p>${escape(greeting)}</p>
<p>${escape(body)}</p>
<p><a href="${escape(invoiceUrl)}">Your invoice (PDF)</a></p>
</body>
</html>
`
  }
}
