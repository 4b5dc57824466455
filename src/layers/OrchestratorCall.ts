import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import {
  OrchestratorCircuitOpen,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../topics/OrchestratorClient.ts"
import * as Config from "./Config.ts"
import { promiseWithin } from "./Deadline.ts"
import { Fetch } from "./Fetch.ts"
import { type RetryAfter, retryAfter } from "./RetryAfter.ts"

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

/** Whether what a status other than 2xx says may pass: 408, 425, 429 and 5xx do. */
const mayPass = (status: number): boolean => status >= 500 || status === 408 || status === 425 || status === 429

/** What a status other than 2xx means. */
export const failedStatus = (status: number, passes = mayPass(status), after: RetryAfter = {}): CallFailed =>
  passes
    ? { kind: "transient", failure: "status", status, detail: `status ${status}`, ...after }
    : { kind: "permanent", status }

/** Who is called. **Shape** `mayPass` and `retryAfter` are for what does not follow HTTP's own rules. */
export interface Peer {
  readonly url: string
  readonly credentials: Readonly<Record<string, string>>
  readonly mayPass?: (status: number) => boolean
  readonly retryAfter?: (headers: Headers, nowMillis: number) => RetryAfter
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

const read = <A>(peer: Peer, { decode }: Call<A>, { response, text }: Answer): Effect.Effect<A, CallFailed> =>
  response.ok
    ? Effect.mapErrorEager(decode(text), () => ({
        kind: "transient",
        failure: "receipt",
        detail: `status ${response.status} without a JSON object as receipt`
      }))
    : Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const { headers, status } = response
        const after = peer.retryAfter?.(headers, now) ?? retryAfter(headers.get("retry-after"), now)
        return Effect.fail(failedStatus(status, (peer.mayPass ?? mayPass)(status), after))
      })

const makeSend = Effect.fnUntraced(function* (peer: Peer) {
  const { credentials, url } = peer
  const fetch = yield* Fetch
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
        Effect.flatMap((answer) => read(peer, call, answer)),
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

/**
 * Posts JSON to one URL, within a circuit breaker. Each call has a timeout and is aborted at its end; connection errors,
 * timeouts, and what may pass are tried again with exponential, jittered pauses, or after Retry-After, as long as that
 * stays within the budget. A redirect is a refusal: credentials must not follow it.
 */
export const makeCall = Effect.fnUntraced(function* (peer: Peer) {
  const send = yield* makeSend(peer)
  const breaker = CircuitBreaker.make({
    failures: yield* Config.circuitFailures,
    openMillis: yield* Config.circuitOpen
  })
  return <A>(call: Call<A>): Effect.Effect<Result.Result<A, CallFailed | CircuitBreaker.CircuitOpen>> =>
    breaker
      .protect(Effect.result(send(call)), (result) =>
        Result.isFailure(result) && result.failure.kind === "transient"
          ? { failed: true, retryAfterSeconds: result.failure.retryAfterSeconds }
          : { failed: false }
      )
      .pipe(Effect.catchTag("CircuitOpen", (open) => Effect.succeed(Result.fail(open))))
})

/** How a call ended, as the error of one event that went with it. */
export const toError = ({ eventId }: PauseEvent, error: CallFailed | CircuitBreaker.CircuitOpen): OrchestratorError => {
  if (!("kind" in error)) return new OrchestratorCircuitOpen({ eventId, retryAfterSeconds: error.retryAfterSeconds })
  if (error.kind === "permanent") return new OrchestratorRefused({ eventId, status: error.status })
  const { kind: _, ...rest } = error
  return new OrchestratorUnavailable({ eventId, ...rest })
}
