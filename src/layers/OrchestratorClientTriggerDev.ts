import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import { OrchestratorClient } from "../topics/OrchestratorClient.ts"
import * as Config from "./Config.ts"
import { makeCall, toError } from "./OrchestratorCall.ts"

const mostCallsAtOnce = 16
const longestConcurrencyKey = 128

const decodeRun = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ id: Schema.NonEmptyString })))

// A run that failed gives its key back, one that succeeded or was cancelled keeps it for 30 days: a redrive has a key of
// its own, which no earlier run can hold.
const idempotencyKey = ({ eventId, redrive }: PauseEvent): string =>
  redrive === undefined ? eventId : `${eventId}/${redrive}`

const encode = (event: PauseEvent): string =>
  JSON.stringify({
    payload: event satisfies typeof PauseEvent.Encoded,
    options: {
      idempotencyKey: idempotencyKey(event),
      concurrencyKey: event.mentorId.slice(0, longestConcurrencyKey),
      tags: [`event:${event.eventId}`]
    }
  })

// Trigger.dev says in milliseconds of the Unix epoch when its rate limit ends.
const rateLimitEnds = (headers: Headers, nowMillis: number): number => {
  const header = headers.get("x-ratelimit-reset")
  return header === null ? NaN : Math.ceil((Number(header) - nowMillis) / 1000)
}

// Only these are about the event. A wrong key, a task that is not deployed, a full queue or a used-up plan are waited out.
const isRefusal = (status: number): boolean => status === 400 || status === 413 || (status >= 300 && status < 400)

/**
 * Triggers a task of Trigger.dev for each event, over its HTTP API; see OrchestratorCall. The receipt is the run's id.
 * The event is settled once the run is queued: what becomes of the run is reported by its task, through outbox_fail.
 */
export const make = Effect.gen(function* () {
  const call = yield* makeCall({
    url: new URL(`/api/v1/tasks/${encodeURIComponent(yield* Config.triggerTask)}/trigger`, yield* Config.triggerUrl)
      .href,
    credentials: { authorization: `Bearer ${Redacted.value(yield* Config.triggerSecretKey)}` },
    mayPass: (status) => !isRefusal(status),
    retryAfter: rateLimitEnds
  })
  const notifyEach = (event: PauseEvent) =>
    Effect.map(
      call({ body: encode(event), headers: {}, decode: decodeRun }),
      Result.mapBoth({ onSuccess: ({ id }) => ({ runId: id }), onFailure: (error) => toError(event, error) })
    )
  return OrchestratorClient.of({
    atOnce: mostCallsAtOnce,
    notify: (events) => Effect.forEach(events, notifyEach, { concurrency: mostCallsAtOnce })
  })
})

export const layer = Layer.effect(OrchestratorClient, make)
