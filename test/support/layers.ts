import { assert } from "@effect/vitest"
import { type Clock, Deferred, Duration, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { Environment } from "../../src/layers/Config.ts"
import { Fetch } from "../../src/layers/Fetch.ts"
import type { SchemaClient } from "../../src/layers/SupabaseRest.ts"
import type { PauseEvent } from "../../src/schema/PauseEvent.ts"
import type { Receipt } from "../../src/schema/Receipt.ts"
import {
  type Claim,
  DedupeStore,
  type OutboxEvent,
  type ReleaseReason,
  type Settlement
} from "../../src/services/DedupeStore.ts"
import { OrchestratorClient, type OrchestratorError } from "../../src/topics/OrchestratorClient.ts"
import { SignatureVerifier, type Verified } from "../../src/services/SignatureVerifier.ts"

export const config = (settings: Readonly<Record<string, string>>) => Layer.succeed(Environment, settings)

/** Vouches for every delivery, without a promise: programs over it move only when the test clock does. */
export const verifierThatTrusts = (verified: Verified) =>
  Layer.succeed(SignatureVerifier, { verify: () => Effect.succeed(verified) })

/** The answer to the one thing that was asked. */
export const only = <A>(answers: ReadonlyArray<A>): A => {
  assert.lengthOf(answers, 1)
  return answers[0] ?? assert.fail("the one answer is empty")
}

/** A claim, and the event that it is of. */
export interface Claimed extends Claim {
  readonly event: OutboxEvent
}

/** Claims one event, and fails with what keeps it from being claimed. */
export const claimOne = (event: OutboxEvent) =>
  DedupeStore.use((store) => store.claim([event])).pipe(
    Effect.flatMap((answers) => Effect.fromResult(only(answers))),
    Effect.map((claim): Claimed => ({ ...claim, event }))
  )

const settleOne = (settlement: Settlement) =>
  Effect.map(
    DedupeStore.use((store) => store.settle([settlement], { topic: "pause-status", take: 0 })),
    ({ settled }) => only(settled)
  )

export const complete = (claim: Claim, receipt: Receipt) => settleOne({ claim, outcome: "completed", receipt })

export const release = (claim: Claim, reason: ReleaseReason) => settleOne({ claim, outcome: "released", reason })

/** Tells the orchestrator of one event, and fails with its error. */
export const notifyOne = (event: PauseEvent) =>
  OrchestratorClient.use((client) => client.notify([event])).pipe(
    Effect.flatMap((answers) => Effect.fromResult(only(answers)))
  )

/** An orchestrator that answers each event by itself, one after the other. */
export const orchestratorOf = (answer: (event: PauseEvent) => Effect.Effect<Receipt, OrchestratorError>) =>
  Layer.succeed(OrchestratorClient, {
    atOnce: 100,
    notify: (events) => Effect.forEach(events, (event) => Effect.result(answer(event)))
  })

/** Holds up the orchestrator's answers from its first call on, until it may give them. */
export const heldOrchestrator = Effect.gen(function* () {
  const client = yield* OrchestratorClient
  const called = yield* Deferred.make<void>()
  const mayAnswer = yield* Deferred.make<void>()
  const layer = Layer.succeed(OrchestratorClient, {
    atOnce: client.atOnce,
    notify: (events) =>
      Deferred.succeed(called, undefined).pipe(
        Effect.andThen(Deferred.await(mayAnswer)),
        Effect.andThen(client.notify(events))
      )
  })
  return { layer, called: Deferred.await(called), answer: Deferred.succeed(mayAnswer, undefined) }
})

const LogLine = Schema.Struct({
  level: Schema.String,
  message: Schema.Record(Schema.String, Schema.Unknown)
})

/** What the JSON logger wrote on the console, line by line. */
export const logLines = Effect.flatMap(TestConsole.logLines, (lines) =>
  Effect.forEach(lines, (line) => Schema.decodeUnknownEffect(Schema.fromJsonString(LogLine))(line))
)

const turnOfTheEventLoop = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Runs an effect while the test clock moves on in steps, each after the promises of the step before had their turn. */
export const throughTime = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>, stepMillis = 50) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) {
    yield* turnOfTheEventLoop
    yield* turnOfTheEventLoop
    yield* TestClock.adjust(stepMillis)
  }
  return yield* Fiber.join(fiber)
})

/** The test's clock, and how long it was asked to sleep each time. */
export const countingClock = Effect.clockWith((clock) =>
  Effect.sync(() => {
    const sleeps: Array<number> = []
    const counting: Clock.Clock = Object.assign(Object.create(clock), {
      sleep: (duration: Duration.Duration) => {
        sleeps.push(Duration.toMillis(duration))
        return clock.sleep(duration)
      }
    })
    return { clock: counting, sleeps }
  })
)

type RpcClient = ReturnType<SchemaClient["schema"]>
type Rpc = ReturnType<RpcClient["rpc"]>
export type RpcAnswer = Awaited<ReturnType<Rpc["abortSignal"]>>
export type RpcStep = RpcAnswer | "rejects" | "hangs"

/** A database that answers as it is told, step by step, and remembers what it was asked. */
export const rpcClient = (...steps: ReadonlyArray<RpcStep>) => {
  const left = [...steps]
  const calls: Array<{ readonly name: string; readonly args: Record<string, unknown>; readonly signal: AbortSignal }> =
    []
  const inPublic: RpcClient = {
    rpc: (name, args) => ({
      abortSignal: (signal) => {
        calls.push({ name, args, signal })
        const step = left.shift() ?? "rejects"
        if (step === "rejects") return Promise.reject(new TypeError("fetch failed"))
        return step === "hangs" ? new Promise(() => {}) : Promise.resolve(step)
      }
    })
  }
  const client: SchemaClient = { schema: () => inPublic }
  return { client, calls }
}

export const answered = (data: unknown): RpcAnswer => ({ data, error: null, status: 200 })

interface Reply {
  readonly status: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}
export type FetchStep = Reply | "no connection" | "hangs" | "hangs in the body"

interface FetchCall {
  readonly at: number
  readonly url: string
  readonly method: string | undefined
  readonly redirect: string | undefined
  readonly headers: Headers
  readonly body: string
  readonly signal: AbortSignal
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }))

const endless = (signal: AbortSignal) =>
  new ReadableStream<Uint8Array>({ start: (controller) => void untilAborted(signal).catch((e) => controller.error(e)) })

/** An HTTP server behind fetch that answers as it is told, step by step, and remembers when it was asked for what. */
export const fetchOf = (...steps: ReadonlyArray<FetchStep>) => {
  const left = [...steps]
  const calls: Array<FetchCall> = []
  const layer = Layer.effect(
    Fetch,
    Effect.clockWith((clock) =>
      Effect.succeed((url: string | URL | Request, init: RequestInit = {}) => {
        const signal = init.signal ?? new AbortController().signal
        calls.push({
          at: clock.currentTimeMillisUnsafe(),
          url: String(url),
          method: init.method,
          redirect: init.redirect,
          headers: new Headers(init.headers),
          body: String(init.body),
          signal
        })
        const step = left.shift() ?? "no connection"
        if (step === "no connection") return Promise.reject(new TypeError("fetch failed"))
        if (step === "hangs") return untilAborted(signal)
        if (step === "hangs in the body") return Promise.resolve(new Response(endless(signal)))
        return Promise.resolve(new Response(step.body ?? null, { status: step.status, headers: { ...step.headers } }))
      })
    )
  )
  return { layer, calls }
}
