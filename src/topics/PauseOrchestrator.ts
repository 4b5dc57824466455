import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
import { reachedNobody } from "../schema/Receipt.ts"
import {
  NotificationStore,
  type NotificationStoreUnavailable,
  type Written,
  type WriteRefused
} from "./NotificationStore.ts"
import { InvalidPayload, type MalformedBody, parseBody, toIssues } from "../services/Payload.ts"

/** Why a call to notify failed. */
export type OrchestrationError = MalformedBody | InvalidPayload | WriteRefused | NotificationStoreUnavailable

/** How one of several events ended. */
export interface Orchestrated {
  readonly event: PauseEvent
  readonly result: Result.Result<Written, WriteRefused>
}

const decodeEvent = Schema.decodeUnknownEffect(PauseEvent, { errors: "all" })
const decodeEvents = Schema.decodeUnknownEffect(PauseEvents, { errors: "all" })
const invalid = Effect.mapError((error: Schema.SchemaError) => new InvalidPayload({ issues: toIssues(error) }))

const logTold = (
  { eventId, mentorId, transition }: PauseEvent,
  { receipt, replayed }: Written
): Effect.Effect<void> => {
  const line = { eventId, mentorId, transition, notified: receipt["notified"], replayed }
  return reachedNobody(receipt)
    ? Effect.logWarning({
        outcome: "no_recipients",
        ...line,
        detail: "mentor_coordinators links no coordinator to them"
      })
    : Effect.logInfo({ outcome: "notified", ...line })
}

const logAllTold = (told: ReadonlyArray<Orchestrated>): Effect.Effect<void> => {
  const written = told.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
  const refused = told.flatMap(({ event, result }) =>
    Result.isFailure(result) ? [{ eventId: event.eventId, outcome: result.failure._tag }] : []
  )
  const noRecipients = written.filter(({ receipt }) => reachedNobody(receipt)).length
  const line = {
    outcome: "batch",
    events: told.length,
    notified: written.length - noRecipients,
    noRecipients
  }
  return refused.length === 0 && noRecipients === 0
    ? Effect.logInfo(line)
    : Effect.logWarning({ ...line, refused: refused.slice(0, 10) })
}

const notifyOne = Effect.fnUntraced(function* (
  json: unknown,
  idempotencyKey: string | undefined
): Effect.fn.Return<Written, OrchestrationError, NotificationStore> {
  const store = yield* NotificationStore
  const event = yield* invalid(decodeEvent(json))
  if (idempotencyKey !== undefined && idempotencyKey !== event.eventId) {
    return yield* new InvalidPayload({ issues: [{ path: ["eventId"], message: "Expected the Idempotency-Key" }] })
  }
  const [result] = yield* store.write([event])
  if (result === undefined) return yield* Effect.die("the notification store answered for no event")
  const written = yield* Effect.fromResult(result)
  yield* logTold(event, written)
  return written
})

const notifyMany = Effect.fnUntraced(function* (
  json: ReadonlyArray<unknown>
): Effect.fn.Return<ReadonlyArray<Orchestrated>, OrchestrationError, NotificationStore> {
  const store = yield* NotificationStore
  const events = yield* invalid(decodeEvents(json))
  const results = yield* store.write(events)
  const told = results.flatMap((result, index) => {
    const event = events[index]
    return event === undefined ? [] : [{ event, result }]
  })
  yield* logAllTold(told)
  return told
})

/**
 * The orchestrator's whole job: read a PauseEvent, or an array of them, and notify the mentors' coordinators, once per
 * event id. Writes one log line afterwards.
 *
 * **Shape** `idempotencyKey`, when it is sent, must be the event's id; an array has each event's own.
 * **Fails with** OrchestrationError.
 */
export const notifyCoordinators = Effect.fnUntraced(function* (
  body: Uint8Array,
  idempotencyKey: string | undefined
): Effect.fn.Return<Written | ReadonlyArray<Orchestrated>, OrchestrationError, NotificationStore> {
  const json = yield* parseBody(body)
  return Array.isArray(json) ? yield* notifyMany(json) : yield* notifyOne(json, idempotencyKey)
}, Effect.uninterruptible)
