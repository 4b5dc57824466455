import { createHmac, randomBytes } from "node:crypto"

export const SECRET = `whsec_${randomBytes(32).toString("base64")}`
const PATH = "/pause-status-webhook-handler/api/v1/webhooks/pause-status"
const MENTOR = "7f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
const TOO_OLD_SECONDS = 600
const TOO_MANY_BYTES = 300_000

export interface Call {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const eventId = (script: string): string => `${script}-0000-4000-8000-000000000001`

const sign = (body: string, id: string, ageSeconds = 0): Readonly<Record<string, string>> => {
  const timestamp = String(Math.floor(Date.now() / 1_000) - ageSeconds)
  const key = Buffer.from(SECRET.slice("whsec_".length), "base64")
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${mac}`
  }
}

const call = (name: string, id: string, body: string, other: Partial<Call> = {}): Call => ({
  name,
  method: "POST",
  path: PATH,
  headers: sign(body, id),
  body,
  ...other
})

const payload = (script: string, oldStatus: unknown, newStatus: unknown, more: object = {}) => ({
  type: "UPDATE",
  table: "peer_mentor_profiles",
  record: { id: MENTOR, status: newStatus },
  schema: "public",
  version: 1,
  event_id: eventId(script),
  timestamp: "2026-11-22T09:30:00.123456Z",
  old_record: { id: MENTOR, status: oldStatus },
  ...more
})

const delivery = (name: string, script: string, more: object = {}): Call =>
  call(name, eventId(script), JSON.stringify(payload(script, "active", "paused", more)))

/** A pause that is notified: the claim, the orchestrator's call and the settlement are three calls of the stub. */
export const notified = (): Call => delivery("200 notified", "00000200")

/** A change that notifies nobody and calls nothing. */
export const noChange = (): Call =>
  call("200 no change", eventId("00000201"), JSON.stringify(payload("00000201", "paused", "paused")))

/** Every kind of reply that is the same for all variants. */
export const everyKind = (): ReadonlyArray<Call> => {
  const good = notified()
  const bare = { event_id: undefined, timestamp: undefined, version: undefined }
  const inserted = { type: "INSERT", old_record: null, ...bare }
  const dashboard = { ...bare, record: { id: MENTOR, status: "paused", updated_at: "2026-11-22T09:30:00.1+00:00" } }
  return [
    good,
    call("200 resumed", eventId("00000202"), JSON.stringify(payload("00000202", "paused", "active"))),
    delivery("200 of a dashboard webhook with a signed id", "00000203", dashboard),
    noChange(),
    delivery("200 inserted", "00000204", inserted),
    call("200 unrecognised", eventId("00000205"), JSON.stringify(payload("00000205", "active", "retired"))),
    call("400 no JSON", eventId("00000210"), "{"),
    delivery("400 another table", "00000211", { table: "coordinators" }),
    delivery("400 a DELETE", "00000212", { type: "DELETE" }),
    delivery("400 several issues", "00000213", { record: { id: 7 }, old_record: {}, version: 0 }),
    delivery("400 no old record", "00000214", { old_record: undefined }),
    delivery("400 no event time", "00000215", bare),
    call("400 another event id than the signed one", eventId("00000216"), good.body),
    { ...good, name: "401 unsigned", headers: { "content-type": "application/json" } },
    { ...good, name: "401 another body", body: good.body.replace("paused", "active") },
    { ...good, name: "401 too old", headers: sign(good.body, eventId("00000200"), TOO_OLD_SECONDS) },
    { ...good, name: "404", path: "/pause-status-webhook-handler/elsewhere" },
    { ...good, name: "405", method: "PUT" },
    delivery("409 already processed", "00000409"),
    delivery("409 in flight", "00000425"),
    call("413", eventId("00000217"), " ".repeat(TOO_MANY_BYTES)),
    { ...good, name: "415", headers: { ...good.headers, "content-type": "text/plain" } },
    delivery("422", "00000422"),
    delivery("502 refused", "00000400"),
    delivery("503 no claim store", "00000503")
  ]
}
