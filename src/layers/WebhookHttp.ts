import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { reachedNobody } from "../schema/Receipt.ts"
import type { BatchReply, NoChangeReply, NotifiedReply } from "../schema/Replies.ts"
import type { DedupeStore } from "../services/DedupeStore.ts"
import type { OrchestratorClient } from "../services/OrchestratorClient.ts"
import type { BatchItem, Handled, HandledBatch } from "../services/Outcome.ts"
import { handleWebhookEvent } from "../services/PauseWebhook.ts"
import type { SignatureVerifier } from "../services/SignatureVerifier.ts"
import * as Http from "./Http.ts"
import { toProblem } from "./Problems.ts"

/** What the POST needs. */
export type WebhookServices = SignatureVerifier | DedupeStore | OrchestratorClient | Http.HttpLimits

type Reply = typeof NotifiedReply.Encoded | typeof NoChangeReply.Encoded | typeof BatchReply.Encoded

// A reply is on the wire what it is here; should that change, this is no longer of the type it satisfies.
const encodeReply = (reply: typeof NotifiedReply.Type | typeof NoChangeReply.Type | BatchReply): string =>
  JSON.stringify(reply satisfies Reply)

const toReply = (handled: Handled): typeof NotifiedReply.Type | typeof NoChangeReply.Type =>
  handled.transition === "NO_CHANGE"
    ? { status: "no_change", ...handled }
    : {
        status: reachedNobody(handled.receipt) ? "no_recipients" : "notified",
        transition: handled.transition,
        eventId: handled.event.eventId,
        mentorId: handled.event.mentorId,
        receipt: handled.receipt
      }

const toResult = ({ eventId, result }: BatchItem): BatchReply["results"][number] => {
  const known = eventId === undefined ? {} : { eventId }
  if (Result.isSuccess(result)) return { status: 200, ...known, reply: toReply(result.success) }
  const problem = toProblem(result.failure)
  return { status: problem.status, ...known, problem }
}

const toJson = (handled: Handled | HandledBatch): string =>
  encodeReply(handled.transition === "BATCH" ? { results: handled.items.map(toResult) } : toReply(handled))

const receiveDelivery = (request: Request) =>
  Effect.flatMap(Http.logFailure(Http.readJson(request)), (body) =>
    handleWebhookEvent({ header: (name) => request.headers.get(name) ?? undefined, body })
  )

/** The reply to a delivery, wherever it was posted. Never fails: every error has its row in Problems.table. */
export const receive = (request: Request): Effect.Effect<Response, never, WebhookServices> =>
  Http.echoId(request)(Http.reply(request, receiveDelivery(request), toJson))
