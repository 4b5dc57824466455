import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { Handler } from "./Handler.ts"
import {
  type BatchItem,
  type Ended,
  firstError,
  type Handled,
  type HandledBatch,
  type Seen,
  type TopicError,
  type WebhookError
} from "./Outcome.ts"
import { InvalidPayload } from "./Payload.ts"
import type { NoChange } from "./Extract.ts"
import type { Verified } from "./SignatureVerifier.ts"

type Failure = WebhookError<TopicError>
type Item = BatchItem<unknown, TopicError>
type Line = Readonly<Record<string, unknown>>

const subject = <Event, E, R>({ about }: Handler<Event, E, R>, seen: Seen<Event>): Line => {
  if (seen === undefined) return {}
  if (seen._tag === "NoChange") return { key: seen.key }
  const { eventId, key } = seen.entry
  return { key, ...about(seen.event), eventId }
}

/** What a log line, or the history of an event, says of an error: for an invalid payload every issue with its path. */
export const describe = (error: Failure): string =>
  error instanceof InvalidPayload
    ? error.issues.map(({ message, path }) => [path.join("."), message].filter(Boolean).join(": ")).join("; ")
    : error.message

const skewOf = (error: Failure) =>
  "skewSeconds" in error && error.skewSeconds !== undefined ? { skewSeconds: error.skewSeconds } : {}

const isExpected = (error: Failure): boolean => error._tag === "AlreadyProcessed" || error._tag === "EventInFlight"

// Supabase keeps 100 log lines per ten seconds: so a batch is one line, with its failures by kind.
const mostFailures = 10

const failureOf = ({ eventId, result }: Item) =>
  Result.isSuccess(result)
    ? []
    : [{ ...(eventId !== undefined && { eventId }), outcome: result.failure._tag, detail: describe(result.failure) }]

const tally = (items: ReadonlyArray<Item>) => {
  const failures = items.flatMap(failureOf)
  const ended = items.flatMap(({ result }) => (Result.isSuccess(result) ? [result.success] : []))
  const handled = ended.filter((end) => end._tag === "Handled")
  const noRecipients = handled.filter(({ status }) => status === "no_recipients").length
  const isExpectedOnly = items.every(({ result }) => Result.isSuccess(result) || isExpected(result.failure))
  return {
    isClean: isExpectedOnly && noRecipients === 0,
    handled: handled.length - noRecipients,
    noRecipients,
    noChange: ended.length - handled.length,
    failed: failures.length,
    failures: failures.slice(0, mostFailures)
  }
}

const log = (isClean: boolean, line: Line): Effect.Effect<void> =>
  isClean ? Effect.logInfo(line) : Effect.logWarning(line)

/** What a line says of the further events that a delivery went on with. */
const furtherOf = (continued: ReadonlyArray<Item>) => {
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

const logBatch = (done: string, { continued, items }: HandledBatch<unknown, TopicError>, known: Line) => {
  const { failed, failures, handled, isClean, noChange, noRecipients } = tally(items)
  const { further, isClean: isFurtherClean } = furtherOf(continued)
  const line = { outcome: "batch", events: items.length, [done]: handled, noRecipients, noChange, ...further, ...known }
  return log(isClean && isFurtherClean, failed === 0 ? line : { ...line, failed, failures })
}

const logNoChange = ({ isUnexpected = false, reason }: NoChange, known: Line) =>
  log(!isUnexpected, { outcome: "no_change", ...known, reason })

const logHandled = ({ continued = [], status }: Handled<unknown>, known: Line) => {
  const { further, isClean } = furtherOf(continued)
  return log(isClean && status !== "no_recipients", { outcome: status, ...known, ...further })
}

/**
 * Writes the one log line of a delivery. Never a secret, a payload or a status text that the sender chose.
 *
 * **Shape** `{ outcome, topic, durationMs }`, with `key`, `eventId` and what the topic says about its event as soon as they
 * are known, and `reason` or `detail` where there is one. `outcome` is the topic's word for a handled event,
 * `no_recipients`, `no_change`, `batch` (with counts and the first failures), the error's tag, or `defect`. `continued`
 * counts the further events that the delivery went on with, and is followed by what failed of them. `olderSecret` says
 * which, if the newest secret did not sign; a refusal gives `skewSeconds` when the sender said what time it was.
 * **Units** `durationMs` milliseconds; `skewSeconds` our clock minus the sender's.
 */
export const logOutcome = <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>,
  verified: Verified | undefined,
  seen: Seen<Event>,
  exit: Exit.Exit<Ended<Event, E>, WebhookError<E>>,
  durationMs: number
): Effect.Effect<void> => {
  const known: Line = {
    topic: handler.name,
    ...subject(handler, seen),
    ...(verified?.olderSecret !== undefined && { olderSecret: verified.olderSecret }),
    durationMs
  }
  if (Exit.isSuccess(exit)) {
    const { value } = exit
    if (value._tag === "Batch") return logBatch(handler.done, value, known)
    return value._tag === "NoChange" ? logNoChange(value, known) : logHandled(value, known)
  }
  const error = firstError<Failure>(exit.cause)
  if (error === undefined) return Effect.logError({ outcome: "defect", ...known }, exit.cause)
  const line = { outcome: error._tag, ...known, ...skewOf(error), detail: describe(error) }
  return log(isExpected(error), line)
}
