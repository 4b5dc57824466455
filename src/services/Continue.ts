import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DedupeStore, Next } from "./DedupeStore.ts"
import { eventIdOf } from "./EventIdentity.ts"
import type { Handler } from "./Handler.ts"
import type { BatchItem, PayloadError, TopicError } from "./Outcome.ts"
import { InvalidPayload } from "./Payload.ts"
import { handleHeld, type Held, type Round, type Take, type Unreadable } from "./Round.ts"

/**
 * How long after its start a delivery may still take further events; 0 disables this.
 *
 * **Units** milliseconds.
 */
export const ContinueMillis = Context.Reference("pause-status-webhook-handler/services/ContinueMillis", {
  defaultValue: () => 1_500
})

// 40 rounds of 100 events take 0.2 s of CPU in a cold isolate. An Edge Function may use 2 s, on a slower machine.
const mostRounds = 40
const nothing: Round<never, never> = { results: [], next: [] }

/** Starts counting the time and the rounds of a delivery. */
export const startTaking = <R>({ atOnce }: { readonly atOnce: Effect.Effect<number, never, R> }) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const most = yield* atOnce
    // Not the wall clock, which may be set back.
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const endsAt = now() + (yield* ContinueMillis)
    let rounds = 0
    const take: Take = () => (now() < endsAt && rounds++ < mostRounds ? most : 0)
    return take
  })

/** What a settlement returned, read. **Shape** `lost` names no event, so that nothing but its lease can end its claim. */
interface NextRound<Event> {
  readonly held: Array<Held<Event>>
  readonly unreadable: Array<Unreadable>
  readonly lost: Array<PayloadError>
}

const wrong = (message: string, ...path: ReadonlyArray<string>) => new InvalidPayload({ issues: [{ path, message }] })

const readNext = Effect.fnUntraced(function* <Event, E, R>(
  { read }: Handler<Event, E, R>,
  next: ReadonlyArray<Next>
): Effect.fn.Return<NextRound<Event>> {
  const round: NextRound<Event> = { held: [], unreadable: [], lost: [] }
  for (const { payload, ...grant } of next) {
    const eventId = eventIdOf(payload)
    const seen = yield* Effect.result(read(payload))
    if (eventId === undefined) {
      round.lost.push(Result.isFailure(seen) ? seen.failure : wrong("Missing key", "event_id"))
    } else if (Result.isFailure(seen)) {
      round.unreadable.push({ claim: { eventId, ...grant }, error: seen.failure })
    } else if (seen.success._tag === "NoChange") {
      const error = wrong(`Expected a change, and its topic reads none: ${seen.success.reason}`)
      round.unreadable.push({ claim: { eventId, ...grant }, error })
    } else {
      round.held.push({ ...seen.success, claim: { eventId: seen.success.entry.eventId, ...grant } })
    }
  }
  return round
})

/**
 * Handles the events that a settlement returned, round by round, so that the events of a key stay in order. Each is read
 * like a delivery; what its topic cannot read becomes a dead letter. Each round's settlement returns the next ones, until
 * none are left or no more may be taken.
 */
export const continueWith = Effect.fnUntraced(function* <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>,
  next: ReadonlyArray<Next>,
  take: Take
): Effect.fn.Return<ReadonlyArray<BatchItem<Event, E>>, never, DedupeStore | R> {
  const items: Array<BatchItem<Event, E>> = []
  let waiting = next
  while (waiting.length > 0) {
    const { held, lost, unreadable } = yield* readNext(handler, waiting)
    items.push(
      ...lost.map((error) => ({ eventId: undefined, result: Result.fail(error) })),
      ...unreadable.map(({ claim, error }) => ({ eventId: claim.eventId, result: Result.fail(error) }))
    )
    // The delivery's own events are already settled, so its reply does not depend on this.
    const round = yield* Effect.catchCause(handleHeld(handler, held, unreadable, take), (cause) =>
      Effect.as(Effect.logError({ outcome: "defect", continued: waiting.length }, cause), nothing)
    )
    items.push(...Array.zipWith(held, round.results, ({ claim: { eventId } }, result) => ({ eventId, result })))
    waiting = round.next
  }
  return items
})
