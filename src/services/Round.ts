import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Receipt } from "../schema/Receipt.ts"
import {
  type Claim,
  type ClaimError,
  DedupeStore,
  type ReleaseReason,
  type SettledBatch,
  type Settlement
} from "./DedupeStore.ts"
import { OrchestratorClient, type OrchestratorError } from "./OrchestratorClient.ts"
import type { BatchItem } from "./Outcome.ts"

/**
 * The orchestrator has just accepted the event.
 *
 * **Shape** `continued` lists the further events that the same delivery handled, if any, and how each ended.
 */
export interface Notified {
  readonly transition: PauseEvent["transition"]
  readonly event: PauseEvent
  readonly receipt: Receipt
  readonly continued?: ReadonlyArray<BatchItem>
}

/** How one event ended. */
export type EventResult = Result.Result<Notified, ClaimError | OrchestratorError>

/** How a round ended. **Shape** `results` in the order of its claims; `next` are the claims of the next round. */
export interface Round {
  readonly results: ReadonlyArray<EventResult>
  readonly next: ReadonlyArray<Claim>
}

/** Returns how many events the next settlement may take; 0 when there is no time left to handle them. */
export type Take = () => number

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

// One line for all of them: Supabase keeps 100 lines per ten seconds.
const mostNamed = 10

const warnOfUnsettled = (settlements: ReadonlyArray<Settlement>, { settled }: SettledBatch) => {
  const unsettled = settlements.filter((_, index) => settled[index] === "stale" || settled[index] === "invalid")
  const eventIds = unsettled.slice(0, mostNamed).map(({ claim }) => claim.event.eventId)
  return unsettled.length === 0
    ? Effect.void
    : Effect.logWarning({ outcome: "settled_nothing", events: unsettled.length, eventIds })
}

// By hand: a Schedule adds 6 KB and is set up before the first try, which hardly ever fails. Only the first try takes
// events, because they may be lost with its answer.
const persist = (
  store: DedupeStore["Service"],
  settlements: ReadonlyArray<Settlement>,
  take: number,
  [pause, ...pauses] = settlePauses
): ReturnType<typeof store.settle> => {
  const settling = store.settle(settlements, { take })
  return pause === undefined
    ? settling
    : Effect.catch(settling, () =>
        Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) =>
          Effect.delay(persist(store, settlements, 0, pauses), pause * jitter)
        )
      )
}

// A failed settle loses nothing: the lease expires, and the orchestrator answers a second call with its first receipt.
const settleAll = (store: DedupeStore["Service"], settlements: ReadonlyArray<Settlement>, take: number) =>
  Effect.tap(persist(store, settlements, take), (batch) => warnOfUnsettled(settlements, batch))

/**
 * Hands claimed events to the orchestrator, then settles the claims, which may take further events. An event is
 * completed only after the orchestrator accepted it. A failure releases the claim, and the lease covers a crash in
 * between. After a failure nothing is taken, so that an outage does not use up the attempts of every waiting event.
 */
export const notifyHeld = Effect.fnUntraced(function* (
  held: ReadonlyArray<Claim>,
  take: Take
): Effect.fn.Return<Round, never, DedupeStore | OrchestratorClient> {
  const store = yield* DedupeStore
  const orchestrator = yield* OrchestratorClient
  const answers = yield* orchestrator.notify(held.map((claim) => claim.event))
  const settlements = Array.zipWith(held, answers, toSettlement)
  const settled = yield* Effect.result(settleAll(store, settlements, answers.every(Result.isSuccess) ? take() : 0))
  if (Result.isFailure(settled)) yield* Effect.logWarning({ outcome: "unsettled", detail: settled.failure.message })

  const results = Array.zipWith(held, answers, ({ event }, answer): EventResult =>
    Result.flatMap(answer, (receipt) => Result.map(settled, () => ({ transition: event.transition, event, receipt })))
  )
  return { results, next: Result.isSuccess(settled) ? settled.success.next : [] }
})
