import * as Schema from "effect/Schema"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import { EventChangeReply, EventHistoryReply, EventPageReply } from "./EventReplies.ts"
import { EventChange } from "./EventRequests.ts"
import type { Attempt } from "./Events.ts"
import { NotReadyInShortReply, NotReadyReply, type QueueFigures, ReadyInShortReply, ReadyReply } from "./Health.ts"
import { EventId, EventTime, MentorId } from "./Identifiers.ts"
import { retryAfter } from "./ProblemReplies.ts"
import { BatchReply, NoChangeReply, NotifiedReply } from "./Replies.ts"
import { InsertPayload, UpdatePayload } from "./WebhookPayload.ts"

const eventId = EventId.make("5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60")
const mentorId = MentorId.make("0d9c8b7a-6f5e-4d3c-8b2a-190807060504")
const receipt = { notified: 1, notificationIds: ["c3f0a1b2-7d6e-4f50-8a9b-0c1d2e3f4a5b"] }

const completed: EventChangeReply["event"] = {
  eventId,
  topic: "pause-status",
  key: mentorId,
  version: 3,
  type: "UPDATE",
  record: { id: mentorId, status: "paused" },
  oldRecord: { id: mentorId, status: "active" },
  mentorId,
  transition: "PAUSE",
  oldStatus: "active",
  newStatus: "paused",
  occurredAt: "2026-11-22T09:30:00.123456Z",
  source: "outbox",
  status: "completed",
  attemptCount: 1,
  failures: 0,
  createdAt: "2026-11-22T09:30:00.124001Z",
  completedAt: "2026-11-22T09:30:00.171530Z",
  nextAttemptAt: null,
  lastError: null,
  receipt,
  reachedNobody: false
}

const pending: typeof completed = {
  ...completed,
  status: "pending",
  attemptCount: 4,
  completedAt: null,
  nextAttemptAt: "2026-11-22T10:02:11.000000Z",
  lastError: "The orchestrator is unavailable: status 503",
  receipt: null
}

const cancelled: typeof completed = {
  ...pending,
  status: "failed",
  nextAttemptAt: null,
  lastError: "cancelled: a person withdrew it before it was processed"
}

const attempt: typeof Attempt.Type = {
  attempt: 1,
  why: "commit",
  outcome: "completed",
  dispatchedAt: "2026-11-22T09:30:00.125730Z",
  endedAt: "2026-11-22T09:30:00.171530Z",
  httpStatus: null,
  error: null,
  durationMs: 41
}

const figures: QueueFigures = {
  oldestUnnotifiedSeconds: 0,
  oldestUnnotifiedThreshold: 300,
  pending: 0,
  processing: 0,
  failed: 0,
  deadLettersOpen: 0,
  withoutRecipients: 0,
  failureRatePercent: 0,
  expiredLeases: 0,
  lastSweepAt: "2026-11-22T09:30:05.002117Z",
  alertsOpen: [],
  topics: [{ topic: "pause-status", attached: true, enabled: true }],
  jobs: [
    { name: "reconcile", scheduled: true, lastRunAt: "2026-11-22T09:30:00.031277Z" },
    { name: "sweep", scheduled: true, lastRunAt: "2026-11-22T09:30:05.002117Z" }
  ]
}

const disabled = "a trigger on public.peer_mentor_profiles is disabled: enable it"

/** The headers of a delivery. */
export const DeliveryHeaders = Schema.Struct({
  "webhook-id": Schema.optionalKey(Schema.String.annotate({ description: "The event id, or the batch's own id" })),
  "webhook-timestamp": Schema.optionalKey(
    Schema.String.annotate({ description: "When it was signed, in seconds since 1970; at most 5 minutes off" })
  )
})

const pause: typeof UpdatePayload.Type = {
  type: "UPDATE",
  table: "peer_mentor_profiles",
  schema: "public",
  event_id: eventId,
  version: 3,
  timestamp: EventTime.make("2026-11-22T09:30:00.123456+00:00"),
  record: { id: mentorId, status: "paused" },
  old_record: { status: "active" }
}

// A profile may have any other column, and a sender any other key.
const open = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(Schema.String, Schema.Unknown)])

/** One payload. */
export const Payload = Schema.Union([
  open({ ...InsertPayload.fields, record: open(InsertPayload.fields.record.fields) }).annotate({
    identifier: "InsertPayload",
    description: "A new mentor profile: notifies nobody"
  }),
  open({
    ...UpdatePayload.fields,
    record: open(UpdatePayload.fields.record.fields),
    old_record: open(UpdatePayload.fields.old_record.fields)
  }).annotate({ identifier: "UpdatePayload", description: "A changed mentor profile", examples: [pause] })
]).annotate({ identifier: "Payload" })

