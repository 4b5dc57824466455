import { AbortTaskRunError, task } from "@trigger.dev/sdk"
import { database, rpc } from "../lib/database.ts"
import { callFunction } from "../lib/edgeFunction.ts"
import { deadLetter } from "../lib/failEvent.ts"
import { isObject } from "../lib/json.ts"
import { step } from "../lib/step.ts"

/** A row of public.orders, as a database webhook or trigger-job sends it. */
export interface OrderPayload {
  readonly event_id: string
  readonly record: { readonly id: string }
}

const inWords = (shortage: unknown): string =>
  (Array.isArray(shortage) ? shortage : [])
    .filter(isObject)
    .map(({ available, sku, wanted }) => `${String(sku)} (${String(wanted)} wanted, ${String(available)} in stock)`)
    .join(", ")

const orderOf = async (id: string) => {
  const { data, error } = await database().from("orders").select("customer_email").eq("id", id).maybeSingle()
  if (error !== null) throw new Error(`orders: ${error.message}`)
  const email: unknown = data?.customer_email
  if (typeof email !== "string" || email === "") throw new AbortTaskRunError(`order ${id} has no customer_email`)
  return { email }
}

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** Stock check, invoice, mail, reservation. Each step runs once per event, however often the run is retried. */
export const processOrder = task({
  id: "process-order",
  onFailure: deadLetter,
  run: async ({ event_id: eventId, record: { id: orderId } }: OrderPayload) => {
    const { email } = await orderOf(orderId)
    await step(eventId, "check", async () => {
      const shortage = await rpc("order_shortage", { order_id: orderId })
      if (Array.isArray(shortage) && shortage.length > 0)
        throw new AbortTaskRunError(`out of stock: ${inWords(shortage)}`)
      return {}
    })
    const { pdf_url: pdfUrl } = await step(eventId, "pdf", (key) =>
      callFunction("generate-pdf", { order_id: orderId }, key)
    )
    const { message_id: messageId } = await step(eventId, "mail", (key) =>
      callFunction(
        "send-email",
        {
          to: email,
          subject: `Your order ${orderId}`,
          html: `<p>Thank you for your order.</p><p><a href="${escape(String(pdfUrl))}">Your invoice</a></p>`,
          text: `Thank you for your order. Your invoice: ${String(pdfUrl)}`
        },
        key
      )
    )
    // In one transaction with its receipt, and with the stock locked, because the checked stock may be gone by now.
    const reservation = await rpc("order_reserve", { event_id: eventId, order_id: orderId })
    if (isObject(reservation) && reservation["outcome"] === "out_of_stock") {
      throw new AbortTaskRunError(`sold out since the order was confirmed: ${inWords(reservation["shortage"])}`)
    }
    return { orderId, pdfUrl, messageId }
  }
})
