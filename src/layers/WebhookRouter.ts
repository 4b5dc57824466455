import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { toWeb } from "effect/http/HttpServerRequest"
import { fromWeb } from "effect/http/HttpServerResponse"
import { webhooksPath } from "../schema/Paths.ts"
import type { Handler } from "../services/Handler.ts"
import type { TopicError } from "../services/Outcome.ts"
import { receive, type WebhookServices } from "./WebhookHttp.ts"

/**
 * A topic as a route of a larger Effect app; not part of the bundle.
 *
 * Uninterruptible, because the router interrupts a handler whose caller hangs up, and pg_net hangs up at its timeout.
 *
 * @example
 * HttpRouter.serve(WebhookRouter.layer(pauseStatus)).pipe(Layer.provide(Live.layer))
 */
export const layer = <Event, E extends TopicError, R>(topic: Handler<Event, E, R>) =>
  HttpRouter.use(
    Effect.fnUntraced(function* (router) {
      const services = yield* Effect.context<WebhookServices | R>()
      const respond = receive(topic)
      const handle = (request: HttpServerRequest.HttpServerRequest) =>
        Effect.flatMap(toWeb(request), respond).pipe(Effect.map(fromWeb), Effect.provideContext(services))
      yield* router.add("POST", `${webhooksPath}/${topic.name}`, handle, { uninterruptible: true })
    })
  )
