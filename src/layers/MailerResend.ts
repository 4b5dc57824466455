import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import { type Mail, type MailError, Mailer, MailUnavailable } from "../services/Mailer.ts"
import * as Config from "./Config.ts"
import { promiseWithin } from "./Deadline.ts"
import { Fetch } from "./Fetch.ts"
import { readAnswer, type ResendAnswer, settingPauseSeconds } from "./ResendAnswer.ts"

/** The members in one order, however the mail was put together: Resend compares a repeated mail with the first one. */
const encode = ({ html, subject, text, to }: Mail, from: string): string =>
  JSON.stringify({ from, to: [to], subject, html, text })

const unset = (name: string) =>
  new MailUnavailable({ parked: true, detail: `${name} is not set`, retryAfterSeconds: settingPauseSeconds })

const failedToAnswer = (detail: string) => new MailUnavailable({ parked: false, detail })

const judge = (result: Result.Result<string, MailError>): CircuitBreaker.Verdict => {
  if (Result.isSuccess(result) || result.failure._tag === "MailRejected") return { failed: false }
  const { parked, retryAfterSeconds, status } = result.failure
  return parked || status === 409 ? { failed: false } : { failed: true, retryAfterSeconds }
}

/**
 * Sends mails with Resend over fetch, within a circuit breaker. Each mail is one call with a time limit, which is not
 * repeated here: the outbox tries again, under the same idempotency key. After a 429 no mail is tried until Resend's
 * Retry-After has passed. Without RESEND_API_KEY or MAIL_FROM every mail waits. Redirects are not followed, so
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
    let limited = { until: 0, by: "" }

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
              return { status: response.status, retryAfter: response.headers.get("retry-after"), text }
            })
          ),
        onRejection: () => failedToAnswer("the connection failed"),
        onTimeout: () => failedToAnswer(`no answer within ${millis} ms`)
      })

    const call = Effect.fnUntraced(function* (body: string, secret: Redacted.Redacted, idempotencyKey?: string) {
      const answer = yield* Effect.result(post(body, secret, idempotencyKey))
      const now = yield* Clock.currentTimeMillis
      const result = Result.flatMap(answer, (found) => readAnswer(found, secret, now))
      if (Result.isFailure(result) && result.failure._tag === "MailUnavailable" && result.failure.status === 429) {
        const { code, retryAfterSeconds = 1 } = result.failure
        limited = { until: now + retryAfterSeconds * 1000, by: code ?? "status 429" }
      }
      return result
    })

    const send = Effect.fn("Mailer.send")(function* (mail: Mail): Effect.fn.Return<string, MailError> {
      if (Option.isNone(key)) return yield* unset("RESEND_API_KEY")
      const from = mail.from ?? Option.getOrUndefined(sender)
      if (from === undefined) return yield* unset("MAIL_FROM")
      const waitMillis = limited.until - (yield* Clock.currentTimeMillis)
      if (waitMillis > 0) {
        const retryAfterSeconds = Math.ceil(waitMillis / 1000)
        return yield* new MailUnavailable({ parked: true, detail: `after ${limited.by}`, retryAfterSeconds })
      }
      const result = yield* breaker.protect(call(encode(mail, from), key.value, mail.idempotencyKey), judge).pipe(
        Effect.catchTag("CircuitOpen", ({ retryAfterSeconds }) => {
          const detail = "it failed too often in a row and is given a pause"
          return Effect.fail(new MailUnavailable({ parked: true, detail, retryAfterSeconds }))
        })
      )
      return yield* Effect.fromResult(result)
    })

    return { send }
  })
)
