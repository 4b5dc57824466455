import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EventId } from "../schema/Identifiers.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import { WebhookBatch } from "../schema/WebhookPayload.ts"
import type { DedupeStore, DedupeStoreUnavailable } from "./DedupeStore.ts"
import { notifyAll, type NotifiedAll } from "./NotifyOnce.ts"
import type { OrchestratorClient } from "./OrchestratorClient.ts"
import type { BatchItem, HandledBatch, PayloadError } from "./Outcome.ts"
import { extractPauseEvent, type NoChange } from "./PauseEvents.ts"
import { InvalidPayload, toIssues, validatePayload } from "./Payload.ts"

const decodeBatch = Schema.decodeUnknownEffect(WebhookBatch)
const decodeEventId = Schema.decodeUnknownOption(EventId)

const eventIdOf = (payload: unknown): EventId | undefined =>
  Option.getOrUndefined(decodeEventId(Predicate.hasProperty(payload, "event_id") ? payload.event_id : undefined))

interface Read {
  readonly eventId: EventId | undefined
  readonly event: Result.Result<PauseEvent | NoChange, PayloadError>
}

const read = (payload: unknown): Effect.Effect<Read> =>
  Effect.map(Effect.result(Effect.flatMap(validatePayload(payload), (valid) => extractPauseEvent(valid))), (event) => ({
    eventId: Result.isSuccess(event) && "eventId" in event.success ? event.success.eventId : eventIdOf(payload),
    event
  }))

const noEvents: NotifiedAll = { results: [], continued: [] }

const toNotify = ({ event }: Read): ReadonlyArray<PauseEvent> =>
  Result.isSuccess(event) && event.success.transition !== "NO_CHANGE" ? [event.success] : []

/**
 * Does the job for each payload of a batch on its own, with one claim and one settlement for all: a bad one never
 * spoils its neighbours.
 *
 * **Fails with** InvalidPayload when there are none or too many, DedupeStoreUnavailable when nothing could be claimed.
 */
export const handleBatch = Effect.fnUntraced(function* (
  input: ReadonlyArray<unknown>
): Effect.fn.Return<HandledBatch, InvalidPayload | DedupeStoreUnavailable, DedupeStore | OrchestratorClient> {
  const payloads = yield* Effect.mapError(
    decodeBatch(input),
    (error) => new InvalidPayload({ issues: toIssues(error) })
  )
  const reads = yield* Effect.forEach(payloads, read)
  const events = reads.flatMap(toNotify)
  const { continued, results } = events.length === 0 ? noEvents : yield* notifyAll(events)
  const ends = results.values()
  const items = reads.flatMap(({ event, eventId }): ReadonlyArray<BatchItem> => {
    if (Result.isFailure(event)) return [{ eventId, result: Result.fail(event.failure) }]
    if (event.success.transition === "NO_CHANGE") return [{ eventId, result: Result.succeed(event.success) }]
    return [...ends.take(1)].map((result) => ({ eventId, result }))
  })
  return { transition: "BATCH", items, continued }
})
