import * as Effect from "effect/Effect"
import { Environment, Misconfigured } from "pause-status-webhook-handler/supabase"

const oneDaySeconds = 86_400
const thirtyDaysSeconds = 30 * oneDaySeconds

/** The sender of the invoices: name and address, separated by line breaks. */
export const seller = Effect.map(Environment, ({ INVOICE_SELLER: text }) =>
  text === undefined || text === "" ? "Example Ltd" : text.replaceAll("\\n", "\n")
)

/** How long a link to an invoice is valid. **Units** seconds. */
export const linkSeconds = Effect.flatMap(Environment, ({ INVOICE_LINK_SECONDS: text }) => {
  const seconds = text === undefined || text === "" ? thirtyDaysSeconds : Number(text)
  if (Number.isInteger(seconds) && seconds > oneDaySeconds) return Effect.succeed(seconds)
  return Effect.fail(
    new Misconfigured({
      key: "INVOICE_LINK_SECONDS",
      hint: `set a whole number of seconds above a day, or leave it out for ${thirtyDaysSeconds}`
    })
  )
})
