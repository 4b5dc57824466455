import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import { Api, ManagementApi } from "../schema/Api.ts"
import { Caller } from "../schema/Caller.ts"
import { checkHealth } from "../services/CheckHealth.ts"
import { validateChange } from "../services/EventChanges.ts"
import { EventStore } from "../services/EventStore.ts"
import type { ManagedTopics } from "../services/ManagedTopics.ts"
import { changeEvent, eraseEvent, getEvent, listEvents } from "../services/ManageEvents.ts"
import { toPrometheus } from "../services/Metrics.ts"
import { parseBody } from "../services/Payload.ts"
import type { Surroundings } from "../services/Surroundings.ts"
import * as Authorization from "./Authorization.ts"
import * as Http from "./Http.ts"
import { type ReplyError, toResponse } from "./Problems.ts"

const readChange = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
  const body = yield* Http.readJson(yield* Effect.orDie(HttpServerRequest.toWeb(request)))
  return yield* validateChange(yield* parseBody(body))
})

const who = Effect.map(Caller, Authorization.named)

// The one log line of a request: who did what to which event. An error becomes the reply that Problems.table gives it.
const answered = <A, R>(
  operation: string,
  about: Readonly<Record<string, unknown>>,
  program: Effect.Effect<A, ReplyError, R>
) =>
  Effect.flatMap(who, (caller) =>
    Effect.matchEffect(program, {
      onSuccess: (value) => Effect.as(Effect.logInfo({ outcome: operation, ...caller, ...about }), value),
      onFailure: (error) =>
        Effect.as(
          Effect.logWarning({ outcome: error._tag, operation, ...caller, ...about, detail: error.message }),
          HttpServerResponse.fromWeb(toResponse(error))
        )
    })
  )

const events = HttpApiBuilder.group(
  ManagementApi,
  "events",
  Effect.fnUntraced(function* (handlers) {
    const services = yield* Effect.context<EventStore | ManagedTopics | Http.HttpLimits>()
    return handlers
      .handle("listEvents", ({ params, query }) =>
        Effect.provideContext(answered("listEvents", params, listEvents(params.topic, query)), services)
      )
      .handle("getEvent", ({ params }) =>
        Effect.provideContext(answered("getEvent", params, getEvent(params.topic, params.eventId)), services)
      )
      .handleRaw("changeEvent", ({ params, request }) => {
        const change = Effect.flatMap(readChange(request), (change) =>
          changeEvent(params.topic, params.eventId, change)
        )
        return Effect.provideContext(answered("changeEvent", params, change), services)
      })
      .handle("eraseEvent", ({ params }) =>
        Effect.provideContext(answered("eraseEvent", params, eraseEvent(params.topic, params.eventId)), services)
      )
  })
)

const soon = { "retry-after": "5" }

const answeredHealth = Effect.gen(function* () {
  const report = yield* checkHealth()
  const { kind } = yield* Caller
  const line = { outcome: "getHealth", ...(yield* who), status: report.status }
  if (report.status === "ready") {
    yield* Effect.logInfo(line)
    return kind === "monitor" ? { status: report.status } : report
  }
  const ill = Object.entries(report.checks).flatMap(([name, { detail }]) =>
    detail === undefined ? [] : [[name, detail]]
  )
  yield* Effect.logWarning({ ...line, detail: Object.fromEntries(ill) })
  const body = kind === "monitor" ? { status: report.status } : report
  return yield* Effect.fail(HttpApiSchema.withHeaders({ body, headers: soon }))
})

const metrics = Effect.gen(function* () {
  const store = yield* EventStore
  const found = yield* Effect.all([store.health(), store.figures()], { concurrency: "unbounded" })
  return toPrometheus(...found)
})

const system = HttpApiBuilder.group(
  ManagementApi,
  "system",
  Effect.fnUntraced(function* (handlers) {
    const services = yield* Effect.context<EventStore | ManagedTopics | Surroundings>()
    return handlers
      .handle("getHealth", () => Effect.provideContext(answeredHealth, services))
      .handle("getMetrics", () => Effect.provideContext(answered("getMetrics", {}, metrics), services))
      .handle("getOpenApi", () =>
        answered(
          "getOpenApi",
          {},
          Effect.sync(() => ({ ...OpenApi.fromApi(Api) }))
        )
      )
  })
)

/**
 * The management routes of the contract as a part of a larger Effect app: beside WebhookRouter.layer on one HttpRouter
 * they are the whole contract. They want Access, EventStore, ManagedTopics, Surroundings and
 * HttpLimits.
 *
 * @example
 * HttpRouter.serve(Layer.mergeAll(ManagementApi.layer, WebhookRouter.layer)).pipe(Layer.provide(services))
 */
export const layer = HttpApiBuilder.layer(ManagementApi).pipe(
  Layer.provide([events, system]),
  Layer.provide(Authorization.layer)
)
