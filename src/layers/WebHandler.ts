import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Misconfigured } from "./Config.ts"
import * as Logging from "./Logging.ts"
import { Internal, toResponse } from "./Problems.ts"

/** What `Deno.serve`, `export default { fetch }` and any other fetch-style server take. */
export type WebHandler = (request: Request) => Promise<Response>

const logFailedBuild = (cause: Cause.Cause<Misconfigured>, wrong: Misconfigured | undefined) =>
  wrong === undefined
    ? Effect.logError({ outcome: "defect" }, cause)
    : Effect.logError({ outcome: "misconfigured", detail: wrong.message })

/**
 * Serves requests from one program over one runtime.
 *
 * A runtime remembers a failed build for ever, so a failed one is thrown away and the next request builds anew: a
 * missing setting answers 503, and the function heals as soon as the setting is there.
 * The program's fiber is not tied to the request's signal: a caller that hangs up does not stop it.
 */
export const make = <R>(
  layer: Layer.Layer<R, Misconfigured>,
  respond: (request: Request) => Effect.Effect<Response, never, R>
): WebHandler => {
  let runtime = ManagedRuntime.make(layer)

  const replyToFailedBuild = Effect.fnUntraced(function* (failed: typeof runtime, cause: Cause.Cause<Misconfigured>) {
    if (runtime === failed) runtime = ManagedRuntime.make(layer)
    const wrong = cause.reasons.find(Cause.isFailReason)?.error
    yield* Effect.provide(logFailedBuild(cause, wrong), Logging.json)
    yield* failed.disposeEffect
    return toResponse(wrong ?? new Internal())
  })

  return (request) => {
    const current = runtime
    return Effect.runPromise(
      Effect.matchCauseEffect(current.contextEffect, {
        onSuccess: (context) => Effect.provide(respond(request), context),
        onFailure: (cause) => replyToFailedBuild(current, cause)
      })
    )
  }
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
