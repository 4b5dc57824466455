import { assert, describe, it } from "@effect/vitest"
import type { EventStoreHealth } from "../../src/services/EventStore.ts"
import { toPrometheus } from "../../src/services/Metrics.ts"

const seen = "2026-11-22T09:30:00.000000Z"
const health: EventStoreHealth = {
  oldestUnnotifiedSeconds: 12,
  oldestUnnotifiedThreshold: 300,
  pending: 3,
  processing: 2,
  failed: 1,
  deadLettersOpen: 1,
  withoutRecipients: 4,
  failureRatePercent: 12.5,
  expiredLeases: 0,
  lastSweepAt: seen,
  alertsOpen: [
    { kind: "dead_letters", since: seen, lastSeenAt: seen, value: 1, threshold: 1, detail: "mentor 42 of example" }
  ],
  topics: [
    { topic: "pause-status", attached: true, enabled: true },
    { topic: 'odd "\\\n', attached: true, enabled: false, problem: "enable the trigger" }
  ],
  jobs: [
    { name: "sweep", scheduled: true, lastRunAt: seen },
    { name: "watch", scheduled: false, lastRunAt: null, problem: "it is not scheduled" }
  ],
  vault: { functionUrl: true, webhookSecret: true }
}

const text = toPrometheus(health, [{ topic: "pause-status", completed: 7, p50: 0.012, p95: 0.5, p99: null }])
const lines = text.split("\n")

describe("metrics", () => {
  it("are lines of Prometheus' text format, each metric with its help and its type", () => {
    assert.isTrue(text.endsWith("\n"))
    for (const line of lines.slice(0, -1)) {
      assert.match(
        line,
        /^# (?:HELP \w+ .+\.|TYPE \w+ gauge)$|^\w+(?:\{\w+="(?:[^"\\\n]|\\.)*"(?:,\w+="(?:[^"\\\n]|\\.)*")*\})? [\d.]+$/
      )
    }
    const names = new Set(lines.flatMap((line) => /^outbox_\w+/.exec(line)?.[0] ?? []))
    for (const name of names) assert.include(lines, `# TYPE ${name} gauge`)
    assert.strictEqual(names.size, 12)
  })

  it.each([
    'outbox_events{status="pending"} 3',
    'outbox_events{status="processing"} 2',
    'outbox_events{status="failed"} 1',
    "outbox_oldest_unnotified_seconds 12",
    "outbox_dead_letters_open 1",
    "outbox_without_recipients 4",
    "outbox_failure_rate_percent 12.5",
    "outbox_expired_leases 0",
    'outbox_completed_last_15_min{topic="pause-status"} 7',
    'outbox_latency_seconds{topic="pause-status",quantile="0.5"} 0.012',
    'outbox_latency_seconds{topic="pause-status",quantile="0.95"} 0.5',
    'outbox_alert_open{kind="dead_letters"} 1',
    'outbox_topic_captured{topic="pause-status"} 1',
    String.raw`outbox_topic_captured{topic="odd \"\\\n"} 0`,
    'outbox_job_healthy{job="sweep"} 1',
    'outbox_job_healthy{job="watch"} 0',
    'outbox_job_last_run_timestamp_seconds{job="sweep"} 1795339800'
  ])("say %s", (line) => {
    assert.include(lines, line)
  })

  it("omit what is unknown, and all details", () => {
    assert.notInclude(text, "0.99")
    assert.notInclude(text, 'timestamp_seconds{job="watch"}')
    assert.notInclude(text, "mentor 42")
  })
})
