import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Receipt } from "../schema/Receipt.ts"
import {
  type Claim,
  type ClaimError,
  DedupeStore,
  type Next,
  type SettledBatch,
  type Settlement
} from "./DedupeStore.ts"
import type { Extracted } from "./Extract.ts"
import type { Handler } from "./Handler.ts"
import type { Handled, PayloadError, TopicError } from "./Outcome.ts"
import { describe } from "./OutcomeLog.ts"

/** An event whose claim is ours. */
export interface Held<Event> extends Extracted<Event> {
  readonly claim: Claim
}

/** A claim of ours whose payload the topic cannot read. */
export interface Unreadable {
  readonly claim: Claim
  readonly error: PayloadError
}

/** How one event ended. */
export type EventResult<Event, E> = Result.Result<Handled<Event>, ClaimError | E>

/** How a round ended. **Shape** `results` in the order of the events that were held; `next` is for the next round. */
export interface Round<Event, E> {
  readonly results: ReadonlyArray<EventResult<Event, E>>
  readonly next: ReadonlyArray<Next>
}

/** Returns how many events the next settlement may take; 0 when there is no time left to handle them. */
export type Take = () => number

const settlePauses: ReadonlyArray<number> = [50, 100]

const toSettlement = ({ claim }: { readonly claim: Claim }, answer: Result.Result<Receipt, TopicError>): Settlement => {
  if (Result.isSuccess(answer)) return { claim, outcome: "completed", receipt: answer.success }
  const { message, release } = answer.failure
  return { claim, outcome: "released", reason: { ...release, message } }
}

const toDeadLetter = ({ claim, error }: Unreadable): Settlement => ({
  claim,
  outcome: "released",
  reason: { kind: "permanent", message: describe(error) }
})

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
        Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) =>
          Effect.delay(persist(store, settlements, { ...options, take: 0 }, pauses), pause * jitter)
        )
      )
}

/**
 * Hands the events that are held to their topic, then settles all claims, which may take further events. An event is
 * completed only after its topic handled it. A failure releases the claim, and the lease covers a crash in between. What
 * cannot be read becomes a dead letter. After a failure nothing is taken, so that an outage does not use up the attempts
 * of every waiting event.
 */
export const handleHeld = Effect.fnUntraced(function* <Event, E extends TopicError, R>(
  { handle, name }: Handler<Event, E, R>,
  held: ReadonlyArray<Held<Event>>,
  unreadable: ReadonlyArray<Unreadable>,
  take: Take
): Effect.fn.Return<Round<Event, E>, never, DedupeStore | R> {
  const store = yield* DedupeStore
  const answers = held.length === 0 ? [] : yield* handle(held.map(({ event }) => event))
  if (answers.length !== held.length) return yield* Effect.die(`${name} did not answer for each of its events`)

  const settlements = [...Array.zipWith(held, answers, toSettlement), ...unreadable.map(toDeadLetter)]
  const options = { topic: name, take: answers.every(Result.isSuccess) ? take() : 0 }
  // A failed settle loses nothing: the lease expires, and a second call of the topic has the first one's key.
  const settled = yield* Effect.result(persist(store, settlements, options))
  if (Result.isFailure(settled)) yield* Effect.logWarning({ outcome: "unsettled", detail: settled.failure.message })
  else yield* warnOfUnsettled(settlements, settled.success)

  const results = Array.zipWith(held, answers, ({ entry: { eventId, key }, event }, answer): EventResult<Event, E> =>
    Result.flatMap(answer, (receipt) => Result.map(settled, () => ({ _tag: "Handled", eventId, key, event, receipt })))
  )
  return { results, next: Result.isSuccess(settled) ? settled.success.next : [] }
})
