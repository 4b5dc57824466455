import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Check, HealthReport, QueueFigures } from "../schema/Health.ts"
import { EventStore, type EventStoreHealth } from "./EventStore.ts"
import { type ManagedTopic, ManagedTopics } from "./ManagedTopics.ts"
import { Surroundings } from "./Surroundings.ts"

const well: Check = { ok: true }
const ill = (detail: string): Check => ({ ok: false, detail })

const vaultCheck = ({ vault }: EventStoreHealth): Check => {
  if (!vault.webhookSecret)
    return ill("Vault has no outbox_webhook_secret that can sign: set it to what WEBHOOK_SECRETS holds")
  return vault.functionUrl
    ? well
    : ill("Vault has no outbox_function_url that is a URL: set it to where deliveries are posted")
}

// Not from the alerts, because the job that opens them may have stopped.
const oldestCheck = ({ oldestUnnotifiedSeconds, oldestUnnotifiedThreshold }: EventStoreHealth): Check =>
  oldestUnnotifiedSeconds < oldestUnnotifiedThreshold
    ? well
    : ill(`an event has been waiting for ${oldestUnnotifiedSeconds} s; the alert is at ${oldestUnnotifiedThreshold} s`)

const wellWithout = (problems: ReadonlyArray<string>): Check =>
  problems.length === 0 ? well : ill(problems.join("; "))

const captureCheck = ({ topics }: EventStoreHealth, served: ReadonlyArray<ManagedTopic>): Check =>
  wellWithout([
    ...served.flatMap(({ isOptional, name }) =>
      isOptional === true || topics.some(({ topic }) => topic === name)
        ? []
        : `${name}: not declared; call outbox.watch`
    ),
    ...topics.flatMap(({ problem, topic }) => (problem === undefined ? [] : `${topic}: ${problem}`))
  ])

const settingsCheck = ({ topics }: EventStoreHealth, settings: Readonly<Record<string, Check>>): Check =>
  wellWithout(
    topics.flatMap(({ enabled, topic }) => {
      const { detail } = settings[topic] ?? well
      return enabled && detail !== undefined ? [`${topic}: ${detail}`] : []
    })
  )

const secretsCheck = (health: EventStoreHealth, settings: Readonly<Record<string, Check>>): Check => {
  const vault = vaultCheck(health)
  return vault.ok ? settingsCheck(health, settings) : vault
}

const jobsCheck = ({ jobs }: EventStoreHealth): Check => wellWithout(jobs.flatMap(({ problem }) => problem ?? []))

const figuresOf = (health: EventStoreHealth): QueueFigures => {
  const { vault: _, ...figures } = health
  return figures
}

/**
 * Whether a change would be handled now: the database and the orchestrator answer, all ends have their secrets, nothing
 * waits for too long, the changes of each topic are captured, and the scheduled jobs run. Never fails; a database that is away is one of
 * its answers.
 */
export const checkHealth = Effect.fn("checkHealth")(function* () {
  const store = yield* EventStore
  const topics = yield* ManagedTopics
  const { orchestrator, secrets, topics: settings = {} } = yield* Surroundings
  const [stored, reachable] = yield* Effect.all([Effect.result(store.health()), orchestrator], {
    concurrency: "unbounded"
  })
  const known = Result.isSuccess(stored) ? stored.success : undefined
  const unknown = ill("unknown while the database is away")
  const checks = {
    database: known === undefined ? ill("the database does not answer") : well,
    orchestrator: reachable,
    secrets: !secrets.ok ? secrets : known === undefined ? unknown : secretsCheck(known, settings),
    oldestUnnotified: known === undefined ? unknown : oldestCheck(known),
    capture: known === undefined ? unknown : captureCheck(known, topics),
    jobs: known === undefined ? unknown : jobsCheck(known)
  }
  const ready = Object.values(checks).every(({ ok }) => ok)
  const report: HealthReport = {
    status: ready ? "ready" : "not_ready",
    live: true,
    checks,
    queue: known === undefined ? null : figuresOf(known)
  }
  return report
})
