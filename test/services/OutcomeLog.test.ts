import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import { DedupeStore } from "../../src/services/DedupeStore.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { SignatureRejected, SignatureStale, SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import { claimOne, heldOrchestrator, logLines, orchestratorOf, verifierThatTrusts } from "../support/layers.ts"
import {
  bytesOf,
  dashboardUpdate,
  entryOf,
  eventId,
  fixture,
  mentorId,
  newPause,
  outboxPause,
  pauseEvent
} from "../support/payloads.ts"

const deliver = (body: Uint8Array) => handleWebhookEvent({ header: () => undefined, body })
const pause = deliver(bytesOf(outboxPause))
const topic = "pause-status"
const about = { topic, key: mentorId, eventId, transition: "PAUSE", durationMs: 0 }

const world = (...behaviours: ReadonlyArray<OrchestratorClientMemory.Behaviour>) =>
  Layer.mergeAll(
    verifierThatTrusts({ scheme: "standard-webhooks", webhookId: eventId }),
    DedupeStoreMemory.make().layer,
    OrchestratorClientMemory.make(...behaviours).layer,
    Logging.json
  )

/** The lines that deliveries, one after the other, write. */
const linesOf = (layer: ReturnType<typeof world>, ...deliveries: ReadonlyArray<typeof pause>) =>
  Effect.forEach(deliveries, (delivery) => Effect.exit(delivery)).pipe(Effect.andThen(logLines), Effect.provide(layer))

