import * as Schema from "effect/Schema"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import type { Caller } from "./Caller.ts"
import * as Documented from "./Documented.ts"
import { EventQuery } from "./EventRequests.ts"
import { EventId } from "./Identifiers.ts"
import { packageVersion } from "./PackageVersion.ts"
import { topicPath } from "./Paths.ts"
import * as Problems from "./ProblemReplies.ts"

const secretKey = HttpApiSecurity.annotate(
  HttpApiSecurity.apiKey({ in: "header", key: "apikey" }),
  OpenApi.Description,
  "One of the project's secret keys; the legacy service role key will do. As a bearer token as well."
)
const userToken = HttpApiSecurity.bearer.pipe(
  HttpApiSecurity.annotate(OpenApi.Format, "JWT"),
  HttpApiSecurity.annotate(
    OpenApi.Description,
    "A user's token of the project with app_metadata.role admin (everything) or coordinator (the events that their topics show them)."
  )
)

const monitorToken = HttpApiSecurity.annotate(
  HttpApiSecurity.apiKey({ in: "query", key: "token" }),
  OpenApi.Description,
  "HEALTH_TOKEN for GET /health, METRICS_TOKEN for GET /metrics. Better as a bearer token, because URLs are logged."
)

/** Accepts a known caller who may do this, and provides them as Caller. */
export class Authorized extends HttpApiMiddleware.Service<Authorized, { provides: Caller }>()(
  "pause-status-webhook-handler/schema/Authorized",
  {
    security: { secretKey, userToken, monitorToken },
    error: [Problems.Unauthorized, Problems.Forbidden, Problems.StoreAway, Problems.Internal]
  }
) {}

/** Says what is wrong with an id or a query, instead of HttpApi's empty 400. Only accepted callers get it. */
export class Explained extends HttpApiMiddleware.Service<Explained>()(
  "pause-status-webhook-handler/schema/Explained"
) {}

const header = (name: string, description: string) =>
  HttpApiSecurity.annotate(HttpApiSecurity.apiKey({ in: "header", key: name }), OpenApi.Description, description)

/** Accepts signed deliveries. The handler itself verifies the signature, over the raw bytes of the body. */
export class Signed extends HttpApiMiddleware.Service<Signed>()("pause-status-webhook-handler/schema/Signed", {
  security: {
    standardWebhooks: header(
      "webhook-signature",
      "Standard Webhooks 1.0.0: space-separated v1,<base64 of HMAC-SHA256 over id.timestamp.body>."
    ),
    hexSignature: header(
      "x-webhook-signature",
      "When switched on: HMAC-SHA256 over timestamp.body in hex, with X-Webhook-Timestamp in seconds."
    ),
    staticSecret: header("x-webhook-secret", "When switched on: the fixed secret of a stock dashboard webhook.")
  },
  error: [Problems.NotSigned]
}) {}

const about = (summary: string, description: string) => OpenApi.annotations({ summary, description })

const ofTopic = {
  topic: Schema.String.annotate({
    description: "The topic; one that is not served here is a 404",
    examples: ["pause-status"]
  })
}
const ofEvent = { ...ofTopic, eventId: EventId }

const deliveries = HttpApiGroup.make("deliveries", { topLevel: true })
  .add(
    HttpApiEndpoint.post("receiveDelivery", topicPath, {
      params: ofTopic,
      headers: Documented.DeliveryHeaders,
      payload: [Documented.Payload, Documented.Payloads],
      success: [Documented.Notified, Documented.NoChange, Documented.Batch],
      error: [
        Problems.InvalidDelivery,
        Problems.NotFound,
        Problems.BodyUnreadable,
        Problems.NotNow,
        Problems.BodyTooLarge,
        Problems.UnsupportedMediaType,
        Problems.PayloadMismatch,
        Problems.Internal,
        Problems.OrchestratorFailed,
        Problems.NotAvailable
      ]
    }).annotateMerge(
      about(
        "Deliver a change, or several",
        "Supabase's database webhook for the topic's table, as the outbox or a stock dashboard webhook sends it; shown " +
          "here for pause-status. An array is answered 200 with each payload's own " +
          "status. The reply echoes webhook-id."
      )
    )
  )
  .middleware(Signed)
  .annotateMerge(OpenApi.annotations({ description: "What Postgres sends" }))

