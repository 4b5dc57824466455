import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import { type Claim, type ClaimError, DedupeStore, type ReleaseReason, type Settlement } from "./DedupeStore.ts"
import { OrchestratorClient, type OrchestratorError } from "./OrchestratorClient.ts"
import { type Handled, logOutcome, type Notified, type WebhookError } from "./Outcome.ts"
import { extractPauseEvent, type NoChange } from "./PauseEvents.ts"
import { parseBody, validatePayload } from "./Payload.ts"
import { type Delivery, SignatureVerifier } from "./SignatureVerifier.ts"

const settleRetries = Schedule.exponential("50 millis").pipe(Schedule.jittered)

const releaseReason = (error: OrchestratorError): ReleaseReason => ({
  kind: error._tag === "OrchestratorRefused" ? "permanent" : "transient",
  message: error.message,
  ...(error._tag === "OrchestratorUnavailable" &&
    error.retryAfterSeconds !== undefined && { retryAfterSeconds: error.retryAfterSeconds })
})

const warnIfStale = <E>(claim: Claim, settle: Effect.Effect<Settlement, E>): Effect.Effect<void, E> =>
  Effect.flatMap(settle, (settlement) =>
    settlement === "settled"
      ? Effect.void
      : Effect.logWarning({
          outcome: "settled_by_another",
          eventId: claim.event.eventId,
          token: claim.token
        })
  )

/**
 * Claims an event, hands it to the orchestrator and settles the claim. Nothing is completed before the orchestrator
 * accepted it, a failure gives the claim back, and a crash in between is healed by the lease.
 *
 * Uninterruptible from the claim on: a caller that hangs up changes nothing.
 *
 * **Fails with** ClaimError, OrchestratorError.
 *
 * @public
 */
export const notifyOnce = Effect.fn("notifyOnce")(function* (
  event: PauseEvent
): Effect.fn.Return<Notified, ClaimError | OrchestratorError, DedupeStore | OrchestratorClient> {
  const store = yield* DedupeStore
  const orchestrator = yield* OrchestratorClient
  const claim = yield* store.claim(event)
  const receipt = yield* orchestrator.notify(event).pipe(
    Effect.tapError((error) =>
      warnIfStale(claim, store.release(claim, releaseReason(error))).pipe(
        Effect.catch((failed) =>
          Effect.logWarning({
            outcome: failed._tag,
            eventId: event.eventId,
            detail: failed.message
          })
        )
      )
    )
  )
  yield* warnIfStale(claim, Effect.retry(store.complete(claim, receipt), { times: 2, schedule: settleRetries }))
  return { transition: event.transition, event, receipt }
}, Effect.uninterruptible)

/**
 * The whole job for one delivery: verify the raw bytes, decode, detect the transition, and notify once. NO_CHANGE
 * touches neither the store nor the orchestrator. Writes one log line, whatever the end. Uninterruptible, so that the
 * line says what became of the event although its caller hung up.
 *
 * **Fails with** WebhookError.
 *
 * @example
 * handleWebhookEvent({ header: (name) => request.headers.get(name) ?? undefined, body }).pipe(Effect.provide(Live))
 */
export const handleWebhookEvent = (
  delivery: Delivery
): Effect.Effect<Handled, WebhookError, SignatureVerifier | DedupeStore | OrchestratorClient> =>
  Effect.clockWith((clock: Clock.Clock) =>
    Effect.suspend(() => {
      const startedAt = clock.currentTimeMillisUnsafe()
      let seen: PauseEvent | NoChange | undefined
      return Effect.gen(function* () {
        const verifier = yield* SignatureVerifier
        const verified = yield* verifier.verify(delivery)
        const payload = yield* Effect.flatMap(parseBody(delivery.body), validatePayload)
        seen = yield* extractPauseEvent(payload, verified.webhookId)
        return seen.transition === "NO_CHANGE" ? seen : yield* notifyOnce(seen)
      }).pipe(
        Effect.onExit((exit) => logOutcome(seen, exit, clock.currentTimeMillisUnsafe() - startedAt)),
        Effect.uninterruptible
      )
    })
  )
