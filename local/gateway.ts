import * as http from "node:http"
import { once } from "node:events"
import { type Keys, publishedKeys } from "./keys.ts"
import { LOOPBACK, takenPort } from "./ports.ts"
import { codeOf } from "./StackError.ts"

export type Upstream = { readonly port: number } | { readonly socketPath: string }

/** Where the gateway sends what. A function that is down has no upstream. */
export interface Routes {
  readonly rest: () => Upstream | undefined
  readonly functions: ReadonlyMap<string, () => Upstream | undefined>
}

export interface Gateway extends AsyncDisposable {
  readonly port: number
}

const KEY_SET_PATH = "/auth/v1/.well-known/jwks.json"
const READ_TIMEOUT_MILLISECONDS = 150_000
// Shorter than PostgREST's own 30 seconds, so that no request is sent on a connection that is just being closed.
const IDLE_MILLISECONDS = 20_000
// They describe one connection, not the message. `expect` is answered here already.
const CONNECTION_HEADERS = new Set(["connection", "keep-alive", "proxy-connection", "expect", "upgrade"])

interface Destination {
  readonly upstream: Upstream | undefined
  readonly path: string
  readonly headers: ReadonlyArray<string>
  readonly pooled: boolean
  readonly down: readonly [status: number, code: string, message: string]
}

/**
 * One port for everything, as on hosted Supabase: /rest/v1 and /functions/v1. Bodies pass through untouched. Of /auth/v1
 * there are only the keys that users' tokens are checked with.
 */
export const startGateway = async (port: number, routes: Routes, keys: Keys): Promise<Gateway> => {
  const agent = new http.Agent({ keepAlive: true, timeout: IDLE_MILLISECONDS })
  const keySet = JSON.stringify(publishedKeys(keys))
  const server = http.createServer((request, response) => {
    if (request.method === "GET" && request.url === KEY_SET_PATH) {
      return void response.writeHead(200, { "content-type": "application/json" }).end(keySet)
    }
    const destination = findDestination(request, routes, keys)
    if (destination === undefined) return answer(response, 404, "NOT_FOUND", `Nothing is served at ${request.url}`)
    if (destination.upstream === undefined) return answer(response, ...destination.down)
    forward(request, response, destination, destination.upstream, destination.pooled && agent)
  })
  // Longer than any client's pool keeps a connection it does not use: the client shall close it, not we.
  server.keepAliveTimeout = 75_000
  server.requestTimeout = 0
  server.listen(port, LOOPBACK)
  try {
    await once(server, "listening")
  } catch (cause) {
    if (codeOf(cause) === "EADDRINUSE" || codeOf(cause) === "EACCES") throw takenPort(port, "apiPort")
    throw cause
  }
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      agent.destroy()
      await closed
    }
  }
}

const findDestination = (request: http.IncomingMessage, routes: Routes, keys: Keys): Destination | undefined => {
  const [, service, name, rest] = /^\/(rest|functions)\/v1(?=[/?]|$)(?:\/([^/?]*))?(.*)$/s.exec(request.url ?? "") ?? []
  if (service === "rest") {
    return {
      upstream: routes.rest(),
      path: `/${name ?? ""}${rest ?? ""}`,
      headers: withAuthorization(forwardedHeaders(request), request, keys),
      pooled: true,
      down: [502, "BAD_GATEWAY", "PostgREST is not running"]
    }
  }
  const upstream = routes.functions.get(name ?? "")
  if (upstream === undefined) return undefined
  return {
    upstream: upstream(),
    path: `/${name}${rest}`,
    headers: forwardedHeaders(request),
    pooled: false,
    down: [503, "BOOT_ERROR", "Function failed to start (please check logs)"]
  }
}

const forwardedHeaders = ({ rawHeaders }: http.IncomingMessage): ReadonlyArray<string> =>
  rawHeaders.filter((_, at) => !CONNECTION_HEADERS.has((rawHeaders[at - (at % 2)] ?? "").toLowerCase()))

// PostgREST cannot read the new opaque keys. Hosted Supabase's gateway exchanges them for a role's token; so do we.
const withAuthorization = (
  headers: ReadonlyArray<string>,
  { headers: { authorization, apikey } }: http.IncomingMessage,
  keys: Keys
): ReadonlyArray<string> => {
  if (authorization !== undefined && !authorization.startsWith("Bearer sb_")) return headers
  const exchanged =
    apikey === keys.serviceKey
      ? `Bearer ${keys.serviceToken}`
      : apikey === keys.publishableKey
        ? `Bearer ${keys.anonToken}`
        : String(apikey ?? "")
  const others = headers.filter((_, at) => headers[at - (at % 2)]?.toLowerCase() !== "authorization")
  return exchanged === "" ? others : [...others, "Authorization", exchanged]
}

// `agent` false is a connection of its own: Deno closes one on which it answered before the whole body was there, and
// a pool would hand it to the next request first.
const forward = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { path, headers, down }: Destination,
  upstream: Upstream,
  agent: http.Agent | false
): void => {
  const outgoing = http.request({ ...upstream, host: LOOPBACK, agent, method: request.method, path, headers })
  let timedOut = false
  outgoing.setTimeout(READ_TIMEOUT_MILLISECONDS, () => {
    timedOut = true
    outgoing.destroy()
  })
  outgoing.on("response", (incoming) => {
    response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage, responseHeaders(incoming))
    // Sent at once, for answers whose body comes later.
    response.flushHeaders()
    incoming.pipe(response)
    incoming.on("error", () => response.destroy())
  })
  outgoing.on("error", () => {
    request.unpipe(outgoing)
    request.resume()
    if (response.headersSent) response.destroy()
    else if (timedOut) answer(response, 504, "IDLE_TIMEOUT", "No answer for 150 seconds")
    else answer(response, ...down)
  })
  response.on("close", () => {
    if (!response.writableFinished) outgoing.destroy()
  })
  request.pipe(outgoing)
}

const responseHeaders = ({ rawHeaders }: http.IncomingMessage): Array<string> =>
  rawHeaders.filter((_, at) => !CONNECTION_HEADERS.has((rawHeaders[at - (at % 2)] ?? "").toLowerCase()))

const answer = (response: http.ServerResponse, status: number, code: string, message: string): void => {
  if (response.destroyed) return
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code, message }))
}