const events = HttpApiGroup.make("events", { topLevel: true })
  .add(
    HttpApiEndpoint.get("listEvents", topicPath, {
      params: ofTopic,
      query: EventQuery,
      success: Documented.Page,
      error: [Problems.InvalidList, Problems.NotFound]
    }).annotateMerge(
      about(
        "List events",
        "Newest first. A page stays what it is while events are added; follow nextCursor with the same filters."
      )
    ),
    HttpApiEndpoint.get("getEvent", `${topicPath}/:eventId`, {
      params: ofEvent,
      success: Documented.History,
      error: [Problems.InvalidEventId, Problems.NotFound]
    }).annotateMerge(about("Look at an event", "With its attempts, its receipt and its newest dead letter.")),
    HttpApiEndpoint.put("changeEvent", `${topicPath}/:eventId`, {
      params: ofEvent,
      payload: Documented.Change,
      success: Documented.Changed,
      error: [
        Problems.InvalidChange,
        Problems.NotFound,
        Problems.BodyUnreadable,
        Problems.NotRedrivable,
        Problems.BodyTooLarge,
        Problems.UnsupportedMediaType
      ]
    }).annotateMerge(
      about(
        "Redrive, resolve or cancel an event",
        "pending resends a dead letter or an event that reached nobody; resolved closes it without sending, or cancels " +
          "a pending event. Sending the request twice has no further effect."
      )
    ),
    HttpApiEndpoint.delete("eraseEvent", `${topicPath}/:eventId`, {
      params: ofEvent,
      success: HttpApiSchema.NoContent.annotate({ description: "Erased, now or before" }),
      error: [Problems.InvalidEventId, Problems.NotFound, Problems.NotSettled]
    }).annotateMerge(
      about(
        "Erase a settled event",
        "Its row, attempts, dead letters and payload. What identifies it stays, so that it is not handled again."
      )
    )
  )
  .middleware(Explained)
  .middleware(Authorized)
  .annotateMerge(OpenApi.annotations({ description: "Managing the outbox" }))

const system = HttpApiGroup.make("system", { topLevel: true })
  .add(
    HttpApiEndpoint.get("getHealth", "/health", {
      success: [Documented.Ready, Documented.ReadyInShort],
      error: Documented.NotReady
    }).annotateMerge(
      about(
        "See whether a change would be handled now",
        "The checks, then the outbox's figures, triggers and jobs. No secret, no URL. With HEALTH_TOKEN the status alone."
      )
    ),
    HttpApiEndpoint.get("getMetrics", "/metrics", { success: Documented.Metrics }).annotateMerge(
      about("Read the outbox's figures as metrics", "In Prometheus' text format. No key, no event, no secret.")
    ),
    HttpApiEndpoint.get("getOpenApi", "/openapi.json", { success: Documented.Document }).annotateMerge(
      about("Read this document", "OpenAPI 3.1, made from the schemas that validate.")
    )
  )
  .middleware(Explained)
  .middleware(Authorized)
  .annotateMerge(OpenApi.annotations({ description: "The state of the function" }))

/** The routes for people and programs. */
export const ManagementApi = HttpApi.make("pause-status-webhook-handler")
  .add(events, system)
  .annotate(HttpApi.QueryParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotateMerge(
    OpenApi.annotations({
      title: "pause-status-webhook-handler",
      version: packageVersion,
      license: { name: "MIT", identifier: "MIT" },
      description:
        "Tells coordinators about every paused or resumed mentor exactly once. On Supabase all paths are below " +
        "/functions/v1/pause-status-webhook-handler. Every error is application/problem+json.",
      servers: [
        {
          url: "https://{project}.supabase.co/functions/v1/pause-status-webhook-handler",
          description: "The Edge Function",
          variables: { project: { default: "abcdefghijklmnopqrst" } }
        }
      ]
    })
  )

/** The whole contract: deliveries, and the routes for people and programs. */
export const Api = ManagementApi.add(deliveries)
