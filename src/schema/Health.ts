import * as Schema from "effect/Schema"
import { StoredTime } from "./Events.ts"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * An open problem.
 *
 * **Shape** `lastSeenAt` is when its cause was last seen.
 * **Units** `value` and `threshold` those of the kind: seconds, percent or a count.
 */
const OpenAlert = Schema.Struct({
  kind: Schema.String,
  since: StoredTime,
  lastSeenAt: StoredTime,
  value: Schema.Finite,
  threshold: Schema.Finite,
  detail: Schema.String
})

/** Whether a topic's triggers are on its table and enabled. **Shape** `problem` says what to do when changes are missed. */
const TopicCapture = Schema.Struct({
  topic: Schema.String,
  attached: Schema.Boolean,
  enabled: Schema.Boolean,
  problem: Schema.optionalKey(Schema.String)
})

/** A scheduled job. **Shape** `problem` says what is wrong: not scheduled, silent, or the error that it met last. */
const Job = Schema.Struct({
  name: Schema.String,
  scheduled: Schema.Boolean,
  lastRunAt: Schema.NullOr(StoredTime),
  problem: Schema.optionalKey(Schema.String)
})

/**
 * The state of the outbox.
 *
 * **Shape** `withoutRecipients` counts completed events that reached nobody, until a person redrives or resolves them.
 * Counts stop at 10000.
 * **Units** `oldestUnnotifiedSeconds` and its threshold seconds, `failureRatePercent` percent of the attempts of the last
 * 15 minutes.
 * **Source** outbox.health, outbox.alerts, the triggers, and pg_cron.
 */
export const QueueFigures = Schema.Struct({
  oldestUnnotifiedSeconds: Schema.Finite,
  oldestUnnotifiedThreshold: Schema.Finite,
  pending: count,
  processing: count,
  failed: count,
  deadLettersOpen: count,
  withoutRecipients: count,
  failureRatePercent: Schema.Finite,
  expiredLeases: count,
  lastSweepAt: Schema.NullOr(StoredTime),
  alertsOpen: Schema.Array(OpenAlert),
  topics: Schema.Array(TopicCapture),
  jobs: Schema.Array(Job)
}).annotate({ identifier: "QueueFigures" })
export type QueueFigures = typeof QueueFigures.Type

/** One check of /health. **Shape** `detail` says what to do, without secrets or URLs. */
export const Check = Schema.Struct({ ok: Schema.Boolean, detail: Schema.optionalKey(Schema.String) }).annotate({
  identifier: "Check"
})
export type Check = typeof Check.Type

const report = {
  live: Schema.Literal(true),
  checks: Schema.Struct({
    database: Check,
    orchestrator: Check,
    secrets: Check,
    oldestUnnotified: Check,
    capture: Check,
    jobs: Check
  }),
  queue: Schema.NullOr(QueueFigures)
}

/** 200: all checks passed. **Shape** `live` means that the function answers. */
export const ReadyReply = Schema.Struct({ status: Schema.Literal("ready"), ...report })

/** 503: a check failed. **Shape** `queue` is null if the database is unavailable. */
export const NotReadyReply = Schema.Struct({ status: Schema.Literal("not_ready"), ...report })

/** 200 for an uptime monitor, without figures. */
export const ReadyInShortReply = Schema.Struct({ status: Schema.Literal("ready") })

/** 503 for an uptime monitor. */
export const NotReadyInShortReply = Schema.Struct({ status: Schema.Literal("not_ready") })

/**
 * How fast the events of a topic were handled in the last 15 minutes, of the latest 10,000.
 *
 * **Units** the quantiles are seconds from the change to the settlement; null when nothing was completed.
 * **Source** public.outbox_metrics().
 */
export const TopicFigures = Schema.Struct({
  topic: Schema.String,
  completed: count,
  p50: Schema.NullOr(Schema.Finite),
  p95: Schema.NullOr(Schema.Finite),
  p99: Schema.NullOr(Schema.Finite)
})
export type TopicFigures = typeof TopicFigures.Type

/** The state of the function and the outbox. */
export type HealthReport = typeof ReadyReply.Type | typeof NotReadyReply.Type
