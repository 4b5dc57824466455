import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { reachedNobody } from "../schema/Receipt.ts"
import { type BatchItem, firstError, type Handled, type HandledBatch, type Seen, type WebhookError } from "./Outcome.ts"
import type { Notified } from "./Round.ts"
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
  "skewSeconds" in error && error.skewSeconds !== undefined ? { skewSeconds: error.skewSeconds } : {}

const isExpected = (error: WebhookError): boolean => error._tag === "AlreadyProcessed" || error._tag === "EventInFlight"

// Supabase keeps 100 log lines per ten seconds: a batch is one line, with its failures told apart.
const mostFailures = 10

const failureOf = ({ eventId, result }: BatchItem) =>
  Result.isSuccess(result)
    ? []
    : [{ ...(eventId !== undefined && { eventId }), outcome: result.failure._tag, detail: describe(result.failure) }]

const isNotified = (handled: Handled): handled is Notified => handled.transition !== "NO_CHANGE"

const tally = (items: ReadonlyArray<BatchItem>) => {
  const failures = items.flatMap(failureOf)
  const handled = items.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
  const accepted = handled.filter(isNotified)
  const noRecipients = accepted.filter(({ receipt }) => reachedNobody(receipt)).length
  const isExpectedOnly = items.every(({ result }) => Result.isSuccess(result) || isExpected(result.failure))
  return {
    isClean: isExpectedOnly && noRecipients === 0,
    notified: accepted.length - noRecipients,
    noRecipients,
    noChange: handled.length - accepted.length,
    failed: failures.length,
    failures: failures.slice(0, mostFailures)
  }
}

const log = (isClean: boolean, line: Readonly<Record<string, unknown>>): Effect.Effect<void> =>
  isClean ? Effect.logInfo(line) : Effect.logWarning(line)

/** What a line says of the further events that a delivery went on with. */
const furtherOf = (continued: ReadonlyArray<BatchItem>) => {
  const { failed, failures, isClean, noRecipients } = tally(continued)
  return {
    isClean,
    further: {
      ...(continued.length > 0 && { continued: continued.length }),
      ...(noRecipients > 0 && { continuedNoRecipients: noRecipients }),
      ...(failed > 0 && { continuedFailed: failed, continuedFailures: failures })
    }
  }
}

const logBatch = (
  { continued, items }: HandledBatch,
  known: Readonly<Record<string, unknown>>
): Effect.Effect<void> => {
  const { failed, failures, isClean, noChange, noRecipients, notified } = tally(items)
  const { further, isClean: isFurtherClean } = furtherOf(continued)
  const line = { outcome: "batch", events: items.length, notified, noRecipients, noChange, ...further, ...known }
  return log(isClean && isFurtherClean, failed === 0 ? line : { ...line, failed, failures })
}

const logHandled = (handled: Handled, known: Readonly<Record<string, unknown>>): Effect.Effect<void> => {
  if (!isNotified(handled)) {
    return log(handled.reason !== "unrecognised", { outcome: "no_change", ...known, reason: handled.reason })
  }
  const isTold = !reachedNobody(handled.receipt)
  const { further, isClean } = furtherOf(handled.continued ?? [])
  return log(isTold && isClean, { outcome: isTold ? "notified" : "no_recipients", ...known, ...further })
}

/**
 * Writes the one log line of a delivery. Never a secret, a payload or a status text that the sender chose.
 *
 * **Shape** `{ outcome, durationMs }`, with `eventId`, `mentorId` and `transition` as soon as they are known, and
 * `reason` or `detail` where there is one. `outcome` is `notified`, `no_recipients`, `no_change`, `batch` (with counts and
 * the first failures), the error's tag, or `defect`. `continued` counts the further events that the delivery went on with,
 * and is followed by what failed of them. `olderSecret` says which, when the newest secret had not signed; a refusal gives
 * `skewSeconds` when the sender said what time it was.
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
  return log(isExpected(error), line)
}
