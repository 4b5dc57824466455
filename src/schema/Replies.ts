import * as Schema from "effect/Schema"
import { EventId, MentorId } from "./Identifiers.ts"
import { Receipt } from "./Receipt.ts"
import { Direction, NoChangeReason } from "./Transition.ts"

/** One thing that is wrong with a payload. **Shape** `path` is the keys from the root; values are never repeated. */
export const Issue = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Int])),
  message: Schema.String
})
export type Issue = typeof Issue.Type

/** 200: the orchestrator accepted the event. **Shape** `status` is `no_recipients` if there was nobody to notify. */
export const NotifiedReply = Schema.Struct({
  status: Schema.Literals(["notified", "no_recipients"]),
  transition: Direction,
  eventId: EventId,
  mentorId: MentorId,
  receipt: Receipt
})

/** 200: a valid payload that notifies nobody. */
export const NoChangeReply = Schema.Struct({
  status: Schema.Literal("no_change"),
  transition: Schema.Literal("NO_CHANGE"),
  reason: NoChangeReason,
  mentorId: MentorId
})

/** The word in a problem's `code` member; senders branch on it, not on the text. */
export const ProblemCode = Schema.Literals([
  "malformed_json",
  "invalid_payload",
  "no_event_time",
  "invalid_query",
  "invalid_id",
  "unauthorized",
  "stale_signature",
  "forbidden",
  "not_found",
  "method_not_allowed",
  "body_unreadable",
  "already_processed",
  "in_flight",
  "dead_letter",
  "body_too_large",
  "unsupported_media_type",
  "payload_mismatch",
  "orchestrator_refused",
  "orchestrator_unavailable",
  "circuit_open",
  "handler_refused",
  "handler_unavailable",
  "handler_parked",
  "out_of_order",
  "unknown_event",
  "superseded",
  "not_failed",
  "not_settled",
  "store_unavailable",
  "keys_unavailable",
  "misconfigured",
  "internal"
])
export type ProblemCode = typeof ProblemCode.Type

/**
 * Every error reply: RFC 9457 `application/problem+json`.
 *
 * **Shape** the RFC's members, then ours: `code`, and where they apply `eventId`, `issues` (400), `receipt` (409
 * already_processed), `retryable` (502), `skewSeconds` (401 stale_signature). Never a stack, a secret or a payload.
 *
 * **Units** `skewSeconds` is our clock minus the signed time.
 */
export const Problem = Schema.Struct({
  type: Schema.Literal("about:blank"),
  title: Schema.String,
  status: Schema.Int,
  code: ProblemCode,
  detail: Schema.String,
  eventId: Schema.optionalKey(Schema.String),
  issues: Schema.optionalKey(Schema.Array(Issue)),
  receipt: Schema.optionalKey(Receipt),
  retryable: Schema.optionalKey(Schema.Boolean),
  skewSeconds: Schema.optionalKey(Schema.Int)
})
export type Problem = typeof Problem.Type

/**
 * 200: the result of each payload of a batch, in order.
 *
 * **Shape** each as its own delivery would have been answered, with that reply's `status` as `status` and a success as
 * `reply`, an error as `problem`.
 */
export const BatchReply = Schema.Struct({
  results: Schema.Array(
    Schema.Struct({
      status: Schema.Int,
      eventId: Schema.optionalKey(Schema.String),
      reply: Schema.optionalKey(Schema.Union([NotifiedReply, NoChangeReply])),
      problem: Schema.optionalKey(Problem)
    })
  )
})
export type BatchReply = typeof BatchReply.Type
