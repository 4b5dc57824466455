import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Receipt } from "../schema/Receipt.ts"
import {
  type Claim,
  type ClaimError,
  type ClaimRefused,
  DedupeStore,
  type DedupeStoreUnavailable,
  type ReleaseReason,
  type Settled,
  type Settlement
} from "./DedupeStore.ts"
import { OrchestratorClient, type OrchestratorError } from "./OrchestratorClient.ts"

/** The orchestrator accepted the event, now. */
export interface Notified {
  readonly transition: PauseEvent["transition"]
  readonly event: PauseEvent
  readonly receipt: Receipt
}

/** How one event ended. */
export type EventResult = Result.Result<Notified, ClaimError | OrchestratorError>

const settlePauses: ReadonlyArray<number> = [50, 100]

const releaseReason = (error: OrchestratorError): ReleaseReason => {
  const { message } = error
  switch (error._tag) {
    case "OrchestratorRefused":
      return { kind: "permanent", message, status: error.status }
    case "OrchestratorCircuitOpen":
      return { kind: "parked", message, retryAfterSeconds: error.retryAfterSeconds }
    case "OrchestratorUnavailable":
      return {
        kind: "transient",
        message,
        ...(error.status !== undefined && { status: error.status }),
        ...(error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds })
      }
  }
}

const toSettlement = (claim: Claim, answer: Result.Result<Receipt, OrchestratorError>): Settlement =>
  Result.isSuccess(answer)
    ? { claim, outcome: "completed", receipt: answer.success }
    : { claim, outcome: "released", reason: releaseReason(answer.failure) }

// One line, however many: Supabase keeps 100 lines per ten seconds.
const mostNamed = 10

const warnOfUnsettled = (settlements: ReadonlyArray<Settlement>, settled: ReadonlyArray<Settled>) => {
  const unsettled = settlements.filter((_, index) => settled[index] === "stale" || settled[index] === "invalid")
  const eventIds = unsettled.slice(0, mostNamed).map(({ claim }) => claim.event.eventId)
  return unsettled.length === 0
    ? Effect.void
    : Effect.logWarning({ outcome: "settled_nothing", events: unsettled.length, eventIds })
}

// By hand: a Schedule is set up before the first try, which hardly ever fails, and brings 6 KB.
const persist = <A, E>(program: Effect.Effect<A, E>, [pause, ...pauses] = settlePauses): Effect.Effect<A, E> =>
  pause === undefined
    ? program
    : Effect.catch(program, () =>
        Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) => Effect.delay(persist(program, pauses), pause * jitter))
      )

// A settle that fails is not lost: the lease ends, and the orchestrator answers a second call with its first receipt.
const settleAll = (store: DedupeStore["Service"], settlements: ReadonlyArray<Settlement>) =>
  Effect.flatMap(persist(store.settle(settlements)), (settled) => warnOfUnsettled(settlements, settled))

const failures = (claims: ReadonlyArray<Result.Result<Claim, ClaimRefused>>): ReadonlyArray<EventResult> =>
  claims.flatMap((claim) => (Result.isFailure(claim) ? [Result.fail(claim.failure)] : []))

/**
 * Claims events, hands them to the orchestrator and settles the claims. Nothing is completed before the orchestrator
 * accepted it, a failure gives the claim back, and a crash in between is healed by the lease. One event's end never
 * touches another's.
 *
 * Uninterruptible: a caller that hangs up changes nothing.
 *
 * **Shape** the results in the order of the events.
 * **Fails with** DedupeStoreUnavailable when nothing could be claimed.
 */
export const notifyAll = Effect.fnUntraced(function* (
  events: ReadonlyArray<PauseEvent>
): Effect.fn.Return<ReadonlyArray<EventResult>, DedupeStoreUnavailable, DedupeStore | OrchestratorClient> {
  const store = yield* DedupeStore
  const orchestrator = yield* OrchestratorClient
  const claims = yield* store.claim(events)
  const held = claims.flatMap((claim) => (Result.isSuccess(claim) ? [claim.success] : []))
  if (held.length === 0) return failures(claims)

  const answers = yield* orchestrator.notify(held.map((claim) => claim.event))
  const settlements = Array.zipWith(held, answers, toSettlement)
  const settled = yield* Effect.result(settleAll(store, settlements))
  if (Result.isFailure(settled)) yield* Effect.logWarning({ outcome: "unsettled", detail: settled.failure.message })

  const ends = Array.zipWith(held, answers, ({ event }, answer): EventResult =>
    Result.flatMap(answer, (receipt) => Result.map(settled, () => ({ transition: event.transition, event, receipt })))
  ).values()
  return claims.flatMap((claim) => (Result.isFailure(claim) ? [Result.fail(claim.failure)] : ends.take(1).toArray()))
}, Effect.uninterruptible)

/**
 * notifyAll for one event.
 *
 * **Fails with** ClaimError, OrchestratorError.
 */
export const notifyOnce = (
  event: PauseEvent
): Effect.Effect<Notified, ClaimError | OrchestratorError, DedupeStore | OrchestratorClient> =>
  Effect.flatMap(notifyAll([event]), ([end]) =>
    end === undefined ? Effect.die("the claim store answered fewer events than it was asked") : Effect.fromResult(end)
  )
