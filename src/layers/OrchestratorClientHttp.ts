import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
import { Receipt } from "../schema/Receipt.ts"
import { OrchestratorBatchReply } from "../schema/OrchestratorReplies.ts"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import {
  OrchestratorCircuitOpen,
  OrchestratorClient,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../topics/OrchestratorClient.ts"
import * as Config from "./Config.ts"
import { Fetch } from "./Fetch.ts"
import { type CallFailed, failedStatus, makeSend } from "./OrchestratorCall.ts"

// An event is on the wire what it is here; should that change, this is no longer of the type it satisfies.
const encode = (events: PauseEvent | ReadonlyArray<PauseEvent>): string =>
  JSON.stringify(events satisfies typeof PauseEvent.Encoded | typeof PauseEvents.Encoded)
const decodeReceipt = Schema.decodeEffect(Schema.fromJsonString(Receipt))
const decodeBatch = Schema.decodeEffect(Schema.fromJsonString(OrchestratorBatchReply))

const mostCallsAtOnce = 16
const mostEventsInOneCall = 100

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

const toError = ({ eventId }: PauseEvent, error: CallFailed | CircuitBreaker.CircuitOpen): OrchestratorError => {
  if (!("kind" in error)) return new OrchestratorCircuitOpen({ eventId, retryAfterSeconds: error.retryAfterSeconds })
  if (error.kind === "permanent") return new OrchestratorRefused({ eventId, status: error.status })
  const { kind: _, ...rest } = error
  return new OrchestratorUnavailable({ eventId, ...rest })
}

type Answer = Result.Result<Receipt, OrchestratorError>

const toAnswer = (
  event: PauseEvent,
  item: (typeof OrchestratorBatchReply.Type)["results"][number] | undefined
): Answer => {
  const unclear = (detail: string): Answer =>
    Result.fail(toError(event, { kind: "transient", failure: "receipt", detail }))
  // A refusal must never be put down to a neighbour.
  if (item?.eventId !== event.eventId) return unclear("no result for this event")
  if (item.status < 200 || item.status > 299) return Result.fail(toError(event, failedStatus(item.status)))
  return item.receipt === undefined ? unclear(`status ${item.status} without a receipt`) : Result.succeed(item.receipt)
}

/**
 * Calls the orchestrator over fetch, within a circuit breaker. Each call has a timeout and is aborted at its end;
 * connection errors, timeouts, 408, 425, 429 and 5xx are tried again with exponential, jittered pauses, or after
 * Retry-After, as long as that stays within the budget. A redirect is a refusal: credentials follow nobody.
 *
 * Several events go in one call when the orchestrator takes arrays (ORCHESTRATOR_BATCH), else, or when it refuses the
 * array, in calls of one each.
 */
export const layer = Layer.effect(
  OrchestratorClient,
  Effect.gen(function* () {
    const send = yield* makeSend(yield* Fetch, (yield* Config.orchestratorUrl).href, yield* credentials)
    const takesArrays = yield* Config.orchestratorBatch
    const breaker = CircuitBreaker.make({
      failures: yield* Config.circuitFailures,
      openMillis: yield* Config.circuitOpen
    })

    const guarded = <A>(
      call: Effect.Effect<A, CallFailed>
    ): Effect.Effect<Result.Result<A, CallFailed | CircuitBreaker.CircuitOpen>> =>
      breaker
        .protect(Effect.result(call), (result) =>
          Result.isFailure(result) && result.failure.kind === "transient"
            ? { failed: true, retryAfterSeconds: result.failure.retryAfterSeconds }
            : { failed: false }
        )
        .pipe(Effect.catchTag("CircuitOpen", (open) => Effect.succeed(Result.fail(open))))

    const notifyEach = (event: PauseEvent): Effect.Effect<Answer> =>
      Effect.map(
        guarded(send({ body: encode(event), headers: { "idempotency-key": event.eventId }, decode: decodeReceipt })),
        Result.mapError((error) => toError(event, error))
      )

    const notifyOneByOne = (events: ReadonlyArray<PauseEvent>): Effect.Effect<ReadonlyArray<Answer>> =>
      Effect.forEach(events, notifyEach, { concurrency: Math.min(events.length, mostCallsAtOnce) })

    const notifyTogether = Effect.fnUntraced(function* (
      events: ReadonlyArray<PauseEvent>
    ): Effect.fn.Return<ReadonlyArray<Answer>> {
      const reply = yield* guarded(send({ body: encode(events), headers: {}, decode: decodeBatch }))
      if (Result.isSuccess(reply)) return events.map((event, index) => toAnswer(event, reply.success.results[index]))
      const { failure } = reply
      // Who refuses the array may refuse one event of it, or arrays, or their size: that kills none of the others.
      if ("kind" in failure && failure.kind === "permanent") return yield* notifyOneByOne(events)
      return events.map((event) => Result.fail(toError(event, failure)))
    })

    return OrchestratorClient.of({
      atOnce: takesArrays ? mostEventsInOneCall : mostCallsAtOnce,
      notify: (events) => (takesArrays && events.length > 1 ? notifyTogether(events) : notifyOneByOne(events))
    })
  })
)
