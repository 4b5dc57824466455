import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { buffer } from "node:stream/consumers"
import { LOOPBACK } from "../local/ports.ts"
import { type Call, type Forward, kindOf, type Reply, type Treatment } from "./calls.ts"

export interface Proxy extends AsyncDisposable {
  readonly url: string
  /** How many calls are held or being answered. */
  readonly busy: () => number
}

export interface ProxyOptions {
  /** The upstream of a path. Looked up at each call, because it starts after the proxy, and its port changes. */
  readonly target: (path: string) => string
  readonly treat: Treatment
}

// These describe one connection, not the message. Without the last one, replies can be read on their way.
const CONNECTION_HEADERS = new Set([
  "connection",
  "keep-alive",
  "host",
  "content-length",
  "transfer-encoding",
  "expect",
  "accept-encoding"
])

const messageHeaders = (rawHeaders: ReadonlyArray<string>): ReadonlyArray<string> =>
  rawHeaders.filter((_, at) => !CONNECTION_HEADERS.has((rawHeaders[at - (at % 2)] ?? "").toLowerCase()))

const forwardTo = async (
  agent: http.Agent,
  target: URL,
  { body, headers, method, path }: Call,
  signal?: AbortSignal
): Promise<Reply> => {
  const length = ["Host", target.host, "Content-Length", String(body.length)]
  const request = http.request({
    host: target.hostname,
    port: target.port,
    agent,
    method,
    path,
    headers: [...headers, ...length],
    ...(signal !== undefined && { signal })
  })
  // A connection may still break after the response was read, which `once` would miss.
  request.on("error", () => {})
  request.end(body)
  const [response] = (await once(request, "response")) as [http.IncomingMessage]
  return {
    status: response.statusCode ?? 502,
    headers: messageHeaders(response.rawHeaders),
    body: await buffer(response)
  }
}

/** Stands between pg_net and the handler, and between the handler and everything that it calls. */
export const startProxy = async ({ target, treat }: ProxyOptions): Promise<Proxy> => {
  const agent = new http.Agent({ keepAlive: true })
  let busy = 0
  const forward: Forward = async (call, signal) => forwardTo(agent, new URL(target(call.path)), call, signal)

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const { method = "GET", url: path = "/" } = request
    busy += 1
    try {
      const call = {
        kind: kindOf(path),
        method,
        path,
        headers: messageHeaders(request.rawHeaders),
        body: await buffer(request)
      }
      const reply = await treat(call, forward)
      if (reply === undefined) response.destroy()
      else response.writeHead(reply.status, [...reply.headers]).end(reply.body)
    } catch {
      // The upstream is gone, and so is its connection.
      response.destroy()
    } finally {
      busy -= 1
    }
  }

  const server = http.createServer((request, response) => void serve(request, response))
  server.keepAliveTimeout = 75_000
  server.listen(0, LOOPBACK)
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${LOOPBACK}:${port}`,
    busy: () => busy,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      agent.destroy()
      await closed
    }
  }
}
