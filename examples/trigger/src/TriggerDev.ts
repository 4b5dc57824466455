import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Environment, Fetch, Misconfigured } from "pause-status-webhook-handler/supabase"

/** Trigger.dev did not accept the job. **Shape** `retryable` is false if it would refuse the job again. */
export class TriggerFailed extends Data.TaggedError("TriggerFailed")<{
  readonly detail: string
  readonly retryable: boolean
}> {
  override get message(): string {
    return `Trigger.dev did not take the job: ${this.detail}`
  }
}

/** **Shape** `idempotencyKey` is the event id, so triggering it again returns the same run. */
export interface Job {
  readonly task: string
  readonly payload: unknown
  readonly idempotencyKey: string
  readonly concurrencyKey: string
}

const decodeRun = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ id: Schema.NonEmptyString })))
const failed = (detail: string, retryable: boolean) => new TriggerFailed({ detail, retryable })

const setting = (key: string, fallback?: string) =>
  Effect.flatMap(Environment, (texts) => {
    const value = texts[key] || fallback
    return value === undefined ? Effect.fail(new Misconfigured({ key, hint: "set it" })) : Effect.succeed(value)
  })

/** Triggers a task through the HTTP API and returns its run's id. The SDK is 217 KB after gzip. */
export const trigger = Effect.fnUntraced(function* ({ concurrencyKey, idempotencyKey, payload, task }: Job) {
  const fetch = yield* Fetch
  const url = new URL(
    `/api/v1/tasks/${encodeURIComponent(task)}/trigger`,
    yield* setting("TRIGGER_API_URL", "https://api.trigger.dev")
  )
  const secretKey = Redacted.make(yield* setting("TRIGGER_SECRET_KEY"))
  const options = { idempotencyKey, concurrencyKey: concurrencyKey.slice(0, 128), tags: [`event:${idempotencyKey}`] }
  const send = Effect.tryPromise({
    try: (signal) =>
      fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${Redacted.value(secretKey)}` },
        body: JSON.stringify({ payload, options }),
        redirect: "manual",
        signal
      }).then((response) => response.text().then((text) => ({ status: response.status, ok: response.ok, text }))),
    catch: () => failed("the connection failed", true)
  }).pipe(
    Effect.timeoutOrElse({ duration: "3 seconds", orElse: () => Effect.fail(failed("no answer within 3 s", true)) })
  )
  return yield* send.pipe(
    Effect.flatMap(({ ok, status, text }) =>
      ok
        ? Effect.mapError(decodeRun(text), () => failed(`status ${status} without a run`, true))
        : Effect.fail(failed(`status ${status}`, status >= 500 || status === 408 || status === 429))
    ),
    Effect.map(({ id }) => id),
    Effect.retry({
      while: ({ retryable }) => retryable,
      times: 2,
      schedule: Schedule.exponential("100 millis").pipe(Schedule.jittered)
    })
  )
})
