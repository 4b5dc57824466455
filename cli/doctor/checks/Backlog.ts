import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Check, needsDatabase, ofOutbox, refused, rowsOf } from "../Check.ts"
import type { Outbox } from "../Facts.ts"
import { count, ok, type Verdict, verdictOf, wrong } from "../Finding.ts"

/** Whether an event waits longer than its alert allows. */
const judgePending = (
  outbox: Pick<Outbox, "oldestUnnotifiedSeconds" | "oldestUnnotifiedThreshold" | "pending" | "processing">
): Verdict => {
  const { oldestUnnotifiedSeconds: seconds, oldestUnnotifiedThreshold: threshold, pending, processing } = outbox
  return seconds < threshold
    ? ok(`${pending} pending, ${processing} processing, the oldest for ${seconds} s`)
    : wrong(
        `An event has been waiting for ${seconds} s; ${threshold} s are allowed.`,
        "Read last_error: select * from outbox.events where status <> 'completed' order by created_at"
      )
}

/** Whether a person has to look at something. */
const judgeDeadLetters = (outbox: Pick<Outbox, "deadLettersOpen" | "withoutRecipients">): Verdict => {
  const { deadLettersOpen, withoutRecipients } = outbox
  return verdictOf(
    [
      ...(deadLettersOpen === 0
        ? []
        : [
            {
              detail: `${count(deadLettersOpen, "dead letter is", "dead letters are")} open.`,
              cure: "Read outbox.dead_letters where resolution is null; then outbox.redrive or outbox.resolve."
            }
          ]),
      ...(withoutRecipients === 0
        ? []
        : [
            {
              detail: `${count(withoutRecipients, "event")} reached nobody.`,
              cure: "Add the coordinators, then outbox.redrive these events; or outbox.resolve them."
            }
          ])
    ],
    "none open, and every event reached somebody"
  )
}

// Other checks find these themselves, and sooner.
const seenElsewhere = new Set([
  "oldest_unnotified",
  "dead_letters",
  "no_recipients",
  "sweep_silent",
  "capture_missing",
  "job_missing",
  "job_failing"
])

const alerts = ofOutbox("alerts", ({ alertsOpen }) =>
  verdictOf(
    alertsOpen
      .filter(({ kind }) => !seenElsewhere.has(kind))
      .map(({ detail, kind, since }) => ({
        detail: `${kind} since ${since}: ${detail}`,
        cure: `Look up ${kind} in the runbook of pause-status-webhook-handler.`
      })),
    "no other alert is open"
  )
)

/** A table that grows, and SQL for whether it has rows that should be gone by now. */
interface Growth {
  readonly relation: string
  readonly bytes: number
  readonly overdue: boolean
}

const mostWaiting = 10_000
// A day longer, because retention deletes a batch only every ten minutes.
const kept = "(select make_interval(days => s.retention_days + 1) from outbox.settings s)"

const growing = [
  {
    relation: "outbox.events",
    overdue: `select exists (
      select from outbox.events q
      where q.status = 'completed' and q.completed_at < now() - ${kept}
        and not coalesce(q.receipt -> 'notified' = '0' and not q.receipt ? 'acknowledged', false)
    ) as overdue`
  },
  {
    relation: "outbox.attempts",
    overdue: `select exists (
      select from outbox.attempts a
      where a.ended_at < now() - ${kept}
        and not exists (select from outbox.events q where q.event_id = a.event_id and q.status <> 'completed')
    ) as overdue`
  },
  {
    relation: "cron.job_run_details",
    overdue: `select exists (
      select from cron.job_run_details r
      where r.end_time < now() - interval '8 days' and exists (
        select from cron.job j where j.jobname like 'outbox-%' and (j.jobid = r.jobid or j.command = r.command)
      )
    ) as overdue`
  },
  {
    relation: "net.http_request_queue",
    overdue: `select count(*) > ${mostWaiting} as overdue from (
      select from net.http_request_queue limit ${mostWaiting + 1}
    ) q`
  }
]

const inMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)}\u00A0MB`

/** Whether the tables that grow are kept small. */
const judgeGrowth = (tables: ReadonlyArray<Growth>): Verdict =>
  verdictOf(
    tables
      .filter(({ overdue }) => overdue)
      .map(({ relation }) =>
        relation.startsWith("net.")
          ? {
              detail: `More than ${mostWaiting} requests wait in ${relation}.`,
              cure: "pg_net does not send them. Run: select net.worker_restart()"
            }
          : {
              detail: `${relation} has rows that the retention should have deleted.`,
              cure: "Run until it returns 0: select outbox.forget_settled(); then raise retention_batch_size."
            }
      ),
    tables.map(({ bytes, relation }) => `${relation} ${inMegabytes(bytes)}`).join(", ")
  )

const growth: Check = {
  name: "growth",
  check: Effect.gen(function* () {
    // An extension's table may be missing; another check reports that.
    const there = yield* rowsOf(
      Schema.Struct({ relation: Schema.String, bytes: Schema.Finite }),
      `select r.name as relation, pg_total_relation_size(to_regclass(r.name))::float8 as bytes
       from unnest(array['${growing.map(({ relation }) => relation).join("', '")}']) as r (name)
       where to_regclass(r.name) is not null`
    )
    if (Option.isNone(there)) return needsDatabase
    const tables = yield* Effect.forEach(there.value, ({ bytes, relation }) => {
      const { overdue = "select false as overdue" } = growing.find((table) => table.relation === relation) ?? {}
      return Effect.map(rowsOf(Schema.Struct({ overdue: Schema.Boolean }), overdue), (rows) => ({
        relation,
        bytes,
        overdue: Option.getOrElse(rows, () => []).some((row) => row.overdue)
      }))
    })
    return judgeGrowth(tables)
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

export const checks: ReadonlyArray<Check> = [
  ofOutbox("oldest pending", judgePending),
  ofOutbox("dead letters", judgeDeadLetters),
  alerts,
  growth
]
