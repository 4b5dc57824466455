import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { continueWith, startTaking } from "./Continue.ts"
import { DedupeStore, type DedupeStoreUnavailable } from "./DedupeStore.ts"
import type { Extracted } from "./Extract.ts"
import type { Handler } from "./Handler.ts"
import type { BatchItem, EventError, Handled, TopicError } from "./Outcome.ts"
import { type EventResult, handleHeld, inPlace } from "./Round.ts"

/** How events ended. **Shape** `results` in their order; `continued` for the further events that settling returned. */
export interface HandledAll<Event, E> {
  readonly results: ReadonlyArray<EventResult<Event, E>>
  readonly continued: ReadonlyArray<BatchItem<Event, E>>
}

const nothing = { results: [], next: [] }

/**
 * Claims events, hands them to their topic and settles them, then continues with the events that the settlement returns.
 * How one event ends never affects another.
 *
 * Uninterruptible: goes on if the caller hangs up.
 *
 * **Shape** `results` in the order of the events.
 * **Fails with** DedupeStoreUnavailable when nothing could be claimed.
 */
export const handleAll = Effect.fnUntraced(function* <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>,
  events: ReadonlyArray<Extracted<Event>>
): Effect.fn.Return<HandledAll<Event, E>, DedupeStoreUnavailable, DedupeStore | R> {
  const take = yield* startTaking(handler)
  const store = yield* DedupeStore
  const claims = yield* store.claim(events.map(({ entry }) => entry))
  const held = Array.zipWith(events, claims, (event, claim) =>
    Result.isSuccess(claim) ? [{ claim: claim.success, seen: Result.succeed(event) }] : []
  ).flat()
  const first = held.length === 0 ? nothing : yield* handleHeld(handler, held, take)
  const continued = yield* continueWith(handler, first.next, take)
  return { results: inPlace(claims, first.results), continued }
}, Effect.uninterruptible)

/**
 * handleAll for one event.
 *
 * **Fails with** EventError.
 */
export const handleOne = <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>,
  event: Extracted<Event>
): Effect.Effect<Handled<Event>, EventError<E>, DedupeStore | R> =>
  Effect.flatMap(handleAll(handler, [event]), ({ continued, results: [end] }) => {
    if (end === undefined) return Effect.die("the claim store answered fewer events than it was asked")
    return Effect.fromResult(continued.length === 0 ? end : Result.map(end, (handled) => ({ ...handled, continued })))
  })