/** A batch of payloads. */
export const Payloads = Schema.Array(Payload).check(Schema.isMinLength(1), Schema.isMaxLength(200)).annotate({
  identifier: "Payloads",
  description: "Several payloads, of different mentors when the outbox sends them"
})

const notified = { status: "notified", transition: "PAUSE", eventId, mentorId, receipt } as const
const nobody = { ...notified, status: "no_recipients", receipt: { notified: 0, notificationIds: [] } } as const

/** 200 to a delivery of a PAUSE or RESUME. */
export const Notified = NotifiedReply.annotate({
  identifier: "Notified",
  description: "The orchestrator accepted the event; no_recipients if the mentor has nobody to notify: investigate",
  examples: [notified, nobody]
})

/** 200 to a delivery that notifies nobody. */
export const NoChange = NoChangeReply.annotate({
  identifier: "NoChange",
  description: "A valid payload that notifies nobody",
  examples: [{ status: "no_change", transition: "NO_CHANGE", reason: "unchanged", mentorId }]
})

/** 200 to a batch. */
export const Batch = BatchReply.annotate({
  identifier: "Batch",
  description: "The result of each payload of a batch, in order",
  examples: [
    {
      results: [
        { status: 200, eventId, reply: notified },
        {
          status: 400,
          problem: {
            type: "about:blank",
            title: "Bad Request",
            status: 400,
            code: "invalid_payload",
            detail: "The payload does not have the shape that this endpoint expects; see issues",
            issues: [{ path: ["record", "id"], message: "Missing key" }]
          }
        }
      ]
    }
  ]
})

/** 200 to a list. */
export const Page = EventPageReply.annotate({
  identifier: "EventPage",
  description: "A page of events; nextCursor is null on the last one",
  examples: [{ events: [completed], nextCursor: null }]
})

/** 200 to a request for one event. */
export const History = EventHistoryReply.annotate({
  identifier: "EventHistory",
  description: "The event",
  examples: [{ ...completed, attempts: [attempt], deadLetter: null }]
})

/** The body of a change. */
export const Change = EventChange.annotate({
  identifier: "EventChange",
  description: "pending redrives, resolved closes or cancels",
  examples: [
    { status: "pending", dryRun: true },
    { status: "resolved", notes: "Told by telephone" }
  ]
})

/** 200 to a change. */
export const Changed = EventChangeReply.annotate({
  identifier: "EventChanged",
  description: "The result, or with dryRun what it would be",
  examples: [
    { outcome: "redriven", dryRun: false, event: pending },
    { outcome: "cancelled", dryRun: false, event: cancelled }
  ]
})

const well = { ok: true }

/** 200 of /health. */
export const Ready = ReadyReply.annotate({
  identifier: "Ready",
  description: "A change would be handled now",
  examples: [
    {
      status: "ready",
      live: true,
      checks: { database: well, orchestrator: well, secrets: well, oldestUnnotified: well, capture: well, jobs: well },
      queue: figures
    }
  ]
})

const notReady = NotReadyReply.annotate({
  identifier: "NotReady",
  description: "A check failed; its detail says what to do",
  examples: [
    {
      status: "not_ready",
      live: true,
      checks: {
        database: well,
        orchestrator: { ok: false, detail: "the orchestrator does not answer within 1 second" },
        secrets: well,
        oldestUnnotified: well,
        capture: { ok: false, detail: `pause-status: ${disabled}` },
        jobs: well
      },
      queue: { ...figures, topics: [{ topic: "pause-status", attached: true, enabled: false, problem: disabled }] }
    }
  ]
})

const notReadyInShort = NotReadyInShortReply.annotate({
  identifier: "NotReadyInShort",
  description: "The same, for an uptime monitor",
  examples: [{ status: "not_ready" }]
})

/** 503 of /health. */
export const NotReady = HttpApiSchema.WithHeaders(
  Schema.Union([notReady, notReadyInShort]).pipe(HttpApiSchema.status(503)),
  retryAfter
)

/** 200 to an uptime monitor. */
export const ReadyInShort = ReadyInShortReply.annotate({
  identifier: "ReadyInShort",
  description: "The same, for an uptime monitor",
  examples: [{ status: "ready" }]
})

/** 200 with the figures, as Prometheus reads them. */
export const Metrics = Schema.String.annotate({
  identifier: "Metrics",
  description: "Prometheus' text format",
  examples: ['# TYPE outbox_events gauge\noutbox_events{status="pending"} 0\n']
}).pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))

/** 200 with the contract itself. */
export const Document = Schema.Record(Schema.String, Schema.Unknown).annotate({
  identifier: "Document",
  description: "This document",
  examples: [{ openapi: "3.1.0" }]
})
