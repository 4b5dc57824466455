import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { firstError } from "../services/Outcome.ts"
import type { Misconfigured } from "./Config.ts"
import * as Logging from "./Logging.ts"
import { Internal, toResponse } from "./Problems.ts"

/** What `Deno.serve`, `export default { fetch }` and any other fetch-style server take. */
export type WebHandler = (request: Request) => Promise<Response>

const replyToFailedBuild = (cause: Cause.Cause<Misconfigured>): Effect.Effect<Response> => {
  const wrong = firstError(cause)
  const line =
    wrong === undefined
      ? Effect.logError({ outcome: "defect" }, cause)
      : Effect.logError({ outcome: "misconfigured", detail: wrong.message })
  return Effect.as(Effect.provide(line, Logging.json), toResponse(wrong ?? new Internal()))
}

/**
 * Serves requests from one program, whose services are built at the first request and stay for good.
 *
 * A build that failed is forgotten and the next request builds anew: a missing setting answers 503, and the function
 * heals as soon as the setting is there. By hand, because a ManagedRuntime remembers a failed build for ever.
 * The program's fiber is not tied to the request's signal: a caller that hangs up does not stop it.
 */
export const make = <R>(
  layer: Layer.Layer<R, Misconfigured>,
  respond: (request: Request) => Effect.Effect<Response, never, R>
): WebHandler => {
  const build = Effect.suspend(() => {
    const scope = Scope.makeUnsafe()
    return Effect.onError(Layer.buildWithScope(layer, scope), (cause) => Scope.close(scope, Exit.failCause(cause)))
  })
  let building: Promise<Exit.Exit<Context.Context<R>, Misconfigured>> | undefined

  return (request) => {
    const current = (building ??= Effect.runPromiseExit(build))
    return current.then((built) => {
      if (Exit.isSuccess(built)) return Effect.runPromiseWith(built.value)(respond(request))
      if (building === current) building = undefined
      return Effect.runPromise(replyToFailedBuild(built.cause))
    })
  }
}
