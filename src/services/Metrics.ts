import type { EventStoreHealth } from "./EventStore.ts"
import type { TopicFigures } from "../schema/Health.ts"

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number]

const escape = (value: string): string =>
  value
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", String.raw`\n`)

const toLine = (name: string, [labels, value]: Sample): string => {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escape(text)}"`)
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`
}

const gauge = (name: string, help: string, samples: ReadonlyArray<Sample>): ReadonlyArray<string> => [
  `# HELP outbox_${name} ${help}`,
  `# TYPE outbox_${name} gauge`,
  ...samples.map((sample) => toLine(`outbox_${name}`, sample))
]

const one = (value: number): ReadonlyArray<Sample> => [[{}, value]]
const unless = (problem: string | undefined): number => (problem === undefined ? 1 : 0)

const quantilesOf = ({ p50, p95, p99, topic }: TopicFigures): ReadonlyArray<Sample> =>
  Object.entries({ "0.5": p50, "0.95": p95, "0.99": p99 }).flatMap(([quantile, seconds]) =>
    seconds === null ? [] : [[{ topic, quantile }, seconds] as const]
  )

const secondsOf = (time: string): number => Date.parse(time) / 1000

/**
 * The outbox's figures in Prometheus' text format. Gauges only: retention deletes events, so no count of them only grows.
 * No label names a key or an event.
 *
 * **Units** seconds and percent, as the names say.
 */
export const toPrometheus = (health: EventStoreHealth, figures: ReadonlyArray<TopicFigures>): string =>
  [
    ...gauge("events", "Events that are not completed, up to 10000 of each status.", [
      [{ status: "pending" }, health.pending],
      [{ status: "processing" }, health.processing],
      [{ status: "failed" }, health.failed]
    ]),
    ...gauge("oldest_unnotified_seconds", "Age of the oldest unsettled event.", one(health.oldestUnnotifiedSeconds)),
    ...gauge("dead_letters_open", "Dead letters that wait for a person.", one(health.deadLettersOpen)),
    ...gauge("without_recipients", "Completed events that reached nobody.", one(health.withoutRecipients)),
    ...gauge("failure_rate_percent", "Failed attempts of the last 15 minutes.", one(health.failureRatePercent)),
    ...gauge("expired_leases", "Claims that ran out and were not taken back.", one(health.expiredLeases)),
    ...gauge(
      "completed_last_15_min",
      "Events completed in the last 15 minutes, up to 10000.",
      figures.map(({ completed, topic }) => [{ topic }, completed])
    ),
    ...gauge(
      "latency_seconds",
      "From the change to the settlement, in the last 15 minutes.",
      figures.flatMap(quantilesOf)
    ),
    ...gauge(
      "alert_open",
      "1 for each open alert.",
      health.alertsOpen.map(({ kind }) => [{ kind }, 1])
    ),
    ...gauge(
      "topic_captured",
      "Whether the changes of a topic are captured.",
      health.topics.map(({ problem, topic }) => [{ topic }, unless(problem)])
    ),
    ...gauge(
      "job_healthy",
      "Whether a scheduled job runs without an error.",
      health.jobs.map(({ name, problem }) => [{ job: name }, unless(problem)])
    ),
    ...gauge(
      "job_last_run_timestamp_seconds",
      "When a scheduled job last ran to its end.",
      health.jobs.flatMap(({ lastRunAt, name }) =>
        lastRunAt === null ? [] : [[{ job: name }, secondsOf(lastRunAt)] as const]
      )
    ),
    ""
  ].join("\n")
