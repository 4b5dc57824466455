import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { reachedNobody, type Receipt } from "../schema/Receipt.ts"
import { type Claim, DedupeStore, type Next, type Release, type SettledBatch, type Settlement } from "./DedupeStore.ts"
import type { Extracted } from "./Extract.ts"
import type { Handler } from "./Handler.ts"
import type { EventError, Handled, PayloadError, TopicError } from "./Outcome.ts"
import { describe } from "./OutcomeLog.ts"

/** A claim of ours, and what its topic reads. */
export interface Held<Event> {
  readonly claim: Claim
  readonly seen: Result.Result<Extracted<Event>, PayloadError>
}

/** How one event ended. */
export type EventResult<Event, E> = Result.Result<Handled<Event>, EventError<E>>

/** How a round ended. **Shape** `results` in the order of its claims; `next` is for the next round. */
export interface Round<Event, E> {
  readonly results: ReadonlyArray<EventResult<Event, E>>
  readonly next: ReadonlyArray<Next>
}

/** Returns how many events the next settlement may take; 0 when there is no time left to handle them. */
export type Take = () => number

/** Puts the answers in the places of the successes, which alone were asked. */
export const inPlace = <A, E, B, E2>(
  asked: ReadonlyArray<Result.Result<A, E>>,
  answers: ReadonlyArray<Result.Result<B, E2>>
): ReadonlyArray<Result.Result<B, E | E2>> => {
  let next = 0
  return asked.flatMap((one): ReadonlyArray<Result.Result<B, E | E2>> =>
    Result.isFailure(one) ? [Result.fail(one.failure)] : answers.slice(next, ++next)
  )
}

const settlePauses: ReadonlyArray<number> = [50, 100]

const toSettlement = (
  { claim }: { readonly claim: Claim },
  answer: Result.Result<Receipt, PayloadError | TopicError>
): Settlement => {
  if (Result.isSuccess(answer)) return { claim, outcome: "completed", receipt: answer.success }
  const { failure } = answer
  const release: Release = "release" in failure ? failure.release : { kind: "permanent" }
  return { claim, outcome: "released", reason: { ...release, message: describe(failure) } }
}

// One line for all of them: Supabase keeps 100 lines per ten seconds.
const mostNamed = 10

const warnOfUnsettled = (settlements: ReadonlyArray<Settlement>, { settled }: SettledBatch) => {
  const unsettled = settlements.filter((_, index) => settled[index] === "stale" || settled[index] === "invalid")
  const eventIds = unsettled.slice(0, mostNamed).map(({ claim }) => claim.eventId)
  return unsettled.length === 0
    ? Effect.void
    : Effect.logWarning({ outcome: "settled_nothing", events: unsettled.length, eventIds })
}

// By hand: a Schedule adds 6 KB and is set up before the first try, which hardly ever fails. Only the first try takes
// events, because they may be lost with its answer.
const persist = (
  store: DedupeStore["Service"],
  settlements: ReadonlyArray<Settlement>,
  options: { readonly topic: string; readonly take: number },
  [pause, ...pauses] = settlePauses
): ReturnType<typeof store.settle> => {
  const settling = store.settle(settlements, options)
  return pause === undefined
    ? settling
    : Effect.catch(settling, () =>
        Effect.flatMap(Random.next, (random) =>
          Effect.delay(persist(store, settlements, { ...options, take: 0 }, pauses), pause * (0.8 + 0.4 * random))
        )
      )
}

/**
 * Hands the events that are held to their topic, then settles their claims, which may take further events. An event is
 * completed only after its topic handled it. A failure releases the claim, and the lease covers a crash in between. What
 * cannot be read becomes a dead letter. After a failure nothing is taken, so that an outage does not use up the attempts
 * of every waiting event.
 */
export const handleHeld = Effect.fnUntraced(function* <Event, E extends TopicError, R>(
  { done, handle, name }: Handler<Event, E, R>,
  held: ReadonlyArray<Held<Event>>,
  take: Take
): Effect.fn.Return<Round<Event, E>, never, DedupeStore | R> {
  const store = yield* DedupeStore
  const events = held.flatMap(({ seen }) => (Result.isSuccess(seen) ? [seen.success.event] : []))
  const handled = events.length === 0 ? [] : yield* handle(events)
  if (handled.length !== events.length) return yield* Effect.die(`${name} did not answer for each of its events`)

  const answers = inPlace(
    held.map(({ seen }) => seen),
    handled
  )
  const settlements = Array.zipWith(held, answers, toSettlement)
  const options = { topic: name, take: handled.every(Result.isSuccess) ? take() : 0 }
  // A failed settle loses nothing: the lease expires, and the topic gets the event again under the same id.
  const settled = yield* Effect.result(persist(store, settlements, options))
  if (Result.isFailure(settled)) yield* Effect.logWarning({ outcome: "unsettled", detail: settled.failure.message })
  else yield* warnOfUnsettled(settlements, settled.success)

  const results = Array.zipWith(held, answers, ({ seen }, answer): EventResult<Event, E> =>
    Result.flatMap(seen, ({ entry: { eventId, key }, event }) =>
      Result.flatMap(answer, (receipt) => {
        const status = reachedNobody(receipt) ? "no_recipients" : done
        return Result.map(settled, () => ({ _tag: "Handled", status, eventId, key, event, receipt }))
      })
    )
  )
  return { results, next: Result.isSuccess(settled) ? settled.success.next : [] }
})
