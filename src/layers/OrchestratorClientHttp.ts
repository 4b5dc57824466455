import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { PauseEvent, Receipt } from "../schema/PauseEvent.ts"
import {
  OrchestratorClient,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../services/OrchestratorClient.ts"
import * as Config from "./Config.ts"

/** The platform's fetch; tests put their own here. */
export const Fetch = Context.Reference<typeof globalThis.fetch>("pause-status-webhook-handler/layers/Fetch", {
  defaultValue: () => globalThis.fetch
})

const encodeEvent = Schema.encodeSync(Schema.fromJsonString(PauseEvent))
const decodeReceipt = Schema.decodeEffect(Schema.fromJsonString(Receipt))

const firstPauseMillis = 100
const worthAnotherTry = (status: number) => status >= 500 || status === 408 || status === 425 || status === 429

const retryAfter = (header: string | null, nowMillis: number): { readonly retryAfterSeconds?: number } => {
  if (header === null) return {}
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - nowMillis) / 1000)
  return Number.isNaN(seconds) ? {} : { retryAfterSeconds: Math.max(0, seconds) }
}

// The project's key is for the project: an orchestrator elsewhere gets its own key or none.
const credentials = Effect.gen(function* () {
  const url = yield* Config.orchestratorUrl
  const own = yield* Config.orchestratorKey
  if (Option.isSome(own)) return { authorization: `Bearer ${Redacted.value(own.value)}` }
  if (url.origin !== (yield* Config.supabaseUrl).origin) return {}
  const [key] = yield* Config.supabaseSecretKeys
  const value = key === undefined ? "" : Redacted.value(key)
  // Supabase's gateway takes a new-style key in apikey only; a legacy one is a JWT and goes in both.
  return value.startsWith("sb_") ? { apikey: value } : { apikey: value, authorization: `Bearer ${value}` }
})

/**
 * Calls the orchestrator over fetch. Each call has a timeout and is aborted at its end; connection errors, timeouts,
 * 408, 425, 429 and 5xx are tried again with exponential, jittered pauses, or after Retry-After, as long as that
 * stays within the budget. A redirect is a refusal: credentials follow nobody.
 */
export const layer = Layer.effect(
  OrchestratorClient,
  Effect.gen(function* () {
    const fetch = yield* Fetch
    const url = (yield* Config.orchestratorUrl).href
    const headers = {
      "content-type": "application/json",
      accept: "application/json",
      ...(yield* credentials)
    }
    const timeoutMillis = yield* Config.orchestratorTimeout
    const budgetMillis = yield* Config.orchestratorBudget
    const retries = yield* Config.orchestratorRetries

    const call = Effect.fnUntraced(function* (event: PauseEvent): Effect.fn.Return<Receipt, OrchestratorError> {
      const { eventId } = event
      const unavailable = (failure: OrchestratorUnavailable["failure"], detail: string, after = {}) =>
        new OrchestratorUnavailable({ eventId, failure, detail, ...after })
      // One promise for head and body, so that the timeout aborts a body that never ends as well.
      const { response, text } = yield* Effect.tryPromise({
        try: (signal) =>
          fetch(url, {
            method: "POST",
            headers: { ...headers, "idempotency-key": eventId },
            body: encodeEvent(event),
            redirect: "manual",
            signal
          }).then((response) => response.text().then((text) => ({ response, text }))),
        catch: () => unavailable("connection", "the connection failed")
      })
      if (response.ok) {
        return yield* decodeReceipt(text).pipe(
          Effect.mapError(() => unavailable("receipt", `status ${response.status} without a JSON object as receipt`))
        )
      }
      if (!worthAnotherTry(response.status)) return yield* new OrchestratorRefused({ eventId, status: response.status })
      const after = retryAfter(response.headers.get("retry-after"), yield* Clock.currentTimeMillis)
      return yield* unavailable("status", `status ${response.status}`, after)
    })

    const timed = (event: PauseEvent, millis: number) =>
      Effect.timeoutOrElse(Effect.interruptible(call(event)), {
        duration: millis,
        orElse: () =>
          Effect.fail(
            new OrchestratorUnavailable({
              eventId: event.eventId,
              failure: "timeout",
              detail: `no answer within ${Math.round(millis)} ms`
            })
          )
      })

    const notify = Effect.fn("OrchestratorClient.notify")(function* (
      event: PauseEvent
    ): Effect.fn.Return<Receipt, OrchestratorError> {
      const endsAt = (yield* Clock.currentTimeMillis) + budgetMillis
      const attempt = Effect.fnUntraced(function* (left: number): Effect.fn.Return<Receipt, OrchestratorError> {
        const remaining = endsAt - (yield* Clock.currentTimeMillis)
        return yield* timed(event, Math.min(timeoutMillis, remaining)).pipe(
          Effect.catchTag("OrchestratorUnavailable", (error) => again(error, left))
        )
      })
      const again = Effect.fnUntraced(function* (
        error: OrchestratorUnavailable,
        left: number
      ): Effect.fn.Return<Receipt, OrchestratorError> {
        const backoff = firstPauseMillis * 2 ** (retries - left) * (yield* Random.nextBetween(0.5, 1.5))
        const pause = Math.max(backoff, (error.retryAfterSeconds ?? 0) * 1000)
        const wouldStartAt = (yield* Clock.currentTimeMillis) + pause
        if (left === 0 || wouldStartAt >= endsAt) return yield* error
        yield* Effect.sleep(pause)
        return yield* attempt(left - 1)
      })
      return yield* attempt(retries)
    })
    return OrchestratorClient.of({ notify })
  })
)
