import { once } from "node:events"
import * as http from "node:http"
import { LOOPBACK } from "../ports.ts"
import type { Answer } from "./answer.ts"
import { type Api, type ApiOptions, FAULTS, makeApi } from "./api.ts"
import { indexPage } from "./page.ts"

export interface ResendOptions extends ApiOptions {
  /** The port. Default, or 0: a free one. */
  readonly port?: number
}

export interface Resend extends AsyncDisposable, Pick<Api, "mails" | "faults"> {
  readonly url: string
}

// Longer than any client's pool keeps an idle connection.
const KEEP_ALIVE_MILLISECONDS = 600_000

/**
 * A stand-in for Resend on loopback. It keeps mails, which you can read on the page at /.
 *
 * Besides Resend's API, it has /mails.json and POST /faults/<fault>,<fault>, which sets the next faults.
 */
export const startResend = async (options: ResendOptions): Promise<Resend> => {
  const api = makeApi(options)

  const callApi = async (request: http.IncomingMessage, response: http.ServerResponse, path: string) => {
    const { headers, method = "" } = request
    // Resend's firewall refuses requests without a User-Agent.
    if (headers["user-agent"] === undefined) return void response.writeHead(403).end("error code: 1010")
    const outcome = api.call({ method, path, headers, body: await textOf(request) })
    if (outcome === "reset") return void request.socket.resetAndDestroy()
    if ("released" in outcome) return void response.on("close", outcome.released)
    sendJson(response, outcome)
  }

  const addFaults = (words: ReadonlyArray<string>): boolean => {
    const known = words.flatMap((word) => FAULTS.find((fault) => fault === word) ?? [])
    if (known.length === words.length) api.faults.push(...known)
    return known.length === words.length
  }

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname
    const [, words] = /^\/faults\/([\w,]+)$/.exec(path) ?? []
    if (words !== undefined && request.method === "POST") {
      return void response.writeHead(addFaults(words.split(",")) ? 204 : 400).end()
    }
    const [, id = "", extension] = /^\/mails\/([\w-]+)\.(html|txt)$/.exec(path) ?? []
    const content = extension === "html" ? api.find(id)?.html : api.find(id)?.text
    if (path === "/") return send(response, "text/html", indexPage(api.mails()))
    if (path === "/mails.json") return send(response, "application/json", JSON.stringify(api.mails()))
    if (content !== undefined) return send(response, extension === "html" ? "text/html" : "text/plain", content)
    await callApi(request, response, path)
  }

  const server = http.createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
  server.listen(options.port ?? 0, LOOPBACK)
  await once(server, "listening")
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    url: `http://${LOOPBACK}:${port}`,
    mails: api.mails,
    faults: api.faults,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

const textOf = async (request: http.IncomingMessage): Promise<string> => {
  const parts: Array<Buffer> = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts).toString()
}

const sendJson = (response: http.ServerResponse, { body, headers, status }: Answer): void =>
  void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

const send = (response: http.ServerResponse, type: string, content: string): void =>
  void response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(content)
