import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { firstError } from "../services/Outcome.ts"
import { Misconfigured } from "./Config.ts"
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
 * A failed build is discarded, and the next request builds again: a missing setting gives a 503 until it is set. By
 * hand, because a ManagedRuntime remembers a failed build forever.
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
  let run: ReturnType<typeof Effect.runPromiseWith<R>> | undefined

  const buildAndRespond = (request: Request): Promise<Response> => {
    const current = (building ??= Effect.runPromiseExit(build))
    return current.then((built) => {
      if (Exit.isSuccess(built)) {
        run ??= Effect.runPromiseWith(built.value)
        return run(respond(request))
      }
      if (building === current) building = undefined
      return Effect.runPromise(replyToFailedBuild(built.cause))
    })
  }

  return (request) => (run === undefined ? buildAndRespond(request) : run(respond(request)))
}

/**
 * Serves requests by a handler from another module, loaded at the first of them. A module that cannot be loaded is a
 * 503, named in the log, and asked for again by the next request.
 */
export const lazy = (name: string, load: () => Promise<{ readonly handler: WebHandler }>): WebHandler => {
  let loading: ReturnType<typeof load> | undefined

  const replyToFailedLoad = Effect.fnUntraced(function* (failed: typeof loading, cause: Cause.Cause<unknown>) {
    if (loading === failed) loading = undefined
    const missing = new Misconfigured({ key: name, hint: "deploy it beside index.mjs (npm run build makes both)" })
    yield* Effect.provide(Effect.logError({ outcome: "misconfigured", detail: missing.message }, cause), Logging.json)
    return toResponse(missing)
  })

  return (request) => {
    const current = (loading ??= load())
    return Effect.runPromise(
      Effect.matchCauseEffect(
        Effect.tryPromise(() => current),
        {
          onSuccess: ({ handler }) => Effect.promise(() => handler(request)),
          onFailure: (cause) => replyToFailedLoad(current, cause)
        }
      )
    )
  }
}
