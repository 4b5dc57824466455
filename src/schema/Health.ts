import * as Schema from "effect/Schema"
import { StoredTime } from "./Events.ts"

const count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A threshold that is passed. **Units** `value` and `threshold` those of the kind: seconds, percent or a count. */
const OpenAlert = Schema.Struct({
  kind: Schema.String,
  since: StoredTime,
  value: Schema.Finite,
  threshold: Schema.Finite,
  detail: Schema.String
})

/**
 * How the outbox stands.
 *
 * **Units** `oldestUnnotifiedSeconds` seconds, `failureRatePercent` percent of the attempts of the last 15 minutes.
 * **Source** pause_status.health and pause_status.alerts.
 */
export const QueueFigures = Schema.Struct({
  oldestUnnotifiedSeconds: Schema.Finite,
  pending: count,
  processing: count,
  failed: count,
  deadLettersOpen: count,
  failureRatePercent: Schema.Finite,
  expiredLeases: count,
  lastSweepAt: Schema.NullOr(StoredTime),
  alertsOpen: Schema.Array(OpenAlert)
}).annotate({ identifier: "QueueFigures" })
export type QueueFigures = typeof QueueFigures.Type

/** One thing that must be well. **Shape** `detail` says what to do; never a secret or a URL. */
export const Check = Schema.Struct({ ok: Schema.Boolean, detail: Schema.optionalKey(Schema.String) }).annotate({
  identifier: "Check"
})
export type Check = typeof Check.Type

const report = {
  live: Schema.Literal(true),
  checks: Schema.Struct({ database: Check, orchestrator: Check, secrets: Check, oldestUnnotified: Check }),
  queue: Schema.NullOr(QueueFigures)
}

/** 200: all checks are well. **Shape** `live` says that the function answers. */
export const ReadyReply = Schema.Struct({ status: Schema.Literal("ready"), ...report })

/** 503: a check is not. **Shape** `queue` is null when the database is away. */
export const NotReadyReply = Schema.Struct({ status: Schema.Literal("not_ready"), ...report })

/** How things stand. */
export type HealthReport = typeof ReadyReply.Type | typeof NotReadyReply.Type
