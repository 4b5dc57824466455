import { HANDLER, ORCHESTRATOR, SEND_EMAIL } from "../local/stack.ts"

/**
 * The kind of a request: a delivery by pg_net, what a handler does with it (it calls the orchestrator, or records an
 * order's stage), or one of its two RPCs to the outbox. The examples add effects in the database, mails, invoices and
 * their files.
 */
export type CallKind =
  | "delivery"
  | "order"
  | "tell"
  | "claim"
  | "settle"
  | "effect"
  | "mail"
  | "invoice"
  | "storage"
  | "other"

/** The examples that a run can include. */
export const EXAMPLES = ["order-created", "inventory-low", "opportunity-stage"] as const

/** The topics of a run without the examples, and with them. */
export const TOPICS = ["pause-status", "order-stage"] as const
export const EXAMPLE_TOPICS = ["pause-status", "notification-mail", ...EXAMPLES] as const
export type TopicName = (typeof TOPICS | typeof EXAMPLE_TOPICS)[number]

/** Where the handler of order-stage is served. */
export const ORDER_STAGE_PATH = "/functions/v1/order-stage"

export interface Call {
  readonly kind: CallKind
  readonly method: string
  readonly path: string
  /** Names and values alternate, as received. */
  readonly headers: ReadonlyArray<string>
  readonly body: Buffer
}

export interface Reply {
  readonly status: number
  readonly headers: ReadonlyArray<string>
  readonly body: Buffer
}

/** Passes on a call and waits for the reply. Fails if the connection fails. */
export type Forward = (call: Call, signal?: AbortSignal) => Promise<Reply>

/** Decides a call's reply, or hangs up on the caller if it returns undefined. */
export type Treatment = (call: Call, forward: Forward) => Promise<Reply | undefined>

const EFFECT =
  /^\/rest\/v1\/rpc\/(order_to_confirm|confirm_order|reorder_item|move_opportunity|notification_mail_(prepare|record))\b/

export const kindOf = (path: string): CallKind => {
  if (path.startsWith(`/functions/v1/${HANDLER}`)) return "delivery"
  if (path === ORDER_STAGE_PATH) return "delivery"
  if (path.startsWith(`/functions/v1/${ORCHESTRATOR}`)) return "order"
  if (path.startsWith("/rest/v1/rpc/tell_order")) return "tell"
  if (path.startsWith("/rest/v1/rpc/outbox_claim")) return "claim"
  if (path.startsWith("/rest/v1/rpc/outbox_settle")) return "settle"
  if ([SEND_EMAIL, ...EXAMPLES].some((name) => path.startsWith(`/functions/v1/${name}`))) return "delivery"
  if (path.startsWith("/functions/v1/generate-pdf")) return "invoice"
  if (path === "/emails") return "mail"
  if (path.startsWith("/storage/v1/")) return "storage"
  if (EFFECT.test(path)) return "effect"
  return "other"
}

export const jsonReply = (status: number, value: unknown, headers: ReadonlyArray<string> = []): Reply => ({
  status,
  headers: ["content-type", "application/json", ...headers],
  body: Buffer.from(JSON.stringify(value))
})

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** The objects of a JSON array, or of the array under this name. A single object counts as an array of one. */
export const objectsIn = (body: Buffer, name?: string): ReadonlyArray<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(body.toString())
    const found = name !== undefined && isRecord(value) ? value[name] : value
    return (Array.isArray(found) ? found : [found]).filter(isRecord)
  } catch {
    return []
  }
}

/** The topic that a delivery, a claim or a settlement names. */
export const topicOf = ({ body }: Call): TopicName => (body.includes('"order-stage"') ? "order-stage" : "pause-status")

/** The ids of the events in a call of the orchestrator. */
export const eventIdsIn = (body: Buffer): ReadonlyArray<string> => objectsIn(body).map(({ eventId }) => String(eventId))
