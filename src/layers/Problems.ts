import * as Data from "effect/Data"
import type { Problem, ProblemCode } from "../schema/Replies.ts"
import type { AccessError } from "../services/Access.ts"
import type {
  EventNotFailed,
  EventNotSettled,
  EventStoreUnavailable,
  EventUnknown,
  RedriveSuperseded
} from "../services/EventStore.ts"
import type { Release } from "../services/DedupeStore.ts"
import type { InvalidQuery, TopicUnknown } from "../services/ManagedTopics.ts"
import type { TopicError, WebhookError } from "../services/Outcome.ts"
import type { OrchestratorError } from "../topics/OrchestratorClient.ts"
import type { OrchestrationError } from "../topics/PauseOrchestrator.ts"
import type { Misconfigured } from "./Config.ts"
import type { InvalidId } from "./InvalidRequest.ts"

/** A request that no program handles. */
export class NotFound extends Data.TaggedError("NotFound") {
  override readonly message = "There is nothing at this path"
}
export class MethodNotAllowed extends Data.TaggedError("MethodNotAllowed")<{
  readonly allow: string
}> {
  override get message(): string {
    return `This path answers ${this.allow}`
  }
}
export class UnsupportedMediaType extends Data.TaggedError("UnsupportedMediaType") {
  override readonly message = "Send application/json, not compressed"
}
export class BodyTooLarge extends Data.TaggedError("BodyTooLarge")<{
  readonly maxBytes: number
}> {
  override get message(): string {
    return `The body is larger than ${this.maxBytes} bytes`
  }
}
/** The body ended before all of it was there. */
export class BodyUnreadable extends Data.TaggedError("BodyUnreadable") {
  override readonly message = "The body could not be read completely"
}
/** The body is still not there. */
export class BodyTooSlow extends Data.TaggedError("BodyTooSlow")<{
  readonly timeoutMillis: number
}> {
  override get message(): string {
    return `The body did not arrive within ${this.timeoutMillis} ms`
  }
}
/** A defect; its cause is only in the log. */
export class Internal extends Data.TaggedError("Internal") {
  override readonly message = "Something went wrong on our side; it has been logged"
}

type RequestError = NotFound | MethodNotAllowed | UnsupportedMediaType | BodyTooLarge | BodyTooSlow | BodyUnreadable
type ManagementError =
  | AccessError
  | InvalidQuery
  | InvalidId
  | TopicUnknown
  | EventUnknown
  | RedriveSuperseded
  | EventNotFailed
  | EventNotSettled
  | EventStoreUnavailable
export type ReplyError =
  | RequestError
  | WebhookError<OrchestratorError>
  | OrchestrationError
  | ManagementError
  | Misconfigured
  | Internal

type AnyError = ReplyError | TopicError

interface Row {
  readonly status: number
  readonly code: ProblemCode
}

// Errors of a topic that have their own code.
const topicRows = {
  OrchestratorRefused: { status: 502, code: "orchestrator_refused" },
  OrchestratorUnavailable: { status: 502, code: "orchestrator_unavailable" },
  OrchestratorCircuitOpen: { status: 503, code: "circuit_open" }
} as const

/** Every error, its status and its code: the one place where they meet. */
export const table: { readonly [Tag in ReplyError["_tag"]]: Row } = {
  MalformedBody: { status: 400, code: "malformed_json" },
  BodyUnreadable: { status: 408, code: "body_unreadable" },
  BodyTooSlow: { status: 408, code: "body_unreadable" },
  InvalidPayload: { status: 400, code: "invalid_payload" },
  NoEventTime: { status: 400, code: "no_event_time" },
  InvalidQuery: { status: 400, code: "invalid_query" },
  InvalidId: { status: 400, code: "invalid_id" },
  SignatureRejected: { status: 401, code: "unauthorized" },
  SignatureStale: { status: 401, code: "stale_signature" },
  CredentialsRejected: { status: 401, code: "unauthorized" },
  NotAllowed: { status: 403, code: "forbidden" },
  NotFound: { status: 404, code: "not_found" },
  TopicUnknown: { status: 404, code: "not_found" },
  EventUnknown: { status: 404, code: "not_found" },
  MethodNotAllowed: { status: 405, code: "method_not_allowed" },
  AlreadyProcessed: { status: 409, code: "already_processed" },
  EventInFlight: { status: 409, code: "in_flight" },
  EventDeadLettered: { status: 409, code: "dead_letter" },
  EventOutOfOrder: { status: 409, code: "out_of_order" },
  EventNotInOutbox: { status: 409, code: "unknown_event" },
  EventSuperseded: { status: 409, code: "superseded" },
  RedriveSuperseded: { status: 409, code: "superseded" },
  EventNotFailed: { status: 409, code: "not_failed" },
  EventNotSettled: { status: 409, code: "not_settled" },
  BodyTooLarge: { status: 413, code: "body_too_large" },
  UnsupportedMediaType: { status: 415, code: "unsupported_media_type" },
  PayloadMismatch: { status: 422, code: "payload_mismatch" },
  EventUnstorable: { status: 422, code: "payload_mismatch" },
  ...topicRows,
  DedupeStoreUnavailable: { status: 503, code: "store_unavailable" },
  NotificationStoreUnavailable: { status: 503, code: "store_unavailable" },
  EventStoreUnavailable: { status: 503, code: "store_unavailable" },
  KeysUnavailable: { status: 503, code: "keys_unavailable" },
  Misconfigured: { status: 503, code: "misconfigured" },
  Internal: { status: 500, code: "internal" }
}

