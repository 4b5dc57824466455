import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { eventsPath } from "../schema/Paths.ts"
import { firstError, type TopicError } from "../services/Outcome.ts"
import * as Config from "./Config.ts"
import { Internal, MethodNotAllowed, NotFound, type ReplyError, toResponse } from "./Problems.ts"
import { type BodyLimits, discardBody, readBody } from "./RequestBody.ts"

/** Limits of the HTTP side. */
export class HttpLimits extends Context.Service<HttpLimits, BodyLimits>()(
  "pause-status-webhook-handler/layers/HttpLimits"
) {
  static readonly layer = Layer.effect(
    HttpLimits,
    Effect.all({ maxBodyBytes: Config.maxBodyBytes, bodyTimeoutMillis: Config.bodyTimeout })
  )
}

/** Where a POST is served: at `path`, and under the function's name, where Supabase mounts it. */
export interface Route {
  readonly functionName: string
  readonly path: `/${string}`
}

/** Where deliveries are posted. */
export const deliveries: Route = { functionName: "pause-status-webhook-handler", path: eventsPath }

/**
 * The path of a URL as it is at the root, without the function's name that Supabase puts before it; none for what is no
 * URL: a server puts the Host header into it as it came.
 */
export const pathBelow = (url: string, functionName: string): string => {
  const pathname = URL.parse(url)?.pathname ?? ""
  const mounted = `/${functionName}`
  if (pathname === mounted) return "/"
  return pathname.startsWith(`${mounted}/`) ? pathname.slice(mounted.length) : pathname
}

/** Whether a request is a POST to a route. */
export const isPostTo = ({ method, url }: Request, { functionName, path }: Route): boolean =>
  method === "POST" && pathBelow(url, functionName) === path

/**
 * Lets POSTs to a route through.
 *
 * **Fails with** NotFound, MethodNotAllowed.
 */
export const expectPost = Effect.fnUntraced(function* (request: Request, { functionName, path }: Route) {
  if (pathBelow(request.url, functionName) !== path) return yield* new NotFound()
  if (request.method !== "POST") return yield* new MethodNotAllowed({ allow: "POST" })
})

/** The raw body of a JSON request, within the limits; fails as readBody does. */
export const readJson = (request: Request) => Effect.flatMap(HttpLimits, (limits) => readBody(request, limits))

const failureLine = (cause: Cause.Cause<ReplyError | TopicError>): Effect.Effect<void> => {
  const error = firstError(cause)
  return error === undefined
    ? Effect.logError({ outcome: "defect" }, cause)
    : Effect.logWarning({ outcome: error._tag, detail: error.message })
}

/** Writes the one log line of a request that failed before the program that logs itself was reached. */
export const logFailure = <A, E extends ReplyError | TopicError, R>(
  program: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => Effect.tapCause(program, failureLine)

// pg_net numbers its requests from 1 again after a crash: the outbox knows an answer by the id it was sent.
export const echoId = (request: Request) =>
  Effect.map((response: Response) => {
    const id = request.headers.get("webhook-id")
    if (id !== null) response.headers.set("webhook-id", id)
    return response
  })

/** Turns the end of a program into a reply, whatever it is: the problem of an error, a redacted 500 for a defect. */
export const reply = <A, R>(
  request: Request,
  program: Effect.Effect<A, ReplyError | TopicError, R>,
  toJson: (value: A) => string
): Effect.Effect<Response, never, R> =>
  Effect.matchCauseEffect(Effect.map(program, toJson), {
    onSuccess: (json) => Effect.succeed(new Response(json, { headers: { "content-type": "application/json" } })),
    onFailure: (cause) => Effect.as(discardBody(request), toResponse(firstError(cause) ?? new Internal()))
  })
