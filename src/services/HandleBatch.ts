import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PayloadBatch } from "../schema/Envelope.ts"
import type { DedupeStore, DedupeStoreUnavailable } from "./DedupeStore.ts"
import { eventIdOf } from "./EventIdentity.ts"
import type { Extracted } from "./Extract.ts"
import { handleAll } from "./HandleEvents.ts"
import type { Handler } from "./Handler.ts"
import type { BatchItem, HandledBatch, TopicError } from "./Outcome.ts"
import { InvalidPayload, toIssues } from "./Payload.ts"

const decodeBatch = Schema.decodeUnknownEffect(PayloadBatch)

const nothing = { results: [], continued: [] }

/**
 * Does the job for each payload of a batch on its own, with one claim and one settlement for all: a bad one never
 * spoils its neighbours.
 *
 * **Fails with** InvalidPayload when there are none or too many, DedupeStoreUnavailable when nothing could be claimed.
 */
export const handleBatch = Effect.fnUntraced(function* <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>,
  input: ReadonlyArray<unknown>
): Effect.fn.Return<HandledBatch<Event, E>, InvalidPayload | DedupeStoreUnavailable, DedupeStore | R> {
  const payloads = yield* Effect.mapError(
    decodeBatch(input),
    (error) => new InvalidPayload({ issues: toIssues(error) })
  )
  const reads = yield* Effect.forEach(payloads, (payload) => Effect.result(handler.read(payload)))
  const events = reads.flatMap((read): ReadonlyArray<Extracted<Event>> =>
    Result.isSuccess(read) && read.success._tag === "Event" ? [read.success] : []
  )
  const { continued, results } = events.length === 0 ? nothing : yield* handleAll(handler, events)
  let next = 0
  const items = reads.flatMap((read, index): ReadonlyArray<BatchItem<Event, E>> => {
    if (Result.isFailure(read)) return [{ eventId: eventIdOf(payloads[index]), result: Result.fail(read.failure) }]
    const { success } = read
    if (success._tag === "NoChange") return [{ eventId: eventIdOf(payloads[index]), result: Result.succeed(success) }]
    return results.slice(next, ++next).map((result) => ({ eventId: success.entry.eventId, result }))
  })
  return { _tag: "Batch", items, continued }
})
