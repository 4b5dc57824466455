import { createHmac } from "node:crypto"
import { type Call, objectsIn } from "./calls.ts"
import type { Random } from "./random.ts"

const SIGNED = new Set(["webhook-id", "webhook-timestamp", "webhook-signature", "content-length"])

/** The same delivery from an outbox with other events: a clone of the project, or one that lost events in a crash. */
export const forged = (call: Call, secret: string, random: Random): Call => {
  const payloads = objectsIn(call.body).map((payload) =>
    Object.assign(payload, { event_id: random.uuid(), version: random.pick([1, Number(payload["version"]) + 1, 50]) })
  )
  const [first] = payloads
  const body = Buffer.from(JSON.stringify(payloads.length === 1 ? first : payloads))
  const id = payloads.length === 1 ? String(first?.event_id) : random.uuid()
  const seconds = String(Math.floor(Date.now() / 1_000))
  const signature = createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
    .update(`${id}.${seconds}.`)
    .update(body)
    .digest("base64")
  const kept = call.headers.filter((_, index) => !SIGNED.has(String(call.headers[index - (index % 2)]).toLowerCase()))
  const headers = [
    ...kept,
    "webhook-id",
    id,
    "webhook-timestamp",
    seconds,
    "webhook-signature",
    `v1,${signature}`,
    "content-length",
    String(body.length)
  ]
  return { ...call, headers, body }
}
