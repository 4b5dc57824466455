import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type MailError, MailRejected, MailUnavailable } from "../services/Mailer.ts"
import { retryAfter } from "./RetryAfter.ts"

const decodeAccepted = Schema.decodeOption(Schema.fromJsonString(Schema.Struct({ id: Schema.NonEmptyString })))
const decodeProblem = Schema.decodeOption(
  Schema.fromJsonString(Schema.Struct({ name: Schema.String, message: Schema.String }))
)

// Whatever Resend asks for, it is asked again after this long.
const longestPauseSeconds = 300

/** How long a mail waits for a setting. */
export const settingPauseSeconds = 60

const longestDetail = 200
const addresses = /[^\s@<>()"'`,;:]+@[^\s@<>()"'`,;:]+/gu
const keys = /\bre_\w+/gu

/** What Resend says, without what its messages may repeat: addresses and keys. */
const presentable = (text: string, secret: Redacted.Redacted): string =>
  text
    .replaceAll(Redacted.value(secret), "(key)")
    .replaceAll(addresses, "(address)")
    .replaceAll(keys, "(key)")
    .slice(0, longestDetail)
    // Last, because the cut may leave half of a surrogate pair.
    .replaceAll(/[\p{Cc}\p{Cs}]+/gu, " ")

/** What Resend answered. **Shape** `limit` is how many requests a second it grants. */
export interface ResendAnswer {
  readonly status: number
  readonly limit: string | null
  readonly retryAfter: string | null
  readonly text: string
}

const failureOf = (answer: ResendAnswer, secret: Redacted.Redacted, now: number): MailError => {
  const { status } = answer
  const problem = Option.getOrUndefined(decodeProblem(answer.text))
  const code = problem !== undefined && /^[a-z_]{1,64}$/.test(problem.name) ? problem.name : undefined
  const detail = problem === undefined ? `status ${status}` : presentable(problem.message, secret)
  const failure = { status, detail, ...(code !== undefined && { code }) }
  const parked = (seconds: number) =>
    new MailUnavailable({ ...failure, parked: true, retryAfterSeconds: Math.min(seconds, longestPauseSeconds) })

  if (status === 429) {
    const fallback = code?.endsWith("quota_exceeded") === true ? longestPauseSeconds : 1
    return parked(Math.max(1, retryAfter(answer.retryAfter, now).retryAfterSeconds ?? fallback))
  }
  // No mail is at fault when the key is: each waits until the key is right.
  if (status === 401 || code === "invalid_api_key") return parked(settingPauseSeconds)
  // Something between us and Resend may answer as well: only Resend itself refuses a mail.
  const passes = status >= 500 || status === 408 || status === 425 || code === "concurrent_idempotent_requests"
  if (passes || code === undefined) {
    return new MailUnavailable({ ...failure, parked: false, ...retryAfter(answer.retryAfter, now) })
  }
  return new MailRejected(failure)
}

/** The message id, or why there is none. */
export const readAnswer = (
  answer: ResendAnswer,
  secret: Redacted.Redacted,
  now: number
): Result.Result<string, MailError> => {
  if (answer.status < 200 || answer.status > 299) return Result.fail(failureOf(answer, secret, now))
  return Option.match(decodeAccepted(answer.text), {
    onNone: () =>
      Result.fail(new MailUnavailable({ parked: false, status: answer.status, detail: "no message id was returned" })),
    onSome: ({ id }) => Result.succeed(id)
  })
}
