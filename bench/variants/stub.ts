// What every variant calls, as a process of its own that answers at once: claim store, orchestrator, Resend, and the
// orders and the Storage of generate-pdf. The first part of an event id says what it is to answer.
import { once } from "node:events"
import * as http from "node:http"
import { LOOPBACK } from "../../local/ports.ts"

const RECEIPT = { notified: 2, notificationIds: ["n1", "n2"] }

type Reply = readonly [status: number, body: unknown]

const claimOutcomes: Readonly<Record<string, object>> = {
  "00000409": { outcome: "completed", receipt: RECEIPT },
  "00000425": { outcome: "in_flight", retryAfterSeconds: 7 },
  "00000422": { outcome: "payload_mismatch" }
}

const ORDER = {
  id: "5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60",
  customer_name: "Ada Lovelace",
  customer_email: "ada@example.com",
  customer_address: "12 St James's Square\nLondon",
  currency: "EUR",
  locale: "en-GB",
  total: "41.00",
  created_at: "2026-11-22T09:30:00.123456+00:00",
  invoice_url: null,
  items: [
    { description: "Tea", quantity: 3, unit_price: "7.00" },
    { description: "Cups", quantity: 2, unit_price: "10.00" }
  ]
}

const SIGNED_URL = `/object/sign/invoices/${ORDER.id}.pdf?token=one`

const replyTo = (url: string, body: string): Reply => {
  const eventId = /"eventId":"([^"]+)"/.exec(body)?.[1] ?? ""
  const script = eventId.slice(0, 8)
  if (url === "/rest/v1/rpc/outbox_claim") {
    if (script === "00000503") return [503, { message: "the database is down" }]
    const claimed = { outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 30 }
    return [200, [{ eventId, ...(claimOutcomes[script] ?? claimed) }]]
  }
  if (url === "/rest/v1/rpc/outbox_settle") {
    const settled = [{ eventId, outcome: body.includes('"completed"') ? "completed" : "released" }]
    return [200, { settled, next: [] }]
  }
  if (url === "/emails") return [200, { id: "one" }]
  if (url.startsWith("/rest/v1/orders?"))
    return [200, [body === "" ? ORDER : { invoice_url: `/storage/v1${SIGNED_URL}` }]]
  if (url.startsWith("/storage/v1/object/sign/")) return [200, { signedURL: SIGNED_URL }]
  if (url.startsWith("/storage/v1/object/")) return [200, { Id: "one", Key: `invoices/${ORDER.id}.pdf` }]
  if (url === "/orchestrator") return script === "00000400" ? [400, { refused: true }] : [200, RECEIPT]
  return [404, { message: `nothing at ${url}` }]
}

const server = http.createServer((request, response) => {
  const parts: Array<Buffer> = []
  request.on("data", (part) => parts.push(part))
  request.on("end", () => {
    const [status, body] = replyTo(request.url ?? "", Buffer.concat(parts).toString())
    response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body))
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, LOOPBACK)
await once(server, "listening")
const address = server.address()
console.log(typeof address === "object" ? address?.port : address)
// The parent has gone, so nobody will call.
process.on("disconnect", () => process.exit(0))