/** The rows of all other errors of topics: what becomes of the event says what the sender does. */
const releaseRows: { readonly [Kind in Release["kind"]]: Row } = {
  permanent: { status: 502, code: "handler_refused" },
  transient: { status: 502, code: "handler_unavailable" },
  parked: { status: 503, code: "handler_parked" }
}

// By its release, not only by its tag: a topic may name its error NotFound.
const isListed = (error: AnyError): error is ReplyError => !("release" in error) || Object.hasOwn(topicRows, error._tag)

const rowOf = (error: AnyError): Row => (isListed(error) ? table[error._tag] : releaseRows[error.release.kind])

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable"
}

const databaseAway = "The database is unavailable; try again later"

// What an outsider may know of a wrong setting or an unreachable store is that there is one.
const details: { readonly [Tag in ReplyError["_tag"]]?: string } = {
  SignatureRejected: "The delivery is not signed by a sender we know",
  Misconfigured: "A setting of this function is missing or wrong; its log names it",
  DedupeStoreUnavailable: databaseAway,
  NotificationStoreUnavailable: databaseAway,
  EventStoreUnavailable: databaseAway,
  KeysUnavailable: "The project's signing keys are unavailable; try again later, or use the project's secret key"
}

const challenges: { readonly [Tag in ReplyError["_tag"]]?: string } = {
  SignatureRejected: "Signature",
  SignatureStale: "Signature",
  CredentialsRejected: "Bearer"
}

const extras = (error: AnyError): Partial<Problem> => ({
  ...("eventId" in error && error.eventId !== undefined && { eventId: error.eventId }),
  ...("issues" in error && { issues: error.issues }),
  ...("receipt" in error && { receipt: error.receipt }),
  ...("release" in error && error.release.kind !== "parked" && { retryable: error.release.kind === "transient" }),
  // Only of a right signature: a stranger learns nothing of our clock.
  ...(isListed(error) && error._tag === "SignatureStale" && { skewSeconds: error.skewSeconds })
})

const secondsUntilStoreRetry = 5

const retryAfterOf = (error: AnyError, { code }: Row): number | undefined => {
  if ("release" in error) return error.release.retryAfterSeconds
  if ("retryAfterSeconds" in error) return error.retryAfterSeconds
  return code === "store_unavailable" || code === "misconfigured" ? secondsUntilStoreRetry : undefined
}

const headersOf = (error: AnyError): Readonly<Record<string, string>> => {
  const retryAfter = retryAfterOf(error, rowOf(error))
  const challenge = isListed(error) ? challenges[error._tag] : undefined
  return {
    "content-type": "application/problem+json",
    ...(retryAfter !== undefined && { "retry-after": String(retryAfter) }),
    ...(challenge !== undefined && { "www-authenticate": challenge }),
    ...("allow" in error && { allow: error.allow })
  }
}

/** The problem that an error is. **Source** RFC 9457. */
export const toProblem = (error: AnyError): Problem => {
  const { code, status } = rowOf(error)
  return {
    type: "about:blank",
    title: titles[status] ?? "Error",
    status,
    code,
    detail: (isListed(error) ? details[error._tag] : undefined) ?? error.message,
    ...extras(error)
  }
}

/** The reply to an error. */
export const toResponse = (error: AnyError): Response =>
  new Response(JSON.stringify(toProblem(error) satisfies typeof Problem.Encoded), {
    status: rowOf(error).status,
    headers: headersOf(error)
  })
