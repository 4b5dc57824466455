import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { type BatchItem, firstError, type Handled, type HandledBatch, type Seen, type WebhookError } from "./Outcome.ts"
import type { Verified } from "./SignatureVerifier.ts"

const subject = (seen: Seen) => ({
  ...(seen !== undefined && { mentorId: seen.mentorId, transition: seen.transition }),
  ...(seen !== undefined && "eventId" in seen && { eventId: seen.eventId })
})

const describe = (error: WebhookError): string =>
  error._tag === "InvalidPayload"
    ? error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
    : error.message

const skewOf = (error: WebhookError) =>
  error._tag === "SignatureRejected" && error.skewSeconds !== undefined ? { skewSeconds: error.skewSeconds } : {}

const isExpected = (error: WebhookError): boolean => error._tag === "AlreadyProcessed" || error._tag === "EventInFlight"

// Supabase keeps 100 log lines per ten seconds: a batch is one line, with its failures told apart.
const mostFailures = 10

const failureOf = ({ eventId, result }: BatchItem) =>
  Result.isSuccess(result)
    ? []
    : [{ ...(eventId !== undefined && { eventId }), outcome: result.failure._tag, detail: describe(result.failure) }]

const logBatch = ({ items }: HandledBatch, known: Readonly<Record<string, unknown>>): Effect.Effect<void> => {
  const failures = items.flatMap(failureOf)
  const handled = items.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
  const notified = handled.filter(({ transition }) => transition !== "NO_CHANGE").length
  const line = { outcome: "batch", events: items.length, notified, noChange: handled.length - notified, ...known }
  const clean = items.every(({ result }) => Result.isSuccess(result) || isExpected(result.failure))
  const whole = { ...line, failed: failures.length, failures: failures.slice(0, mostFailures) }
  return clean ? Effect.logInfo(failures.length === 0 ? line : whole) : Effect.logWarning(whole)
}

const logHandled = (handled: Handled, known: Readonly<Record<string, unknown>>): Effect.Effect<void> => {
  if (handled.transition !== "NO_CHANGE") return Effect.logInfo({ outcome: "notified", ...known })
  const line = { outcome: "no_change", ...known, reason: handled.reason }
  return handled.reason === "unrecognised" ? Effect.logWarning(line) : Effect.logInfo(line)
}

/**
 * Writes the one log line of a delivery. Never a secret, a payload or a status text that the sender chose.
 *
 * **Shape** `{ outcome, durationMs }`, with `eventId`, `mentorId` and `transition` as soon as they are known, and
 * `reason` or `detail` where there is one. `outcome` is `notified`, `no_change`, `batch` (with counts and the first
 * failures), the error's tag, or `defect`. `olderSecret` says which, when the newest secret had not signed; a refusal
 * gives `skewSeconds` when the sender said what time it was.
 * **Units** `durationMs` milliseconds; `skewSeconds` our clock minus the sender's.
 */
export const logOutcome = (
  verified: Verified | undefined,
  seen: Seen,
  exit: Exit.Exit<Handled | HandledBatch, WebhookError>,
  durationMs: number
): Effect.Effect<void> => {
  const known = {
    ...subject(seen),
    ...(verified?.olderSecret !== undefined && { olderSecret: verified.olderSecret }),
    durationMs
  }
  if (Exit.isSuccess(exit)) {
    return exit.value.transition === "BATCH" ? logBatch(exit.value, known) : logHandled(exit.value, known)
  }
  const error = firstError(exit.cause)
  if (error === undefined) return Effect.logError({ outcome: "defect", ...known }, exit.cause)
  const line = { outcome: error._tag, ...known, ...skewOf(error), detail: describe(error) }
  return isExpected(error) ? Effect.logInfo(line) : Effect.logWarning(line)
}
