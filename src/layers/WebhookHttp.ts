import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DedupeStore } from "../services/DedupeStore.ts"
import type { Handler } from "../services/Handler.ts"
import type { BatchItem, Ended, TopicError } from "../services/Outcome.ts"
import type { SignatureVerifier } from "../services/SignatureVerifier.ts"
import * as Topic from "../services/Topic.ts"
import * as Http from "./Http.ts"
import { toProblem } from "./Problems.ts"

/** What the POST of a topic needs, besides what its `handle` needs. */
export type WebhookServices = SignatureVerifier | DedupeStore | Http.HttpLimits

const toResult =
  <Event, E extends TopicError, R>({ reply }: Handler<Event, E, R>) =>
  ({ eventId, result }: BatchItem<Event, E>) => {
    const known = eventId === undefined ? {} : { eventId }
    if (Result.isSuccess(result)) return { status: 200, ...known, reply: reply(result.success) }
    const problem = toProblem(result.failure)
    return { status: problem.status, ...known, problem }
  }

// Schemas for our own output would cost 1.4 KB: tests hold each topic's replies against its contract.
const toJson =
  <Event, E extends TopicError, R>(handler: Handler<Event, E, R>) =>
  (ended: Ended<Event, E>): string =>
    JSON.stringify(ended._tag === "Batch" ? { results: ended.items.map(toResult(handler)) } : handler.reply(ended))

/**
 * The reply to a delivery of a topic, wherever it was posted. Never fails: every error has its row in Problems.table, or
 * its topic's release says what it is.
 */
export const receive = <Event, E extends TopicError, R>(
  handler: Handler<Event, E, R>
): ((request: Request) => Effect.Effect<Response, never, WebhookServices | R>) => {
  const handle = Topic.receive(handler)
  const encode = toJson(handler)
  const receiveDelivery = (request: Request) =>
    Effect.flatMap(Http.logFailure(Http.readJson(request)), (body) =>
      handle({ header: (name) => request.headers.get(name) ?? undefined, body })
    )
  return (request) => Http.echoId(request)(Http.reply(request, receiveDelivery(request), encode))
}
