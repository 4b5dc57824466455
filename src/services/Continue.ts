import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Claim, DedupeStore } from "./DedupeStore.ts"
import { OrchestratorClient } from "./OrchestratorClient.ts"
import type { BatchItem } from "./Outcome.ts"
import { notifyHeld, type Round, type Take } from "./Round.ts"

/**
 * How long after its start a delivery may still take further events; 0 switches that off.
 *
 * **Units** milliseconds.
 */
export const ContinueMillis = Context.Reference("pause-status-webhook-handler/services/ContinueMillis", {
  defaultValue: () => 1_500
})

// 40 rounds of 100 events take 0.2 s of CPU in a cold isolate. The Edge allows a request 2 s, on a slower machine.
const mostRounds = 40
const nothing: Round = { results: [], next: [] }

/** Begins to count the time and the rounds of a delivery. */
export const startTaking: Effect.Effect<Take, never, OrchestratorClient> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const { atOnce } = yield* OrchestratorClient
  // Not the time of day, which somebody may set back.
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const endsAt = now() + (yield* ContinueMillis)
  let rounds = 0
  return () => (now() < endsAt && rounds++ < mostRounds ? atOnce : 0)
})

/**
 * Handles the events that a settlement handed back, round by round, so that a mentor's events stay in order. Each round's
 * settlement hands back the next ones, until there are none or they may not be taken.
 */
export const continueWith = Effect.fnUntraced(function* (
  claims: ReadonlyArray<Claim>,
  take: Take
): Effect.fn.Return<ReadonlyArray<BatchItem>, never, DedupeStore | OrchestratorClient> {
  const handled: Array<ReadonlyArray<BatchItem>> = []
  let held = claims
  while (held.length > 0) {
    // The delivery's own events are settled: their reply does not depend on this.
    const round = yield* Effect.catchCause(notifyHeld(held, take), (cause) =>
      Effect.as(Effect.logError({ outcome: "defect", continued: held.length }, cause), nothing)
    )
    handled.push(Array.zipWith(held, round.results, ({ event: { eventId } }, result) => ({ eventId, result })))
    held = round.next
  }
  return handled.flat()
})
