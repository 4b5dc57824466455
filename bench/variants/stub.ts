// The claim store and orchestrator of every variant, in its own process. It answers at once. The first part of an event
// id selects the answer.
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
