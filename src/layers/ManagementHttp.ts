import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApi from "effect/http-api/HttpApi"
import { Api } from "../schema/Api.ts"
import { ManagedTopics } from "../services/ManagedTopics.ts"
import { firstError } from "../services/Outcome.ts"
import * as Http from "./Http.ts"
import * as ManagementApi from "./ManagementApi.ts"
import { Internal, MethodNotAllowed, NotFound, toResponse } from "./Problems.ts"
import { discardBody } from "./RequestBody.ts"

// The router would say of an id of more than 100 characters that there is no such path.
const longestPath = 100_000

interface Place {
  readonly matches: RegExp
  readonly methods: Array<string>
}

/** Every path of the contract with its methods, the deliveries' POST among them. */
const placesOf = (): ReadonlyArray<Place> => {
  const places = new Map<string, Place>()
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { method, path } }) => {
      const place = places.get(path) ?? {
        matches: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/:(\w+)/g, "(?<$1>[^/]+)")}$`),
        methods: []
      }
      places.set(path, { ...place, methods: [...place.methods, method].toSorted() })
    }
  })
  return [...places.values()]
}

/**
 * The management routes as a fetch handler wants them, below the function's name as well. Uninterruptible: a
 * request goes on if the caller hangs up.
 */
export class ManagementHttp extends Context.Service<
  ManagementHttp,
  { readonly respond: (request: Request) => Effect.Effect<Response> }
>()("pause-status-webhook-handler/layers/ManagementHttp") {
  static readonly layer = Layer.effect(
    ManagementHttp,
    Effect.gen(function* () {
      const places = placesOf()
      const topics = new Set((yield* ManagedTopics).map(({ name }) => name))
      const routes = yield* Effect.provideService(
        HttpRouter.toHttpEffect(Layer.provide(ManagementApi.layer, HttpServer.layerServices)),
        HttpRouter.RouterConfig,
        { maxParamLength: longestPath }
      )

      const isAt =
        (path: string) =>
        ({ matches }: Place) => {
          const found = matches.exec(path)
          const topic = found?.groups?.["topic"]
          return found !== null && (topic === undefined || topics.has(topic))
        }

      const expectPlace = Effect.fnUntraced(function* (path: string, method: string) {
        const place = places.find(isAt(path))
        if (place === undefined) return yield* new NotFound()
        if (!place.methods.includes(method)) return yield* new MethodNotAllowed({ allow: place.methods.join(", ") })
      })

      const serve = Effect.fnUntraced(function* (request: Request) {
        const path = Http.pathBelow(request.url, Http.deliveries.functionName)
        yield* expectPlace(path, request.method)
        const incoming = HttpServerRequest.fromWeb(request).modify({ url: path + new URL(request.url).search })
        return yield* Effect.scoped(Effect.provideService(routes, HttpServerRequest.HttpServerRequest, incoming)).pipe(
          Effect.map((response) => HttpServerResponse.toWeb(response)),
          // A path that the router cannot read, such as one with a percent sign that stands for nothing.
          Effect.catchTag("HttpServerError", () => new NotFound())
        )
      })

      return ManagementHttp.of({
        respond: (request) =>
          Http.logFailure(serve(request)).pipe(
            Effect.catchCause((cause) => Effect.succeed(toResponse(firstError(cause) ?? new Internal()))),
            Effect.tap((response) => Effect.sync(() => response.headers.set("cache-control", "no-store"))),
            Http.echoId(request),
            Effect.tap(() => discardBody(request))
          )
      })
    })
  )
}
