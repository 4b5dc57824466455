import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { NoChangeReply, NotifiedReply } from "../schema/Replies.ts"
import type { DedupeStore } from "../services/DedupeStore.ts"
import type { OrchestratorClient } from "../services/OrchestratorClient.ts"
import type { Handled } from "../services/Outcome.ts"
import { handleWebhookEvent } from "../services/PauseWebhook.ts"
import type { SignatureVerifier } from "../services/SignatureVerifier.ts"
import * as Http from "./Http.ts"

/** Where deliveries are posted: at the root, and under the function's name on Supabase. */
export const route: Http.Route = {
  functionName: "pause-status-webhook-handler",
  path: "/api/v1/webhooks/pause-status"
}

/** What the POST needs. */
export type WebhookServices = SignatureVerifier | DedupeStore | OrchestratorClient | Http.HttpLimits

const encodeReply = Schema.encodeSync(Schema.fromJsonString(Schema.Union([NotifiedReply, NoChangeReply])))

const toJson = (handled: Handled): string =>
  encodeReply(
    handled.transition === "NO_CHANGE"
      ? { status: "no_change", ...handled }
      : {
          status: "notified",
          transition: handled.transition,
          eventId: handled.event.eventId,
          mentorId: handled.event.mentorId,
          receipt: handled.receipt
        }
  )

const receiveDelivery = (request: Request) =>
  Effect.flatMap(Http.logFailure(Http.readJson(request)), (body) =>
    handleWebhookEvent({ header: (name) => request.headers.get(name) ?? undefined, body })
  )

/** The reply to a delivery, wherever it was posted to. Never fails: every error has its row in Problems.table. */
export const receive = (request: Request): Effect.Effect<Response, never, WebhookServices> =>
  Http.reply(request, receiveDelivery(request), toJson)

/** The reply to any request: `receive` for a POST to the route, else 404 or 405. */
export const respond = (request: Request): Effect.Effect<Response, never, WebhookServices> =>
  Http.reply(
    request,
    Effect.andThen(Http.logFailure(Http.expectPost(request, route)), receiveDelivery(request)),
    toJson
  )
