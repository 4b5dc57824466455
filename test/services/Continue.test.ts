import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as OrchestratorClientMemory from "../../src/layers/OrchestratorClientMemory.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import { ContinueMillis } from "../../src/services/Continue.ts"
import { DedupeStore, DedupeStoreUnavailable } from "../../src/services/DedupeStore.ts"
import { OrchestratorClient } from "../../src/topics/OrchestratorClient.ts"
import { handleWebhookEvent } from "../../src/topics/PauseStatus.ts"
import { heldOrchestrator, logLines, throughTime, verifierThatTrusts } from "../support/layers.ts"
import { bytesOf, changes, entriesOf, newEvent } from "../support/payloads.ts"

const payloadOf = ({ eventId, mentorId, newStatus, occurredAt, oldStatus, version }: PauseEvent) => ({
  type: "UPDATE",
  table: "peer_mentor_profiles",
  schema: "public",
  event_id: eventId,
  version,
  timestamp: occurredAt,
  record: { id: mentorId, status: newStatus },
  old_record: { status: oldStatus }
})

/** A delivery of the first event of each mentor. */
const deliver = (...lines: ReadonlyArray<ReadonlyArray<PauseEvent>>) => {
  const payloads = lines.flatMap((events) => events.slice(0, 1)).map(payloadOf)
  return handleWebhookEvent({
    header: () => undefined,
    body: bytesOf(payloads.length === 1 ? payloads[0] : payloads)
  })
}

/** Handles deliveries whose further events wait in the outbox; remembers what each settlement took. */
const world = (
  lines: ReadonlyArray<ReadonlyArray<PauseEvent>>,
  { behaviours = [] }: { readonly behaviours?: ReadonlyArray<OrchestratorClientMemory.Behaviour> } = {}
) => {
  const store = DedupeStoreMemory.make({ outbox: new Set(entriesOf(lines.flat())) })
  const orchestrator = OrchestratorClientMemory.make(...behaviours)
  const takes: Array<number> = []
  const counting = Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (inner) => ({
      ...inner,
      settle: (settlements, options) =>
        Effect.andThen(
          Effect.sync(() => takes.push(options.take)),
          inner.settle(settlements, options)
        )
    }))
  ).pipe(Layer.provide(store.layer))
  const layer = Layer.mergeAll(verifierThatTrusts({ scheme: "static" }), counting, orchestrator.layer, Logging.json)
  const statesOf = (events: ReadonlyArray<PauseEvent>) =>
    events.map(({ eventId }) => store.state.get(eventId)?.state._tag)
  const isNothingHeld = () => [...store.state.values()].every(({ state }) => state._tag !== "Processing")
  return { layer, orchestrator, takes, statesOf, isNothingHeld }
}

/** The orchestrator above, after something else. */
const orchestratorAfter = (step: (call: number) => Effect.Effect<void>) => {
  let calls = 0
  return Layer.effect(
    OrchestratorClient,
    Effect.map(OrchestratorClient, (inner) => ({
      ...inner,
      notify: (events) =>
        Effect.andThen(
          Effect.suspend(() => step(++calls)),
          inner.notify(events)
        )
    }))
  )
}

/** The store above, some of whose settlements fail; `isDone` when it is only their answer that is lost. */
const storeThatFailsFrom = (first: number, last: number, { isDone }: { readonly isDone: boolean }) => {
  let settlements = 0
  const unavailable = new DedupeStoreUnavailable({ operation: "settle", detail: "no connection" })
  return Layer.effect(
    DedupeStore,
    Effect.map(DedupeStore, (inner) => ({
      ...inner,
      settle: (given, options) =>
        Effect.suspend(() => {
          settlements += 1
          if (settlements < first || settlements > last) return inner.settle(given, options)
          return isDone ? Effect.andThen(inner.settle(given, options), unavailable) : unavailable
        })
    }))
  )
}

