import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { toWeb } from "effect/http/HttpServerRequest"
import { fromWeb } from "effect/http/HttpServerResponse"
import { deliveries } from "./Http.ts"
import { receive, type WebhookServices } from "./WebhookHttp.ts"

/**
 * The same program as a route of a larger Effect app; not part of the bundle.
 *
 * Uninterruptible, because the router interrupts a handler whose caller hangs up, and pg_net hangs up at its timeout.
 *
 * @example
 * HttpRouter.serve(WebhookRouter.layer).pipe(Layer.provide(Live.layer))
 */
export const layer = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const services = yield* Effect.context<WebhookServices>()
    const handle = (request: HttpServerRequest.HttpServerRequest) =>
      Effect.flatMap(toWeb(request), receive).pipe(Effect.map(fromWeb), Effect.provideContext(services))
    yield* router.add("POST", deliveries.path, handle, { uninterruptible: true })
  })
)
