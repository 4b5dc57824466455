import * as Schema from "effect/Schema"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { Problem, type ProblemCode } from "./Replies.ts"

type Example<Code> = Omit<Problem, "type" | "title" | "status" | "code"> & { readonly code: Code }

// A choice of one would be documented as a choice.
const oneOf = <Code extends ProblemCode>(codes: ReadonlyArray<Code>) => {
  const [only, ...others] = codes
  return only === undefined || others.length > 0 ? Schema.Literals(codes) : Schema.Literal(only)
}

const problem = <const Code extends ProblemCode>(
  status: number,
  title: string,
  {
    description,
    examples,
    name
  }: {
    readonly name: string
    readonly description: string
    readonly examples: ReadonlyArray<Example<Code>>
  }
) =>
  Schema.Struct({
    ...Problem.fields,
    status: Schema.Literal(status),
    code: oneOf(examples.map(({ code }) => code))
  })
    .annotate({
      identifier: name,
      description,
      examples: examples.map((example) => ({ type: "about:blank" as const, title, status, ...example }))
    })
    .pipe(HttpApiSchema.status(status), HttpApiSchema.asJson({ contentType: "application/problem+json" }))

const eventId = "5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60"
const malformed = { code: "malformed_json", detail: "The body is not JSON in UTF-8" } as const
const invalidId = {
  code: "invalid_id",
  detail: "The event id must be a uuid",
  issues: [{ path: ["eventId"], message: "Expected a UUID" }]
} as const
const inFlight = { code: "in_flight", detail: "Another delivery of this event is being processed", eventId } as const
const storeAway = { code: "store_unavailable", detail: "The database is unavailable; try again later" } as const
const misconfigured = {
  code: "misconfigured",
  detail: "A setting of this function is missing or wrong; its log names it"
} as const
const aRequired = (path: string) => ({ path: [path], message: "Missing key" })
const seconds = Schema.String.check(Schema.isPattern(/^\d+$/u, { expected: "a number of seconds" })).annotate({
  description: "Seconds to wait before a retry",
  examples: ["5"]
})

/** The header of replies that are worth a retry. **Units** seconds. */
export const retryAfter = { "retry-after": seconds }
const perhapsRetryAfter = { "retry-after": Schema.optionalKey(seconds) }
const challenge = {
  "www-authenticate": Schema.String.annotate({ description: "How to authenticate", examples: ["Bearer"] })
}

/** 400 to a delivery. */
export const InvalidDelivery = problem(400, "Bad Request", {
  name: "InvalidDelivery",
  description: "Not one of our payloads, or without an event time: stop",
  examples: [
    malformed,
    {
      code: "invalid_payload",
      detail: "The payload does not have the shape that this endpoint expects; see issues",
      issues: [{ path: ["record", "id"], message: "Expected a UUID" }]
    },
    {
      code: "no_event_time",
      detail:
        "The payload says nowhere when the change happened: send event_id and timestamp, or add an updated_at " +
        "timestamptz column that every UPDATE sets"
    }
  ]
})

/** 401 to a delivery. */
export const NotSigned = HttpApiSchema.WithHeaders(
  problem(401, "Unauthorized", {
    name: "NotSigned",
    description:
      "unauthorized: no signature of a sender we know, alarm. stale_signature: right, but made at another time, see " +
      "skewSeconds (our clock minus the signed time); sign again, or correct a clock",
    examples: [
      { code: "unauthorized", detail: "The delivery is not signed by a sender we know" },
      {
        code: "stale_signature",
        detail: "The signature is valid, but its time is outside the tolerance; see skewSeconds",
        skewSeconds: 412
      }
    ]
  }),
  challenge
)

/** 401 to a management request. */
export const Unauthorized = HttpApiSchema.WithHeaders(
  problem(401, "Unauthorized", {
    name: "Unauthorized",
    description: "No valid credentials",
    examples: [
      {
        code: "unauthorized",
        detail: "Send the project's secret key in the apikey header, or a user's token as Authorization: Bearer"
      }
    ]
  }),
  challenge
)

/** 403. */
export const Forbidden = problem(403, "Forbidden", {
  name: "Forbidden",
  description: "The user's role is not enough",
  examples: [
    {
      code: "forbidden",
      detail: "Coordinators may only read the events visible to them; anything else needs app_metadata.role admin"
    }
  ]
})

/** 400 to a list. */
export const InvalidList = problem(400, "Bad Request", {
  name: "InvalidList",
  description: "A parameter is unknown, repeated or invalid",
  examples: [
    {
      code: "invalid_query",
      detail: "The query is invalid; see issues",
      issues: [{ path: ["limit"], message: "Expected a whole number from 1 to 100" }]
    }
  ]
})

/** 400 to a path without a valid event id. */
export const InvalidEventId = problem(400, "Bad Request", {
  name: "InvalidEventId",
  description: "The id in the path is not a uuid",
  examples: [invalidId]
})

/** 400 to a change. */
export const InvalidChange = problem(400, "Bad Request", {
  name: "InvalidChange",
  description: "The id is not a uuid, or the body is not a valid change",
  examples: [
    invalidId,
    malformed,
    {
      code: "invalid_payload",
      detail: "The payload does not have the shape that this endpoint expects; see issues",
      issues: [aRequired("status")]
    }
  ]
})

