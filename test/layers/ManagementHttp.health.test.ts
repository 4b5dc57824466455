import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { EventStore, EventStoreUnavailable } from "../../src/services/EventStore.ts"
import { observe, openContract } from "../support/contract.ts"
import { managementWorld } from "./managementWorld.ts"

const unavailable = Effect.fail(new EventStoreUnavailable({ operation: "health", detail: "canary" }))
const away = Layer.effect(
  EventStore,
  Effect.map(EventStore, (inner) => EventStore.of({ ...inner, health: () => unavailable }))
).pipe(Layer.provide(EventStoreMemory.make("pause-status", "order-created").layer))

describe("health", () => {
  const healthOf = async (world: ReturnType<typeof managementWorld>) => {
    const response = await world.ask("GET", "/health")
    const contract = await openContract()
    assert.deepStrictEqual(contract.violations(await observe("GET", "/health", response.clone())), [])
    return { status: response.status, retryAfter: response.headers.get("retry-after"), body: await response.json() }
  }

  it("is ready when all is well", async () => {
    const { body, status } = await healthOf(managementWorld())
    assert.strictEqual(status, 200)
    assert.strictEqual(body.status, "ready")
    assert.isTrue(body.live)
  })

  const ill = (overrides: object, parts: Parameters<typeof managementWorld>[0] = {}) => {
    const memory = EventStoreMemory.make("pause-status", "order-created")
    const store = Layer.effect(
      EventStore,
      Effect.map(EventStore, (inner) =>
        EventStore.of({ ...inner, health: () => Effect.map(inner.health(), (health) => ({ ...health, ...overrides })) })
      )
    ).pipe(Layer.provide(memory.layer))
    return managementWorld({ ...parts, store })
  }
  const illTopics = (overrides: object) =>
    ill({
      topics: [
        { topic: "pause-status", attached: true, enabled: true },
        { topic: "order-created", attached: true, enabled: true, ...overrides }
      ]
    })
  const withMail = (enabled: boolean) =>
    ill(
      {
        topics: ["pause-status", "order-created", "notification-mail"].map((topic) => {
          return { topic, attached: true, enabled: enabled || topic !== "notification-mail" }
        })
      },
      { settings: { ok: false, detail: "mails wait for MAIL_FROM: set it" } }
    )
  const down = { ok: false, detail: "the orchestrator cannot be reached" }

  it.each([
    [
      "the database is away",
      () => managementWorld({ store: away }),
      ["capture", "database", "jobs", "oldestUnnotified", "secrets"]
    ],
    ["the orchestrator is away", () => managementWorld({ orchestrator: down }), ["orchestrator"]],
    ["the handler has no secret", () => managementWorld({ secrets: down }), ["secrets"]],
    ["Vault has no secret", () => ill({ vault: { functionUrl: true, webhookSecret: false } }), ["secrets"]],
    ["Vault has no URL", () => ill({ vault: { functionUrl: false, webhookSecret: true } }), ["secrets"]],
    ["mails are on and a setting for them is missing", () => withMail(true), ["secrets"]],
    ["an event has been waiting for too long", () => ill({ oldestUnnotifiedSeconds: 300 }), ["oldestUnnotified"]],
    ["a trigger is disabled", () => illTopics({ enabled: false, problem: "enable the trigger" }), ["capture"]],
    ["a topic is not declared", () => ill({ topics: [] }), ["capture"]],
    [
      "a job is gone and another one fails",
      () =>
        ill({
          jobs: [
            { name: "direct", scheduled: true, lastRunAt: null },
            { name: "sweep", scheduled: false, lastRunAt: null, problem: "it is not scheduled" },
            { name: "watch", scheduled: true, lastRunAt: null, problem: "it met an error" }
          ]
        }),
      ["jobs"]
    ]
  ])("is not ready when %s, and says so", async (_, world, failed) => {
    const { body, retryAfter, status } = await healthOf(world())
    assert.strictEqual(status, 503)
    assert.strictEqual(retryAfter, "5")
    assert.strictEqual(body.status, "not_ready")
    const names = Object.keys(body.checks).filter((name) => !body.checks[name].ok)
    assert.deepStrictEqual(names.toSorted(), failed)
    assert.isTrue(names.every((name) => body.checks[name].detail.length > 10))
  })

  it("is ready again once what waited was notified, although the alert stays open for some seconds", async () => {
    const seen = "2026-11-22T09:30:00.000000Z"
    const alert = { kind: "oldest_unnotified", since: seen, lastSeenAt: seen, value: 301, threshold: 300, detail: "" }
    const { status } = await healthOf(ill({ oldestUnnotifiedSeconds: 0, alertsOpen: [alert] }))
    assert.strictEqual(status, 200)
  })

  it("is ready if mails are off and have no settings", async () => {
    assert.strictEqual((await healthOf(withMail(false))).status, 200)
  })

  it("is ready if nothing is captured because stock webhooks report the changes", async () => {
    const { status } = await healthOf(illTopics({ enabled: false }))
    assert.strictEqual(status, 200)
  })
})