describe("the log line of a delivery", () => {
  it.effect("says who was notified of what", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* linesOf(world(), pause), [
        { level: "INFO", message: { outcome: "notified", ...about } }
      ])
    })
  )

  it.effect("is a separate warning if there was nobody to notify", () =>
    Effect.gen(function* () {
      const toNobody = orchestratorOf(() => Effect.succeed({ notified: 0, notificationIds: [] }))
      assert.deepStrictEqual<unknown>(yield* linesOf(Layer.merge(world(), toNobody), pause), [
        { level: "WARN", message: { outcome: "no_recipients", ...about } }
      ])
    })
  )

  it.effect.each([{}, { notified: null }, { notified: "0" }, { notified: [] }, { accepted: 0 }])(
    "believes an orchestrator that does not count whom it notified: %j",
    (receipt) =>
      Effect.gen(function* () {
        const another = orchestratorOf(() => Effect.succeed(receipt))
        assert.deepStrictEqual<unknown>(yield* linesOf(Layer.merge(world(), another), pause), [
          { level: "INFO", message: { outcome: "notified", ...about } }
        ])
      })
  )

  it.effect("of an unknown event is a warning that names it", () =>
    Effect.gen(function* () {
      const empty = DedupeStoreMemory.make({ outbox: new Set() }).layer
      const [line, ...others] = yield* linesOf(Layer.merge(world(), empty), pause)
      assert.isEmpty(others)
      assert.deepInclude<unknown>(line, { level: "WARN" })
      assert.deepInclude(line?.message, { outcome: "EventNotInOutbox", ...about })
    })
  )

  it.effect("of a stale signature says how far apart the clocks are", () =>
    Effect.gen(function* () {
      const held = Layer.succeed(SignatureVerifier, { verify: () => new SignatureStale({ skewSeconds: 412 }) })
      const [line] = yield* linesOf(Layer.merge(world(), held), pause)
      assert.strictEqual(line?.level, "WARN")
      assert.deepInclude(line?.message, { outcome: "SignatureStale", skewSeconds: 412 })
    })
  )

  it.effect("says how long it took, on the program's clock", () =>
    Effect.gen(function* () {
      const slow = orchestratorOf(() => Effect.as(Effect.sleep(1_234), {}))
      const fiber = yield* Effect.forkChild(Effect.provide(pause, slow))
      yield* TestClock.adjust(1_234)
      yield* Fiber.join(fiber)
      const [line] = yield* logLines
      assert.deepStrictEqual<unknown>(line?.message, { outcome: "notified", ...about, durationMs: 1_234 })
    }).pipe(Effect.provide(world()))
  )

  it.effect.each([
    { name: "unchanged", body: bytesOf(dashboardUpdate("paused", "paused")), level: "INFO" },
    { name: "inserted", body: fixture("dashboard-insert.json"), level: "INFO" },
    { name: "unrecognised", body: bytesOf(dashboardUpdate("active", "retired")), level: "WARN" }
  ])("of no change gives its reason: $name at $level", ({ body, level, name }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* linesOf(world(), deliver(body)), [
        { level, message: { outcome: "no_change", topic, key: mentorId, reason: name, durationMs: 0 } }
      ])
    })
  )

  it.effect.each([
    { of: "a notification", payload: outboxPause },
    { of: "no change", payload: dashboardUpdate("active", "active") },
    { of: "a batch", payload: [outboxPause, newPause()] },
    { of: "an error", payload: {} }
  ])("of $of says which older secret signed it", ({ payload }) =>
    Effect.gen(function* () {
      const older = verifierThatTrusts({ scheme: "standard-webhooks", webhookId: eventId, olderSecret: 2 })
      const [line] = yield* linesOf(Layer.merge(world(), older), deliver(bytesOf(payload)))
      assert.strictEqual(line?.message["olderSecret"], 2)
      const [, newest] = yield* linesOf(world(), deliver(bytesOf(payload)))
      assert.isFalse("olderSecret" in (newest?.message ?? {}))
    })
  )

  it.effect.each([{ skewSeconds: -301 }, { skewSeconds: 0 }, {}])(
    "of a refusal says how far apart the clocks are, if known: %j",
    (skew) =>
      Effect.gen(function* () {
        const refusing = Layer.succeed(SignatureVerifier, {
          verify: () => Effect.fail(new SignatureRejected({ reason: "mismatch", ...skew }))
        })
        const [line] = yield* linesOf(Layer.merge(world(), refusing), pause)
        assert.deepStrictEqual<unknown>(line, {
          level: "WARN",
          message: {
            outcome: "SignatureRejected",
            topic,
            ...skew,
            durationMs: 0,
            detail: "No configured secret made this signature"
          }
        })
      })
  )

  it.effect("of a duplicate is not a warning", () =>
    Effect.gen(function* () {
      const [, line] = yield* linesOf(world(), pause, pause)
      assert.strictEqual(line?.level, "INFO")
      assert.deepInclude(line?.message, { outcome: "AlreadyProcessed", ...about })
    })
  )

  it.effect.each([
    { behaviour: "refuse", outcome: "OrchestratorRefused", detail: /400/ },
    { behaviour: "fail", outcome: "OrchestratorUnavailable", detail: /connection/ }
  ] as const)("of a failure names it and says what happened: $outcome", ({ behaviour, detail, outcome }) =>
    Effect.gen(function* () {
      const lines = yield* linesOf(world(behaviour), pause)
      assert.lengthOf(lines, 1)
      assert.strictEqual(lines[0]?.level, "WARN")
      assert.deepInclude(lines[0]?.message, { outcome, ...about })
      assert.match(String(lines[0]?.message["detail"]), detail)
    })
  )

  it.effect("of a rejected payload lists the paths", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(
        world(),
        deliver(fixture("everything-wrong.json")),
        deliver(fixture("truncated.json"))
      )
      assert.deepStrictEqual(
        lines.map(({ message }) => message["outcome"]),
        ["InvalidPayload", "MalformedBody"]
      )
      for (const path of ["record.id: ", "record.status: ", "old_record.status: ", "table: "]) {
        assert.include(String(lines[0]?.message["detail"]), path)
      }
      assert.notProperty(lines[0]?.message, "key")
    })
  )

  it.effect("of a defect is an error with its cause", () =>
    Effect.gen(function* () {
      const broken = orchestratorOf(() => Effect.die(new Error("a bug of ours")))
      const lines = yield* linesOf(world(), Effect.provide(pause, broken))
      assert.deepStrictEqual<unknown>(lines, [{ level: "ERROR", message: { outcome: "defect", ...about } }])
    })
  )

  it.effect("says that the event was notified even if its caller hung up meanwhile", () =>
    Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const fiber = yield* Effect.forkChild(Effect.provide(pause, held.layer))
      yield* held.called
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* held.answer
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual<unknown>(yield* logLines, [{ level: "INFO", message: { outcome: "notified", ...about } }])
    }).pipe(Effect.provide(world()))
  )

  it.effect("is followed by another one if a late finisher settled nothing", () =>
    Effect.gen(function* () {
      const store = yield* DedupeStore
      const overtaking = orchestratorOf((event) =>
        TestClock.adjust("30 seconds").pipe(
          Effect.andThen(claimOne(entryOf(event))),
          Effect.orDie,
          Effect.as({}),
          Effect.provideService(DedupeStore, store)
        )
      )
      yield* Effect.provide(pause, overtaking)
      const [stale, notified] = yield* logLines
      assert.deepInclude(stale, {
        level: "WARN",
        message: { outcome: "settled_nothing", events: 1, eventIds: [eventId] }
      })
      assert.strictEqual(notified?.message["outcome"], "notified")
      assert.strictEqual((yield* Effect.flip(claimOne(entryOf(pauseEvent))))._tag, "EventInFlight")
    }).pipe(Effect.provide(world()))
  )
})