const versionsOf = (events: ReadonlyArray<PauseEvent>) => events.map(({ version }) => version)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe("a delivery, once its own events are settled,", () => {
  it.effect("continues with the mentor's next events, in order, and answers for its own", () => {
    const events = changes(20)
    const { layer, orchestrator, statesOf, takes } = world([events])
    return Effect.gen(function* () {
      const handled = yield* deliver(events)
      assert.strictEqual("event" in handled && handled.event.eventId, events[0]?.eventId)
      assert.deepStrictEqual(versionsOf(orchestrator.state.calls), upTo(20))
      assert.deepStrictEqual(
        statesOf(events),
        events.map(() => "Completed")
      )
      assert.deepStrictEqual(
        takes,
        upTo(20).map(() => 100)
      )
      const lines = yield* logLines
      assert.lengthOf(lines, 1)
      assert.strictEqual(lines[0]?.level, "INFO")
      assert.deepInclude(lines[0]?.message, { outcome: "notified", eventId: events[0]?.eventId, continued: 19 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("hands the next events of all its mentors to the orchestrator together", () => {
    const lines = [changes(3), changes(1), changes(3), changes(2)]
    const { layer, statesOf } = world(lines)
    const rounds: Array<number> = []
    return Effect.gen(function* () {
      const counting = Layer.effect(
        OrchestratorClient,
        Effect.map(OrchestratorClient, (inner) => ({
          ...inner,
          notify: (events) =>
            Effect.andThen(
              Effect.sync(() => rounds.push(events.length)),
              inner.notify(events)
            )
        }))
      )
      const handled = yield* Effect.provide(deliver(...lines), counting)
      assert.lengthOf(handled._tag === "Batch" ? handled.items : [], 4)
      assert.deepStrictEqual(rounds, [4, 3, 2])
      assert.isTrue(statesOf(lines.flat()).every((state) => state === "Completed"))
      const [line] = yield* logLines
      assert.deepInclude(line?.message, { outcome: "batch", events: 4, notified: 4, continued: 5 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("continues with what else is waiting, as much at once as the orchestrator takes", () => {
    const lines = Array.from({ length: 41 }, () => changes(1))
    const { layer, orchestrator } = world(lines)
    const rounds: Array<number> = []
    const narrow = Layer.effect(
      OrchestratorClient,
      Effect.map(OrchestratorClient, ({ notify }) => ({
        atOnce: 16,
        notify: (events) =>
          Effect.andThen(
            Effect.sync(() => rounds.push(events.length)),
            notify(events)
          )
      }))
    )
    return Effect.gen(function* () {
      yield* Effect.provide(deliver(...lines.slice(0, 1)), narrow)
      assert.deepStrictEqual(rounds, [1, 16, 16, 8])
      assert.lengthOf(orchestrator.state.calls, 41)
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes none when that is switched off", () => {
    const events = changes(3)
    const { layer, orchestrator, takes } = world([events])
    return Effect.gen(function* () {
      yield* deliver(events)
      assert.deepStrictEqual(takes, [0])
      assert.lengthOf(orchestrator.state.calls, 1)
      const [line] = yield* logLines
      assert.isFalse("continued" in (line?.message ?? {}))
    }).pipe(Effect.provideService(ContinueMillis, 0), Effect.provide(layer))
  })

  it.effect("takes no more when its time is over, and leaves none claimed", () => {
    const events = changes(9)
    const { isNothingHeld, layer, orchestrator, takes } = world([events])
    const slow = orchestratorAfter(() => Effect.sleep(400))
    return Effect.gen(function* () {
      yield* throughTime(Effect.provide(deliver(events), slow), 100)
      assert.deepStrictEqual(takes, [100, 100, 100, 0])
      assert.deepStrictEqual(versionsOf(orchestrator.state.calls), upTo(4))
      assert.isTrue(isNothingHeld())
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes no more after 40 rounds, however quick they are", () => {
    const events = changes(60)
    const { isNothingHeld, layer, orchestrator, takes } = world([events])
    return Effect.gen(function* () {
      yield* deliver(events)
      assert.lengthOf(orchestrator.state.calls, 41)
      assert.deepStrictEqual(takes, [...upTo(40).map(() => 100), 0])
      assert.isTrue(isNothingHeld())
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not stopped by a caller that hangs up", () => {
    const events = changes(3)
    const { layer, statesOf } = world([events])
    return Effect.gen(function* () {
      const held = yield* heldOrchestrator
      const fiber = yield* Effect.forkChild(Effect.provide(deliver(events), held.layer))
      yield* held.called
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      yield* held.answer
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(statesOf(events), ["Completed", "Completed", "Completed"])
    }).pipe(Effect.provide(layer))
  })
})

describe("a failure", () => {
  it.effect.each(["fail", "refuse"] as const)("of a delivery's own event takes nothing: %s", (behaviour) => {
    const lines = [changes(2), changes(2)]
    const { isNothingHeld, layer, takes } = world(lines, { behaviours: ["accept", behaviour] })
    return Effect.gen(function* () {
      yield* deliver(...lines)
      assert.deepStrictEqual(takes, [0])
      assert.isTrue(isNothingHeld())
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a further event ends with its round, does not change the reply, and is a warning", () => {
    const events = changes(5)
    const { isNothingHeld, layer, statesOf, takes } = world([events], { behaviours: ["accept", "accept", "fail"] })
    return Effect.gen(function* () {
      const handled = yield* deliver(events)
      assert.strictEqual("event" in handled && handled.event.eventId, events[0]?.eventId)
      assert.deepStrictEqual(takes, [100, 100, 0])
      assert.deepStrictEqual(statesOf(events), ["Completed", "Completed", "Pending", undefined, undefined])
      assert.isTrue(isNothingHeld())
      const lines = yield* logLines
      assert.lengthOf(lines, 1)
      assert.strictEqual(lines[0]?.level, "WARN")
      assert.deepInclude<unknown>(lines[0]?.message, {
        outcome: "notified",
        eventId: events[0]?.eventId,
        continued: 2,
        continuedFailed: 1,
        continuedFailures: [
          {
            eventId: events[2]?.eventId,
            outcome: "OrchestratorUnavailable",
            detail: "The orchestrator is unavailable: the connection failed"
          }
        ]
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("to settle further events does not change the reply, and is a warning that names them", () => {
    const events = changes(3)
    const { layer } = world([events])
    const away = storeThatFailsFrom(2, 4, { isDone: false })
    return Effect.gen(function* () {
      const handled = yield* throughTime(Effect.provide(deliver(events), away))
      assert.strictEqual("event" in handled && handled.event.eventId, events[0]?.eventId)
      const lines = yield* logLines
      assert.deepStrictEqual(
        lines.map(({ message }) => message["outcome"]),
        ["unsettled", "notified"]
      )
      assert.deepInclude(lines[1]?.message, { continued: 1, continuedFailed: 1 })
      assert.include(JSON.stringify(lines[1]?.message), events[1]?.eventId ?? "")
    }).pipe(Effect.provide(layer))
  })

  it.effect("of the answer takes nothing at the second try, because what the first took may be lost", () => {
    const events = changes(3)
    const { layer, orchestrator, takes } = world([events])
    return Effect.gen(function* () {
      const handled = yield* throughTime(Effect.provide(deliver(events), storeThatFailsFrom(1, 1, { isDone: true })))
      assert.strictEqual("event" in handled && handled.event.eventId, events[0]?.eventId)
      assert.deepStrictEqual(takes, [100, 0])
      assert.lengthOf(orchestrator.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of our code with a further event does not change the reply, and is an error in the log", () => {
    const events = changes(3)
    const { layer, statesOf } = world([events])
    const broken = orchestratorAfter((call) => (call === 2 ? Effect.die(new Error("a bug of ours")) : Effect.void))
    return Effect.gen(function* () {
      const handled = yield* Effect.provide(deliver(events), broken)
      assert.strictEqual("event" in handled && handled.event.eventId, events[0]?.eventId)
      assert.deepStrictEqual(statesOf(events), ["Completed", "Processing", undefined])
      const lines = yield* logLines
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message["outcome"], message["continued"]]),
        [
          ["ERROR", "defect", 1],
          ["INFO", "notified", undefined]
        ]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("whatever happens meanwhile,", () => {
  const Lines = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(5)
  )
  const Behaviours = Schema.Array(Schema.Literals(["accept", "accept", "fail", "refuse"])).check(Schema.isMaxLength(20))

  it.effect.prop(
    "a mentor's events are notified in order, none stays claimed, and none is notified twice",
    [Lines, Behaviours],
    ([counts, behaviours]) => {
      const lines = counts.map(changes)
      const { isNothingHeld, layer, orchestrator } = world(lines, { behaviours })
      return Effect.gen(function* () {
        yield* Effect.exit(deliver(...lines))
        assert.isTrue(isNothingHeld())
        for (const [{ mentorId } = newEvent()] of lines) {
          const told = orchestrator.state.calls.filter((event) => event.mentorId === mentorId)
          assert.deepStrictEqual(versionsOf(told), upTo(told.length))
        }
        const ids = orchestrator.state.calls.map(({ eventId }) => eventId)
        assert.strictEqual(new Set(ids).size, ids.length)
      }).pipe(Effect.provide(layer))
    },
    { timeout: 30_000, arbitrary: { runs: 100 } }
  )
})
