import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { DedupeStore, Next } from "./DedupeStore.ts"
import { eventIdOf } from "./EventIdentity.ts"
import type { Extracted, NoChange } from "./Extract.ts"
import type { Handler } from "./Handler.ts"
import type { BatchItem, TopicError } from "./Outcome.ts"
import { InvalidPayload } from "./Payload.ts"
import { handleHeld, type Held, type Round, type Take } from "./Round.ts"

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
export const startTaking = Effect.fnUntraced(function* <Event, E, R>({
  atOnce
}: Handler<Event, E, R>): Effect.fn.Return<Take, never, R> {
  const clock = yield* Clock.Clock
  const most = yield* atOnce
  // Not the wall clock, which may be set back.
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const endsAt = now() + (yield* ContinueMillis)
  let rounds = 0
  return () => (now() < endsAt && rounds++ < mostRounds ? most : 0)
})

// An event that its topic reads as NO_CHANGE would be sent forever. A dead letter shows that SQL and topic disagree.
const expectEvent = <Event>(seen: Extracted<Event> | NoChange) =>
  seen._tag === "Event"
    ? Effect.succeed(seen)
    : new InvalidPayload({
        issues: [{ path: [], message: `Expected an event, but it reads NO_CHANGE: ${seen.reason}` }]
      })

const readNext = Effect.fnUntraced(function* <Event, E, R>(
  { name, read }: Handler<Event, E, R>,
  next: ReadonlyArray<Next>
): Effect.fn.Return<ReadonlyArray<Held<Event>>> {
  const held: Array<Held<Event>> = []
  for (const { payload, ...grant } of next) {
    const eventId = eventIdOf(payload)
    const seen = yield* Effect.result(Effect.flatMap(read(payload), expectEvent))
    if (eventId === undefined) yield* Effect.logError({ outcome: "no_event_id", topic: name })
    else held.push({ claim: { eventId, ...grant }, seen })
  }
  return held
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
  let held = yield* readNext(handler, next)
  while (held.length > 0) {
    // The delivery's own events are already settled, so its reply does not depend on this.
    const round = yield* Effect.catchCause(handleHeld(handler, held, take), (cause) =>
      Effect.as(Effect.logError({ outcome: "defect", continued: held.length }, cause), nothing)
    )
    items.push(...Array.zipWith(held, round.results, ({ claim: { eventId } }, result) => ({ eventId, result })))
    held = yield* readNext(handler, round.next)
  }
  return items
})
