import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
import { Receipt } from "../schema/Receipt.ts"
import { OrchestratorBatchReply } from "../schema/OrchestratorReplies.ts"
import { OrchestratorClient, type OrchestratorError } from "../topics/OrchestratorClient.ts"
import * as Config from "./Config.ts"
import { failedStatus, makeCall, toError } from "./OrchestratorCall.ts"

// An event is on the wire what it is here; should that change, this is no longer of the type it satisfies.
const encode = (events: PauseEvent | ReadonlyArray<PauseEvent>): string =>
  JSON.stringify(events satisfies typeof PauseEvent.Encoded | typeof PauseEvents.Encoded)
const decodeReceipt = Schema.decodeEffect(Schema.fromJsonString(Receipt))
const decodeBatch = Schema.decodeEffect(Schema.fromJsonString(OrchestratorBatchReply))

const mostCallsAtOnce = 16
const mostEventsInOneCall = 100

const headersOf = ({ eventId, traceparent }: PauseEvent) => ({
  "idempotency-key": eventId,
  ...(traceparent !== undefined && { traceparent })
})

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
 * Calls the orchestrator over fetch; see OrchestratorCall.
 *
 * Several events go in one call when the orchestrator takes arrays (ORCHESTRATOR_BATCH), else, or when it refuses the
 * array, in calls of one each.
 */
export const make = Effect.gen(function* () {
  const call = yield* makeCall({ url: (yield* Config.orchestratorUrl).href, credentials: yield* credentials })
  const takesArrays = yield* Config.orchestratorBatch

  const notifyEach = (event: PauseEvent): Effect.Effect<Answer> =>
    Effect.map(
      call({ body: encode(event), headers: headersOf(event), decode: decodeReceipt }),
      Result.mapError((error) => toError(event, error))
    )

  const notifyOneByOne = (events: ReadonlyArray<PauseEvent>): Effect.Effect<ReadonlyArray<Answer>> =>
    Effect.forEach(events, notifyEach, { concurrency: Math.min(events.length, mostCallsAtOnce) })

  const notifyTogether = Effect.fnUntraced(function* (
    events: ReadonlyArray<PauseEvent>
  ): Effect.fn.Return<ReadonlyArray<Answer>> {
    const reply = yield* call({ body: encode(events), headers: {}, decode: decodeBatch })
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

export const layer = Layer.effect(OrchestratorClient, make)
