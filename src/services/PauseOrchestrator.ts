import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PauseEvent } from "../schema/PauseEvent.ts"
import type { PayloadMismatch } from "./DedupeStore.ts"
import { NotificationStore, type NotificationStoreUnavailable, type Written } from "./NotificationStore.ts"
import { InvalidPayload, type MalformedBody, parseBody, toIssues } from "./Payload.ts"

/** How an order to notify ended otherwise. */
export type OrchestrationError = MalformedBody | InvalidPayload | PayloadMismatch | NotificationStoreUnavailable

const decodeEvent = Schema.decodeUnknownEffect(PauseEvent, { errors: "all" })

/**
 * The orchestrator's whole job: read a PauseEvent and tell the mentor's coordinators, once per event id. Writes one
 * log line when it told them.
 *
 * **Shape** `idempotencyKey`, when it is sent, must be the event's id.
 * **Fails with** OrchestrationError.
 */
export const notifyCoordinators = Effect.fn("notifyCoordinators")(function* (
  body: Uint8Array,
  idempotencyKey: string | undefined
): Effect.fn.Return<Written, OrchestrationError, NotificationStore> {
  const store = yield* NotificationStore
  const event = yield* Effect.flatMap(parseBody(body), (json) =>
    Effect.mapError(decodeEvent(json), (error) => new InvalidPayload({ issues: toIssues(error) }))
  )
  if (idempotencyKey !== undefined && idempotencyKey !== event.eventId) {
    return yield* new InvalidPayload({ issues: [{ path: ["eventId"], message: "Expected the Idempotency-Key" }] })
  }
  const written = yield* store.write(event)
  const { eventId, mentorId, transition } = event
  const notified = written.receipt["notified"]
  const line = { outcome: "notified", eventId, mentorId, transition, notified, replayed: written.replayed }
  yield* notified === 0
    ? Effect.logWarning({ ...line, detail: "no row of mentor_coordinators names this mentor, so nobody was told" })
    : Effect.logInfo(line)
  return written
}, Effect.uninterruptible)
