import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import type { OrchestratorUnavailable } from "../topics/OrchestratorClient.ts"
import * as Config from "./Config.ts"
import { promiseWithin } from "./Deadline.ts"

/** A call that ended otherwise than with a 2xx and the JSON expected. */
export type CallFailed =
  | { readonly kind: "permanent"; readonly status: number }
  | {
      readonly kind: "transient"
      readonly failure: OrchestratorUnavailable["failure"]
      readonly detail: string
      readonly status?: number
      readonly retryAfterSeconds?: number
    }

const firstPauseMillis = 100

/** What a status other than 2xx means: 408, 425, 429 and 5xx may pass, all else will not. */
export const failedStatus = (status: number, after: { readonly retryAfterSeconds?: number } = {}): CallFailed =>
  status >= 500 || status === 408 || status === 425 || status === 429
    ? { kind: "transient", failure: "status", status, detail: `status ${status}`, ...after }
    : { kind: "permanent", status }

/** What a Retry-After asks for: a number of seconds, or a date. */
export const retryAfter = (header: string | null, nowMillis: number): { readonly retryAfterSeconds?: number } => {
  if (header === null) return {}
  const seconds = /^\d{1,9}$/.test(header) ? Number(header) : Math.ceil((Date.parse(header) - nowMillis) / 1000)
  return Number.isNaN(seconds) ? {} : { retryAfterSeconds: Math.max(0, seconds) }
}

/** What is posted, and what reads the answer to it. */
export interface Call<A> {
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  readonly decode: (text: string) => Effect.Effect<A, Schema.SchemaError>
}

interface Answer {
  readonly response: Response
  readonly text: string
}

const read = <A>({ decode }: Call<A>, { response, text }: Answer): Effect.Effect<A, CallFailed> =>
  response.ok
    ? Effect.mapErrorEager(decode(text), () => ({
        kind: "transient",
        failure: "receipt",
        detail: `status ${response.status} without a JSON object as receipt`
      }))
    : Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.fail(failedStatus(response.status, retryAfter(response.headers.get("retry-after"), now)))
      )

/** Posts JSON to one URL, with timeout, bounded retries and budget; see OrchestratorClientHttp. */
export const makeSend = Effect.fnUntraced(function* (
  fetch: typeof globalThis.fetch,
  url: string,
  credentials: Readonly<Record<string, string>>
) {
  const timeoutMillis = yield* Config.orchestratorTimeout
  const budgetMillis = yield* Config.orchestratorBudget
  const retries = yield* Config.orchestratorRetries

  const post = <A>({ body, headers }: Call<A>, millis: number) =>
    // One promise for head and body, so that the timeout aborts a body that never ends as well.
    promiseWithin({
      millis,
      promise: (signal) =>
        fetch(url, {
          method: "POST",
          headers: { "content-type": "application/json", accept: "application/json", ...credentials, ...headers },
          body,
          redirect: "manual",
          signal
        }).then((response) => response.text().then((text) => ({ response, text }))),
      onRejection: (): CallFailed => ({ kind: "transient", failure: "connection", detail: "the connection failed" }),
      onTimeout: (): CallFailed => ({
        kind: "transient",
        failure: "timeout",
        detail: `no answer within ${Math.round(millis)} ms`
      })
    })

  const persist = <A>(call: Call<A>, endsAt: number, left: number): Effect.Effect<A, CallFailed> =>
    Effect.clockWith((clock: Clock.Clock) =>
      post(call, Math.min(timeoutMillis, endsAt - clock.currentTimeMillisUnsafe())).pipe(
        Effect.flatMap((answer) => read(call, answer)),
        Effect.catch((error) => (error.kind === "permanent" ? Effect.fail(error) : again(call, endsAt, left, error)))
      )
    )

  const again = Effect.fnUntraced(function* <A>(
    call: Call<A>,
    endsAt: number,
    left: number,
    error: CallFailed & { readonly kind: "transient" }
  ): Effect.fn.Return<A, CallFailed> {
    const backoff = firstPauseMillis * 2 ** (retries - left) * (yield* Random.nextBetween(0.5, 1.5))
    const pause = Math.max(backoff, (error.retryAfterSeconds ?? 0) * 1000)
    const wouldStartAt = (yield* Clock.currentTimeMillis) + pause
    if (left === 0 || wouldStartAt >= endsAt) return yield* Effect.fail(error)
    yield* Effect.sleep(pause)
    return yield* persist(call, endsAt, left - 1)
  })

  return <A>(call: Call<A>): Effect.Effect<A, CallFailed> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => persist(call, now + budgetMillis, retries))
})
