import * as http from "node:http"
import * as https from "node:https"
import { performance } from "node:perf_hooks"
import { describeFailure, Timings } from "./failure.ts"

export interface QueuedRequest {
  readonly id: string
  readonly method: string
  readonly url: string
  readonly timeout: number
  /** `name: value` lines. */
  readonly headers: ReadonlyArray<string>
  readonly body: Buffer | null
  /** Default: pg_net's. */
  readonly userAgent?: string
}

/** A row of net._http_response, without its time. */
export interface Outcome {
  readonly id: string
  readonly status: number | null
  readonly contentType: string | null
  readonly headers: Readonly<Record<string, string>> | null
  readonly content: string | null
  readonly timedOut: boolean
  readonly error: string | null
}

const USER_AGENT = "pg_net/0.20.4"
const MOST_REDIRECTS = 30

interface Hop {
  readonly url: URL
  readonly method: string
  readonly body: Buffer | null
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly userAgent: string
}

type Agents = { readonly http: http.Agent; readonly https: https.Agent }
const keptAlive = { keepAlive: true, maxFreeSockets: 1_000 }
const pooled: Agents = { http: new http.Agent(keptAlive), https: new https.Agent(keptAlive) }
const single: Agents = { http: new http.Agent(), https: new https.Agent() }

/** Sends one request as pg_net's libcurl would, follows redirects, and never fails: a failure is also an outcome. */
export const exchange = async (request: QueuedRequest): Promise<Outcome> => {
  const timings = new Timings(request.timeout)
  // Zero means no limit to libcurl.
  const signal = request.timeout > 0 ? AbortSignal.timeout(request.timeout) : undefined
  try {
    let hop: Hop = {
      url: new URL(request.url),
      method: request.method.toUpperCase(),
      body: request.body,
      headers: parseHeaders(request.headers),
      userAgent: request.userAgent ?? USER_AGENT
    }
    for (let redirects = 0; ; redirects++) {
      const response = await sendWithRetry(hop, timings, signal)
      const next = redirected(hop, response)
      if (next === undefined) return received(request.id, response, await readAll(response))
      response.resume()
      if (redirects === MOST_REDIRECTS) throw new Error("Number of redirects hit maximum amount")
      hop = next
    }
  } catch (cause) {
    const failure = signal?.aborted === true ? timings.message(performance.now()) : describeFailure(cause)
    const timedOut = signal?.aborted === true
    return { id: request.id, status: null, contentType: null, headers: null, content: null, timedOut, error: failure }
  }
}

const parseHeaders = (lines: ReadonlyArray<string>): Hop["headers"] =>
  lines.map((line) => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
  })

// The server may have closed a kept connection. libcurl then tries once more on a new one.
const sendWithRetry = async (hop: Hop, timings: Timings, signal?: AbortSignal): Promise<http.IncomingMessage> => {
  let reused = false
  try {
    return await send(hop, pooled, timings, signal, () => (reused = true))
  } catch (cause) {
    if (!reused || signal?.aborted === true) throw cause
    return await send(hop, single, timings, signal, () => {})
  }
}

const send = (
  hop: Hop,
  agents: Agents,
  timings: Timings,
  signal: AbortSignal | undefined,
  onReuse: () => void
): Promise<http.IncomingMessage> =>
  new Promise((resolve, reject) => {
    const secure = hop.url.protocol === "https:"
    const options = { method: hop.method, headers: wireHeaders(hop), ...(signal && { signal }) }
    const request = secure
      ? https.request(hop.url, { ...options, agent: agents.https })
      : http.request(hop.url, { ...options, agent: agents.http })
    timings.follow(request, secure)
    request.on("response", resolve)
    request.on("error", (cause) => {
      if (request.reusedSocket) onReuse()
      reject(cause)
    })
    request.end(hop.body ?? undefined)
  })

const wireHeaders = (hop: Hop): ReadonlyArray<string> => {
  const given = hop.headers.filter(([, value]) => value !== "")
  const names = new Set(hop.headers.map(([name]) => name.toLowerCase()))
  const added: Array<readonly [string, string]> = [["User-Agent", hop.userAgent]]
  if (!names.has("host")) added.unshift(["Host", hop.url.host])
  if (!names.has("accept")) added.push(["Accept", "*/*"])
  if (hop.body !== null || hop.method === "POST") {
    added.push(["Content-Length", `${hop.body?.length ?? 0}`])
    if (hop.body !== null && !names.has("content-type")) {
      added.push(["Content-Type", "application/x-www-form-urlencoded"])
    }
  }
  return [...given, ...added].flat()
}

const KEEP_METHOD = new Set([307, 308])
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const SECRET_HEADERS = new Set(["authorization", "cookie"])

const redirected = (hop: Hop, response: http.IncomingMessage): Hop | undefined => {
  const { statusCode = 0, headers } = response
  if (!REDIRECTS.has(statusCode) || headers.location === undefined) return undefined
  const url = new URL(headers.location, hop.url)
  const kept = url.origin === hop.url.origin ? hop.headers : hop.headers.filter(([name]) => !isSecret(name))
  if (KEEP_METHOD.has(statusCode)) return { ...hop, url, headers: kept }
  return { ...hop, url, method: hop.method === "POST" ? "GET" : hop.method, body: null, headers: kept }
}

const isSecret = (name: string): boolean => SECRET_HEADERS.has(name.toLowerCase())

const readAll = async (response: http.IncomingMessage): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of response) parts.push(part)
  return Buffer.concat(parts)
}

const received = (id: string, response: http.IncomingMessage, body: Buffer): Outcome => {
  const headers: Record<string, string> = {}
  for (let at = 0; at + 1 < response.rawHeaders.length; at += 2) {
    headers[response.rawHeaders[at] ?? ""] = response.rawHeaders[at + 1] ?? ""
  }
  // pg_net keeps the body as a C string: it ends at the first zero byte.
  const zero = body.indexOf(0)
  const content = body.subarray(0, zero === -1 ? body.length : zero).toString("utf8")
  return {
    id,
    status: response.statusCode ?? null,
    contentType: response.headers["content-type"] ?? null,
    headers,
    content: content === "" ? null : content,
    timedOut: false,
    error: null
  }
}