/** 404. */
export const NotFound = problem(404, "Not Found", {
  name: "NotFound",
  description: "The topic is not served here, or has no such event, or the coordinator may not see it",
  examples: [{ code: "not_found", detail: "There is no event with this id", eventId }]
})

/** 408. */
export const BodyUnreadable = problem(408, "Request Timeout", {
  name: "BodyUnreadable",
  description: "The body was cut off or took too long: retry",
  examples: [{ code: "body_unreadable", detail: "The body could not be read completely" }]
})

/** 409 to a change. */
export const NotRedrivable = HttpApiSchema.WithHeaders(
  problem(409, "Conflict", {
    name: "NotRedrivable",
    description:
      "A newer event of the key was handled (force overrides), the event has reached somebody, or it is being " +
      "processed: see Retry-After",
    examples: [
      {
        code: "superseded",
        detail: "A newer event of this key has already been handled; use force to send this one anyway",
        eventId
      },
      { code: "not_failed", detail: "The event was completed: there is nothing to send again or to close", eventId },
      inFlight
    ]
  }),
  perhapsRetryAfter
)

/** 409 to an erasure. */
export const NotSettled = problem(409, "Conflict", {
  name: "NotSettled",
  description: "The event is pending or processing, or has an open dead letter",
  examples: [
    {
      code: "not_settled",
      detail: "The event is not settled: wait until it is handled, or resolve it first",
      eventId
    }
  ]
})

/** 409 to a delivery. */
export const NotNow = HttpApiSchema.WithHeaders(
  problem(409, "Conflict", {
    name: "NotNow",
    description:
      "already_processed: acknowledged, the receipt comes along. in_flight, out_of_order: later, see Retry-After. " +
      "dead_letter: a person redrives it. unknown_event: the outbox of this project does not have it, stop, alarm",
    examples: [
      {
        code: "already_processed",
        detail: "This event has already been processed; its receipt is attached",
        eventId,
        receipt: { notified: 2, notificationIds: [] }
      },
      inFlight,
      { code: "out_of_order", detail: "An earlier event of this key is not settled yet", eventId },
      { code: "dead_letter", detail: "This event is a dead letter; redrive it to process it again", eventId },
      { code: "unknown_event", detail: "The outbox of this project has no event with this id", eventId }
    ]
  }),
  perhapsRetryAfter
)

/** 413. */
export const BodyTooLarge = problem(413, "Content Too Large", {
  name: "BodyTooLarge",
  description: "The body is larger than MAX_BODY_BYTES: stop",
  examples: [{ code: "body_too_large", detail: "The body is larger than 262144 bytes" }]
})

/** 415. */
export const UnsupportedMediaType = problem(415, "Unsupported Media Type", {
  name: "UnsupportedMediaType",
  description: "Not application/json, or compressed: stop",
  examples: [{ code: "unsupported_media_type", detail: "Send application/json, not compressed" }]
})

/** 422. */
export const PayloadMismatch = problem(422, "Unprocessable Content", {
  name: "PayloadMismatch",
  description: "The same event id with a different payload: stop, alert",
  examples: [{ code: "payload_mismatch", detail: "This event id was used before with a different payload", eventId }]
})

/** 502. */
export const OrchestratorFailed = HttpApiSchema.WithHeaders(
  problem(502, "Bad Gateway", {
    name: "OrchestratorFailed",
    description: "The orchestrator refused, failed or timed out; retryable says whether a retry can help",
    examples: [
      {
        code: "orchestrator_refused",
        detail: "The orchestrator refused the event with status 400",
        eventId,
        retryable: false
      },
      {
        code: "orchestrator_unavailable",
        detail: "The orchestrator is unavailable: status 503",
        eventId,
        retryable: true
      }
    ]
  }),
  perhapsRetryAfter
)

/** 503 to a delivery. */
export const NotAvailable = HttpApiSchema.WithHeaders(
  problem(503, "Service Unavailable", {
    name: "NotAvailable",
    description: "The database is unavailable, the orchestrator failed too often, or a setting is wrong: retry",
    examples: [
      storeAway,
      {
        code: "circuit_open",
        detail: "Too many calls of the orchestrator failed in a row, so none is made for now",
        eventId
      },
      misconfigured
    ]
  }),
  retryAfter
)

/** 503 to a management request. */
export const StoreAway = HttpApiSchema.WithHeaders(
  problem(503, "Service Unavailable", {
    name: "StoreAway",
    description: "The database or the project's signing keys are unavailable, or a setting is wrong",
    examples: [
      storeAway,
      {
        code: "keys_unavailable",
        detail: "The project's signing keys are unavailable; try again later, or use the project's secret key"
      },
      misconfigured
    ]
  }),
  retryAfter
)

/** 500. */
export const Internal = problem(500, "Internal Server Error", {
  name: "Internal",
  description: "A defect, redacted",
  examples: [{ code: "internal", detail: "Something went wrong on our side; it has been logged" }]
})
