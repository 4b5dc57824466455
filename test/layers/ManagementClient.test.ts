import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { ManagementClient, type ClientOptions, problemOf } from "../../src/layers/ManagementClient.ts"
import type { EventHistory } from "../../src/schema/Events.ts"
import { eventId, mentorId } from "../support/payloads.ts"
import { legacyKey, managementWorld, secretKey, user } from "./managementWorld.ts"

const topic = "pause-status"

const dead: EventHistory = {
  eventId,
  topic,
  key: mentorId,
  version: 7,
  type: "UPDATE",
  record: { id: mentorId, status: "paused" },
  oldRecord: { id: mentorId, status: "active" },
  occurredAt: "2026-11-22T09:30:00.123456Z",
  source: "outbox",
  status: "failed",
  attemptCount: 3,
  failures: 3,
  createdAt: "2026-11-22T09:30:00.124001Z",
  completedAt: null,
  nextAttemptAt: null,
  lastError: "The orchestrator refused the event with status 400",
  receipt: null,
  reachedNobody: false,
  attempts: [],
  deadLetter: null
}

const bearer = (headers: Readonly<Record<string, string>>) => Redacted.make((headers["authorization"] ?? "").slice(7))

/** A client of the management routes, which are in memory. */
const clientOf = (
  { handler }: ReturnType<typeof managementWorld>,
  options: Omit<ClientOptions, "url"> = { apikey: Redacted.make(secretKey["apikey"] ?? "") }
) =>
  ManagementClient.layer({ url: "http://localhost/pause-status-webhook-handler", ...options }).pipe(
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(
      Layer.succeed(FetchHttpClient.Fetch, (url: string | URL | Request, init?: RequestInit) =>
        handler(new Request(url, init))
      )
    )
  )

describe("ManagementClient", () => {
  it.live("lists, looks at, redrives and erases events, typed by the contract", () =>
    Effect.gen(function* () {
      const world = managementWorld()
      world.state.events.set(eventId, dead)
      yield* Effect.gen(function* () {
        const client = yield* ManagementClient
        const { events, nextCursor } = yield* client.listEvents({ params: { topic }, query: { status: "failed" } })
        assert.deepStrictEqual(
          events.map((event) => [event.eventId, event.key]),
          [[eventId, mentorId]]
        )
        assert.isNull(nextCursor)
        assert.strictEqual((yield* client.getEvent({ params: { topic, eventId } })).attemptCount, 3)
        const changed = yield* client.changeEvent({ params: { topic, eventId }, payload: { status: "pending" } })
        assert.strictEqual(changed.outcome, "redriven")
        yield* client.changeEvent({ params: { topic, eventId }, payload: { status: "resolved" } })
        yield* client.eraseEvent({ params: { topic, eventId } })
      }).pipe(Effect.provide(clientOf(world)))
      assert.isFalse(world.state.events.has(eventId))
    })
  )

  it.live("fails with the problem that was answered", () =>
    Effect.gen(function* () {
      const client = yield* ManagementClient
      const unknown = problemOf(yield* Effect.flip(client.getEvent({ params: { topic, eventId } })))
      assert.deepInclude(Option.getOrThrow(unknown), { status: 404, code: "not_found", eventId })
    }).pipe(Effect.provide(clientOf(managementWorld())))
  )

  it.live("has no problem if there was no answer", () =>
    Effect.gen(function* () {
      const gone = Layer.provide(
        ManagementClient.layer({ url: "http://localhost" }),
        Layer.provide(
          FetchHttpClient.layer,
          Layer.succeed(FetchHttpClient.Fetch, () => Promise.reject(new TypeError("fetch failed")))
        )
      )
      const error = yield* ManagementClient.use((client) => client.getHealth()).pipe(Effect.flip, Effect.provide(gone))
      assert.isTrue(Option.isNone(problemOf(error)))
    })
  )

  it.live("sends a user's token next to the publishable key", () =>
    Effect.gen(function* () {
      const world = managementWorld()
      const admin = clientOf(world, {
        apikey: Redacted.make("sb_publishable_1"),
        token: bearer(user("5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60", "admin"))
      })
      const ready = ManagementClient.use((client) => client.getHealth())
      assert.strictEqual((yield* Effect.provide(ready, admin)).status, "ready")
      const legacy = clientOf(world, { token: bearer(legacyKey) })
      assert.strictEqual((yield* Effect.provide(ready, legacy)).status, "ready")
      const refused = problemOf(yield* Effect.flip(Effect.provide(ready, clientOf(world, {}))))
      assert.deepInclude(Option.getOrThrow(refused), { status: 401, code: "unauthorized" })
    })
  )
})
