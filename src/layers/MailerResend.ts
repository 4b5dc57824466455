import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import { type Mail, type MailError, Mailer, MailUnavailable } from "../services/Mailer.ts"
import * as Turns from "../services/Turns.ts"
import * as Config from "./Config.ts"
import { promiseWithin } from "./Deadline.ts"
import { Fetch } from "./Fetch.ts"
import { readAnswer, type ResendAnswer, settingPauseSeconds } from "./ResendAnswer.ts"

/** The members in one order, however the mail was put together: Resend compares a repeated mail with the first one. */
const encode = ({ html, subject, text, to }: Mail, from: string): string =>
  JSON.stringify({ from, to: [to], subject, html, text })

const parked = (detail: string, retryAfterSeconds: number) =>
  new MailUnavailable({ parked: true, detail, retryAfterSeconds })

const unset = (name: string) => parked(`${name} is not set`, settingPauseSeconds)

const failedToAnswer = (detail: string) => new MailUnavailable({ parked: false, detail })

type Sent = Result.Result<string, MailError>

const isLimited = (result: Sent): result is Result.Failure<string, MailUnavailable> =>
  Result.isFailure(result) && result.failure._tag === "MailUnavailable" && result.failure.status === 429

const judge = (result: Sent): CircuitBreaker.Verdict => {
  if (Result.isSuccess(result) || result.failure._tag === "MailRejected") return { failed: false }
  const { parked, retryAfterSeconds, status } = result.failure
  return parked || status === 409 ? { failed: false } : { failed: true, retryAfterSeconds }
}

// What Resend grants until its answers say more.
const usualPerSecond = 2
const mostPerSecond = 100

const longQueue = "many mails are before it"

/**
 * Sends mails with Resend over fetch, within a circuit breaker. Each mail is one call with a time limit. What fails is not
 * repeated here: the outbox tries again, under the same idempotency key. Mails keep to the rate that Resend's answers
 * name, and after a 429 none is tried until its Retry-After has passed. A mail that may wait does so, and is tried
 * again after a 429; any other is parked. Without RESEND_API_KEY or MAIL_FROM every mail waits. Redirects are not followed, so
 * that the key goes nowhere else.
 */
export const layer = Layer.effect(
  Mailer,
  Effect.gen(function* () {
    const fetch = yield* Fetch
    const url = `${(yield* Config.resendUrl).href.replace(/\/$/, "")}/emails`
    const key = yield* Config.resendKey
    const sender = yield* Config.mailFrom
    const millis = yield* Config.resendTimeout
    const breaker = CircuitBreaker.make({
      failures: yield* Config.circuitFailures,
      openMillis: yield* Config.circuitOpen
    })
    const turns = Turns.make(usualPerSecond)
    let why = longQueue

    const post = (body: string, secret: Redacted.Redacted, idempotencyKey: string | undefined) =>
      // One promise for head and body, so that the time limit aborts a body that never ends as well.
      promiseWithin({
        millis,
        promise: (signal) =>
          fetch(url, {
            method: "POST",
            headers: {
              "content-type": "application/json",
              accept: "application/json",
              authorization: `Bearer ${Redacted.value(secret)}`,
              // Resend refuses requests without one.
              "user-agent": "pause-status-webhook-handler",
              ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey })
            },
            body,
            redirect: "manual",
            signal
          }).then((response) =>
            response.text().then((text): ResendAnswer => {
              const { headers, status } = response
              return { status, retryAfter: headers.get("retry-after"), limit: headers.get("ratelimit-limit"), text }
            })
          ),
        onRejection: () => failedToAnswer("the connection failed"),
        onTimeout: () => failedToAnswer(`no answer within ${millis} ms`)
      })

    const call = Effect.fnUntraced(function* (body: string, secret: Redacted.Redacted, idempotencyKey?: string) {
      const answer = yield* Effect.result(post(body, secret, idempotencyKey))
      const now = yield* Clock.currentTimeMillis
      const result = Result.flatMap(answer, (found) => readAnswer(found, secret, now))
      // An answer without the limit comes from a Resend that has none, if it has taken the mail.
      if (Result.isSuccess(answer) && Result.isSuccess(result)) {
        turns.pace(Number(answer.success.limit) || mostPerSecond)
      }
      if (isLimited(result)) {
        const { code = "status 429", retryAfterSeconds = 1 } = result.failure
        why = `after ${code}`
        turns.close((yield* Turns.monotonicMillis) + retryAfterSeconds * 1000)
      }
      return result
    })

    const send = Effect.fnUntraced(function* (
      mail: Mail,
      patienceMillis?: number
    ): Effect.fn.Return<string, MailError> {
      if (Option.isNone(key)) return yield* unset("RESEND_API_KEY")
      const from = mail.from ?? Option.getOrUndefined(sender)
      if (from === undefined) return yield* unset("MAIL_FROM")
      const body = encode(mail, from)
      const latest = patienceMillis === undefined ? undefined : (yield* Turns.monotonicMillis) + patienceMillis
      for (let result: Sent | undefined; ;) {
        const waitMillis = yield* turns.take(latest)
        if (waitMillis > 0) {
          return yield* Effect.fromResult(result ?? Result.fail(parked(why, Math.ceil(waitMillis / 1000))))
        }
        why = longQueue
        result = yield* breaker
          .protect(call(body, key.value, mail.idempotencyKey), judge)
          .pipe(
            Effect.catchTag("CircuitOpen", ({ retryAfterSeconds }) =>
              Effect.fail(parked("it failed too often in a row and is given a pause", retryAfterSeconds))
            )
          )
        if (!isLimited(result) || latest === undefined) return yield* Effect.fromResult(result)
      }
    })

    return { send }
  })
)
