import { json, problem } from "./problem.ts"
import { orchestratorUrl } from "./settings.ts"
import { signatureProblem } from "./signature.ts"
import { occurredAtOf, type PauseEvent, transitionOf, type Validate, type Webhook } from "./webhook.ts"

/** Calls a function of the database. Undefined if it did not answer. */
export type Rpc = (name: string, args: Readonly<Record<string, unknown>>) => Promise<unknown>

const MAX_BODY_BYTES = 262_144
const ORCHESTRATOR_TIMEOUT_MS = 2_000
const utf8 = new TextDecoder("utf-8", { fatal: true })

interface Answer {
  readonly outcome: string
  readonly token?: number
  readonly receipt?: unknown
  readonly retryAfterSeconds?: number
}

const isAnswer = (value: unknown): value is Answer =>
  typeof value === "object" && value !== null && "outcome" in value && typeof value.outcome === "string"

const first = (answers: unknown): Answer | undefined => {
  const answer: unknown = Array.isArray(answers) ? answers[0] : undefined
  return isAnswer(answer) ? answer : undefined
}

const settledFirst = (answer: unknown): Answer | undefined =>
  typeof answer === "object" && answer !== null && "settled" in answer ? first(answer.settled) : undefined

const unavailable = () =>
  problem(503, "store_unavailable", "The database is unavailable; try again later", {}, { "retry-after": "5" })

const unclaimed = ({ outcome, receipt, retryAfterSeconds = 1 }: Answer, eventId: string): Response | undefined => {
  switch (outcome) {
    case "claimed":
      return undefined
    case "completed":
      return problem(409, "already_processed", "This event was processed before", { eventId, receipt })
    case "in_flight":
    case "out_of_order": {
      const headers = { "retry-after": String(retryAfterSeconds) }
      return problem(409, outcome, "Another event is being processed", { eventId }, headers)
    }
    case "failed":
      return problem(409, "dead_letter", "This event is a dead letter", { eventId })
    default:
      return problem(422, "payload_mismatch", "This event id was used before with a different payload", { eventId })
  }
}

type Ordered = { readonly receipt: unknown } | { readonly status: number | undefined }

const order = async (event: PauseEvent): Promise<Ordered> => {
  try {
    const response = await fetch(orchestratorUrl, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": event.eventId },
      body: JSON.stringify(event),
      redirect: "manual",
      signal: AbortSignal.timeout(ORCHESTRATOR_TIMEOUT_MS)
    })
    if (response.ok) return { receipt: await response.json() }
    await response.body?.cancel()
    return { status: response.status }
  } catch {
    return { status: undefined }
  }
}

const notify = async (rpc: Rpc, event: PauseEvent): Promise<Response> => {
  const { eventId, mentorId, transition } = event
  const claim = first(await rpc("outbox_claim", { events: [event] }))
  if (claim === undefined) return unavailable()
  const refused = unclaimed(claim, eventId)
  if (refused !== undefined) return refused
  const ordered = await order(event)
  const isPermanent = "status" in ordered && ordered.status !== undefined && ordered.status < 500
  const ending =
    "receipt" in ordered
      ? { outcome: "completed", receipt: ordered.receipt }
      : { outcome: "released", kind: isPermanent ? "permanent" : "transient", message: "the orchestrator failed" }
  const settled = settledFirst(
    await rpc("outbox_settle", { settlements: [{ eventId, token: claim.token, ...ending }] })
  )
  if ("receipt" in ordered) {
    return settled === undefined
      ? unavailable()
      : json({ status: "notified", transition, eventId, mentorId, receipt: ordered.receipt })
  }
  return isPermanent
    ? problem(502, "orchestrator_refused", "The orchestrator refused the event", { eventId, retryable: false })
    : problem(502, "orchestrator_unavailable", "The orchestrator failed", { eventId, retryable: true })
}

const handle = (rpc: Rpc, webhook: Webhook, webhookId: string): Promise<Response> | Response => {
  const mentorId = webhook.record.id.toLowerCase()
  const transition = transitionOf(webhook)
  if (transition !== "PAUSE" && transition !== "RESUME") {
    return json({ status: "no_change", transition: "NO_CHANGE", reason: transition, mentorId })
  }
  const occurredAt = occurredAtOf(webhook)
  if (occurredAt === undefined) return problem(400, "no_event_time", "The payload says nowhere when it happened")
  const eventId = (webhook.event_id ?? webhookId).toLowerCase()
  if (eventId !== webhookId.toLowerCase()) {
    const issues = [{ path: ["event_id"], message: "Expected the signed webhook-id" }]
    return problem(400, "invalid_payload", "The payload has another shape", { issues })
  }
  const { version } = webhook
  return notify(rpc, {
    eventId,
    mentorId,
    transition,
    oldStatus: webhook.old_record?.status ?? "",
    newStatus: webhook.record.status,
    occurredAt,
    ...(version !== undefined && { version }),
    source: webhook.event_id === undefined || version === undefined ? "webhook" : "outbox"
  })
}

/** The reply to a POST. Does what our handler does with a delivery of one event, in plain code. */
export const receive = async (request: Request, validate: Validate, rpc: Rpc): Promise<Response> => {
  if (!/^application\/json\s*(?:;|$)/i.test(request.headers.get("content-type") ?? "")) {
    return problem(415, "unsupported_media_type", "Send application/json, not compressed")
  }
  const tooLarge = () => problem(413, "body_too_large", `The body is larger than ${MAX_BODY_BYTES} bytes`)
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) return tooLarge()
  const body = new Uint8Array(await request.arrayBuffer())
  if (body.length > MAX_BODY_BYTES) return tooLarge()
  const wrong = await signatureProblem(request.headers, body)
  if (wrong !== undefined) {
    const { code, ...skew } = wrong
    return problem(401, code, "The delivery is not signed", skew, { "www-authenticate": "Signature" })
  }
  let input: unknown
  try {
    input = JSON.parse(utf8.decode(body))
  } catch {
    return problem(400, "malformed_json", "The body is not JSON in UTF-8")
  }
  const checked = validate(input)
  if ("issues" in checked) {
    return problem(400, "invalid_payload", "The payload has another shape", { issues: checked.issues })
  }
  return handle(rpc, checked.webhook, request.headers.get("webhook-id") ?? "")
}

/** Echoes the delivery id, so that the outbox recognises the reply. */
export const echoId = (request: Request, response: Response): Response => {
  const id = request.headers.get("webhook-id")
  if (id !== null) response.headers.set("webhook-id", id)
  return response
}