describe("the log line of a batch", () => {
  const unchanged = dashboardUpdate("paused", "paused")

  it.effect("is one, and counts how its payloads ended", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual<unknown>(yield* linesOf(world(), deliver(bytesOf([newPause(), unchanged, newPause()]))), [
        {
          level: "INFO",
          message: { outcome: "batch", topic, events: 3, notified: 2, noRecipients: 0, noChange: 1, durationMs: 0 }
        }
      ])
    })
  )

  it.effect("is a warning if there was nobody to notify, and counts those events separately", () =>
    Effect.gen(function* () {
      const [lonely, other] = [newPause(), newPause()]
      const answers = orchestratorOf(({ eventId }) => Effect.succeed({ notified: eventId === lonely.event_id ? 0 : 2 }))
      const lines = yield* linesOf(Layer.merge(world(), answers), deliver(bytesOf([lonely, unchanged, other])))
      assert.deepStrictEqual<unknown>(lines, [
        {
          level: "WARN",
          message: { outcome: "batch", topic, events: 3, notified: 1, noRecipients: 1, noChange: 1, durationMs: 0 }
        }
      ])
    })
  )

  it.effect("is a warning that counts its failures by kind", () =>
    Effect.gen(function* () {
      const [refused, wrong] = [newPause(), { ...newPause(), table: "another" }]
      const lines = yield* linesOf(world("refuse"), deliver(bytesOf([refused, wrong, "nonsense", newPause()])))
      assert.lengthOf(lines, 1)
      const { failures, ...counts } = lines[0]?.message ?? {}
      assert.strictEqual(lines[0]?.level, "WARN")
      assert.deepStrictEqual<unknown>(counts, {
        outcome: "batch",
        topic,
        events: 4,
        notified: 1,
        noRecipients: 0,
        noChange: 0,
        failed: 3,
        durationMs: 0
      })
      const [first, second, third] = Array.isArray(failures) ? failures : []
      assert.deepStrictEqual<unknown>(first, {
        eventId: refused.event_id,
        outcome: "OrchestratorRefused",
        detail: "The orchestrator refused the event with status 400"
      })
      assert.deepInclude(second, { eventId: wrong.event_id, outcome: "InvalidPayload" })
      assert.match(second.detail, /^table: /)
      assert.strictEqual(third.outcome, "InvalidPayload")
      assert.notProperty(third, "eventId")
    })
  )

  it.effect("of duplicates is not a warning", () =>
    Effect.gen(function* () {
      const delivery = deliver(bytesOf([newPause(), newPause()]))
      const [, line] = yield* linesOf(world(), delivery, delivery)
      assert.strictEqual(line?.level, "INFO")
      assert.deepInclude(line?.message, { outcome: "batch", events: 2, notified: 0, failed: 2 })
    })
  )

  it.effect("is one even for 200 failures, with the first ten of them", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(world(), deliver(bytesOf(Array.from({ length: 200 }, (_, index) => index))))
      assert.lengthOf(lines, 1)
      assert.deepInclude(lines[0]?.message, { events: 200, failed: 200 })
      assert.lengthOf(Object(lines[0]?.message["failures"]), 10)
    })
  )

  it.effect("of a batch that is refused as a whole is the error's", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(world(), deliver(bytesOf([])))
      assert.deepStrictEqual(
        lines.map(({ message }) => message["outcome"]),
        ["InvalidPayload"]
      )
    })
  )
})
