import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DedupeStore } from "./DedupeStore.ts"
import { handleBatch } from "./HandleBatch.ts"
import { notifyOnce } from "./NotifyOnce.ts"
import type { OrchestratorClient } from "./OrchestratorClient.ts"
import type { Handled, HandledBatch, Seen, WebhookError } from "./Outcome.ts"
import { logOutcome } from "./OutcomeLog.ts"
import { extractPauseEvent } from "./PauseEvents.ts"
import { parseBody, validatePayload } from "./Payload.ts"
import { type Delivery, SignatureVerifier, type Verified } from "./SignatureVerifier.ts"

/**
 * The whole job for one delivery: verify the raw bytes, decode, detect the transition, and notify once. NO_CHANGE
 * touches neither the store nor the orchestrator. An array of payloads is a batch: each ends on its own. Writes one log
 * line, whatever the end. Uninterruptible, so that the line says what became of the event although its caller hung up.
 *
 * **Fails with** WebhookError.
 *
 * @example
 * handleWebhookEvent({ header: (name) => request.headers.get(name) ?? undefined, body }).pipe(Effect.provide(Live))
 */
export const handleWebhookEvent = (
  delivery: Delivery
): Effect.Effect<Handled | HandledBatch, WebhookError, SignatureVerifier | DedupeStore | OrchestratorClient> =>
  Effect.clockWith((clock: Clock.Clock) => {
    const startedAt = clock.currentTimeMillisUnsafe()
    let verified: Verified | undefined
    let seen: Seen
    return Effect.gen(function* () {
      const verifier = yield* SignatureVerifier
      verified = yield* verifier.verify(delivery)
      const json = yield* parseBody(delivery.body)
      if (Array.isArray(json)) return yield* handleBatch(json)
      const payload = yield* validatePayload(json)
      seen = yield* extractPauseEvent(payload, verified.webhookId)
      return seen.transition === "NO_CHANGE" ? seen : yield* notifyOnce(seen)
    }).pipe(
      Effect.onExit((exit) => logOutcome(verified, seen, exit, clock.currentTimeMillisUnsafe() - startedAt)),
      Effect.uninterruptible
    )
  })
