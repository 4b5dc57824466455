import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { PauseEvent, Receipt } from "../schema/PauseEvent.ts"
import type { ClaimError } from "./DedupeStore.ts"
import type { OrchestratorError } from "./OrchestratorClient.ts"
import type { NoChange, NoEventTime } from "./PauseEvents.ts"
import type { InvalidPayload, MalformedBody } from "./Payload.ts"
import type { SignatureRejected } from "./SignatureVerifier.ts"

/** The orchestrator accepted the event, now. */
export interface Notified {
  readonly transition: PauseEvent["transition"]
  readonly event: PauseEvent
  readonly receipt: Receipt
}

/** How a delivery ended well. */
export type Handled = Notified | NoChange

/** How a delivery ended otherwise; each error says by itself what the sender is to do. */
export type WebhookError =
  | SignatureRejected
  | MalformedBody
  | InvalidPayload
  | NoEventTime
  | ClaimError
  | OrchestratorError

const subject = (seen: PauseEvent | NoChange | undefined) => ({
  ...(seen !== undefined && { mentorId: seen.mentorId, transition: seen.transition }),
  ...(seen !== undefined && "eventId" in seen && { eventId: seen.eventId })
})

const describe = (error: WebhookError): string =>
  error._tag === "InvalidPayload"
    ? error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
    : error.message

const isExpected = (error: WebhookError): boolean => error._tag === "AlreadyProcessed" || error._tag === "EventInFlight"

/**
 * Writes the one log line of a delivery. Never a secret, a payload or a status text that the sender chose.
 *
 * **Shape** `{ outcome, durationMs }`, with `eventId`, `mentorId` and `transition` as soon as they are known, and
 * `reason` or `detail` where there is one. `outcome` is `notified`, `no_change`, the error's tag, or `defect`.
 * **Units** `durationMs` milliseconds.
 */
export const logOutcome = (
  seen: PauseEvent | NoChange | undefined,
  exit: Exit.Exit<Handled, WebhookError>,
  durationMs: number
): Effect.Effect<void> => {
  const known = { ...subject(seen), durationMs }
  if (Exit.isSuccess(exit)) {
    const handled = exit.value
    if (handled.transition !== "NO_CHANGE") return Effect.logInfo({ outcome: "notified", ...known })
    const line = { outcome: "no_change", ...known, reason: handled.reason }
    return handled.reason === "unrecognised" ? Effect.logWarning(line) : Effect.logInfo(line)
  }
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) return Effect.logError({ outcome: "defect", ...known }, exit.cause)
  const line = { outcome: failure.error._tag, ...known, detail: describe(failure.error) }
  return isExpected(failure.error) ? Effect.logInfo(line) : Effect.logWarning(line)
}
