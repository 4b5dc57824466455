import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import { continueWith, startTaking } from "./Continue.ts"
import {
  type Claim,
  type ClaimError,
  type ClaimRefused,
  DedupeStore,
  type DedupeStoreUnavailable
} from "./DedupeStore.ts"
import type { OrchestratorClient, OrchestratorError } from "./OrchestratorClient.ts"
import type { BatchItem } from "./Outcome.ts"
import { type EventResult, type Notified, notifyHeld } from "./Round.ts"

/** How events ended. **Shape** `results` in their order; `continued` for the further events that settling returned. */
export interface NotifiedAll {
  readonly results: ReadonlyArray<EventResult>
  readonly continued: ReadonlyArray<BatchItem>
}

const failures = (claims: ReadonlyArray<Result.Result<Claim, ClaimRefused>>): ReadonlyArray<EventResult> =>
  claims.flatMap((claim) => (Result.isFailure(claim) ? [Result.fail(claim.failure)] : []))

/**
 * Claims events, passes them to the orchestrator and settles them, then continues with the events that the settlement
 * returns. How one event ends never affects another.
 *
 * Uninterruptible: a caller who hangs up does not stop it.
 *
 * **Shape** `results` in the order of the events.
 * **Fails with** DedupeStoreUnavailable when nothing could be claimed.
 */
export const notifyAll = Effect.fnUntraced(function* (
  events: ReadonlyArray<PauseEvent>
): Effect.fn.Return<NotifiedAll, DedupeStoreUnavailable, DedupeStore | OrchestratorClient> {
  const take = yield* startTaking
  const store = yield* DedupeStore
  const claims = yield* store.claim(events)
  const held = claims.flatMap((claim) => (Result.isSuccess(claim) ? [claim.success] : []))
  if (held.length === 0) return { results: failures(claims), continued: [] }

  const first = yield* notifyHeld(held, take)
  const continued = yield* continueWith(first.next, take)
  const ends = first.results.values()
  const results = claims.flatMap((claim): ReadonlyArray<EventResult> =>
    Result.isFailure(claim) ? [Result.fail(claim.failure)] : ends.take(1).toArray()
  )
  return { results, continued }
}, Effect.uninterruptible)

/**
 * notifyAll for one event.
 *
 * **Fails with** ClaimError, OrchestratorError.
 */
export const notifyOnce = (
  event: PauseEvent
): Effect.Effect<Notified, ClaimError | OrchestratorError, DedupeStore | OrchestratorClient> =>
  Effect.flatMap(notifyAll([event]), ({ continued, results: [end] }) => {
    if (end === undefined) return Effect.die("the claim store answered fewer events than it was asked")
    return Effect.fromResult(continued.length === 0 ? end : Result.map(end, (notified) => ({ ...notified, continued })))
  })
