import * as http from "node:http"
import { once } from "node:events"
import type { Duplex } from "node:stream"
import { type Keys, publishedKeys } from "./keys.ts"
import { LOOPBACK, takenPort } from "./ports.ts"
import { codeOf, messageOf } from "./StackError.ts"

export type Upstream = { readonly port: number } | { readonly socketPath: string }

/** Where the gateway sends each request. A function that is down has no upstream. */
export interface Routes {
  readonly rest: () => Upstream | undefined
  readonly storage: () => Upstream | undefined
  readonly functions: ReadonlyMap<string, () => Upstream | undefined>
  /** The address of the console, which is started when somebody opens it. */
  readonly console: () => Promise<string>
}

export interface Gateway extends AsyncDisposable {
  readonly port: number
}

const KEY_SET_PATH = "/auth/v1/.well-known/jwks.json"
const READ_TIMEOUT_MILLISECONDS = 150_000
// Shorter than PostgREST's own 30 seconds, so that no request uses a connection that is being closed.
const IDLE_MILLISECONDS = 20_000
// These describe one connection, not the message. `expect` is answered here.
const CONNECTION_HEADERS = new Set(["connection", "keep-alive", "proxy-connection", "expect", "upgrade"])

interface Destination {
  readonly upstream: Upstream | undefined
  readonly path: string
  readonly headers: ReadonlyArray<string>
  readonly down: readonly [status: number, code: string, message: string]
}

/**
 * One port for everything, as on hosted Supabase: /rest/v1, /storage/v1 and /functions/v1. Bodies pass through untouched.
 * /auth/v1 has only the keys that users' tokens are checked with.
 */
export const startGateway = async (port: number, routes: Routes, keys: Keys): Promise<Gateway> => {
  const agent = new KeepingAgent({ keepAlive: true, timeout: IDLE_MILLISECONDS })
  const keySet = JSON.stringify(publishedKeys(keys))
  const server = http.createServer((request, response) => {
    if (request.method === "GET" && request.url === KEY_SET_PATH) {
      return void response.writeHead(200, { "content-type": "application/json" }).end(keySet)
    }
    if (request.method === "GET" && request.url === "/" && isOwnName(request, port)) {
      return void openConsole(response, routes.console)
    }
    const destination = findDestination(request, routes, keys)
    if (destination === undefined) return answer(response, 404, "NOT_FOUND", `Nothing is served at ${request.url}`)
    if (destination.upstream === undefined) return answer(response, ...destination.down)
    forward(request, response, destination, destination.upstream, agent)
  })
  // Longer than any client's pool keeps an idle connection, so that the client closes it, not we.
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

// The console's address is a secret, so a page under a foreign name must not get it.
const isOwnName = ({ headers }: http.IncomingMessage, port: number): boolean =>
  [`${LOOPBACK}:${port}`, `localhost:${port}`].includes(headers.host ?? "")

const openConsole = async (response: http.ServerResponse, start: Routes["console"]): Promise<void> => {
  try {
    response.writeHead(302, { location: await start(), "cache-control": "no-store" }).end()
  } catch (cause) {
    answer(response, 500, "CONSOLE", messageOf(cause))
  }
}

const findDestination = (request: http.IncomingMessage, routes: Routes, keys: Keys): Destination | undefined => {
  const [, service, name, rest] =
    /^\/(rest|storage|functions)\/v1(?=[/?]|$)(?:\/([^/?]*))?(.*)$/s.exec(request.url ?? "") ?? []
  if (service === "rest" || service === "storage") {
    return {
      upstream: routes[service](),
      path: `/${name ?? ""}${rest ?? ""}`,
      headers: withAuthorization(forwardedHeaders(request), request, keys),
      down: [502, "BAD_GATEWAY", `${service === "rest" ? "PostgREST" : "Storage"} is not running`]
    }
  }
  const upstream = routes.functions.get(name ?? "")
  if (upstream === undefined) return undefined
  return {
    upstream: upstream(),
    path: `/${name}${rest}`,
    headers: forwardedHeaders(request),
    down: [503, "BOOT_ERROR", "Function failed to start (please check logs)"]
  }
}

const forwardedHeaders = ({ rawHeaders }: http.IncomingMessage): ReadonlyArray<string> =>
  rawHeaders.filter((_, at) => !CONNECTION_HEADERS.has((rawHeaders[at - (at % 2)] ?? "").toLowerCase()))

// PostgREST and Storage cannot read the new opaque keys. Hosted Supabase's gateway exchanges them for a role's token; so do we.
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

/**
 * Keeps connections like Kong, except after a refusal. If Deno answers before it has the whole body, it closes the
 * connection a moment later, when the next request may already be on its way. Only refusals are answered so early.
 */
class KeepingAgent extends http.Agent {
  readonly #spoiled = new WeakSet<object>()

  spoil(socket: Duplex): void {
    this.#spoiled.add(socket)
  }

  override keepSocketAlive(socket: Duplex): boolean {
    // It returns whether the connection may be kept, which its type does not say.
    const mayBeKept: unknown = super.keepSocketAlive(socket)
    return mayBeKept === true && !this.#spoiled.has(socket)
  }
}

const forward = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  { path, headers, down }: Destination,
  upstream: Upstream,
  agent: KeepingAgent
): void => {
  const outgoing = http.request({ ...upstream, host: LOOPBACK, agent, method: request.method, path, headers })
  let timedOut = false
  outgoing.setTimeout(READ_TIMEOUT_MILLISECONDS, () => {
    timedOut = true
    outgoing.destroy()
  })
  outgoing.on("response", (incoming) => {
    const { socket, statusCode = 502 } = incoming
    if (statusCode >= 300) agent.spoil(socket)
    response.writeHead(statusCode, incoming.statusMessage, responseHeaders(incoming))
    incoming.pipe(response)
    // Together with a body that is already there, or alone if the body comes later.
    setImmediate(() => response.flushHeaders())
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
