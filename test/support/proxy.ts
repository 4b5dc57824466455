import { once } from "node:events"
import * as http from "node:http"
import { buffer } from "node:stream/consumers"

/** One request that came through the proxy. */
interface Passed {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

interface Reply {
  readonly status: number
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: Buffer
}

interface Exchange {
  readonly response: http.ServerResponse
  readonly forward: () => Promise<Reply>
}

/** What happens to one request. */
export type Step = (exchange: Exchange) => void | Promise<void>

const pass: Step = async ({ forward, response }) => {
  const { body, headers, status } = await forward()
  response.writeHead(status, headers.flat()).end(body)
}

/** Answers itself; nothing gets through. */
export const answerWith =
  (status: number, headers: http.OutgoingHttpHeaders = {}, body = "{}"): Step =>
  ({ response }) =>
    void response.writeHead(status, headers).end(body)

/** Hangs up; nothing gets through. */
export const hangUp: Step = ({ response }) => void response.destroy()

/** Never answers; nothing gets through. */
export const saysNothing: Step = () => {}

/** Lets the request through, and hangs up instead of passing on the reply. */
export const loseReply: Step = async ({ forward, response }) => {
  await forward()
  response.destroy()
}

/** Lets the request through, and passes on another reply. */
export const replyWith =
  (body: unknown): Step =>
  async ({ forward, response }) => {
    await forward()
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body))
  }

export interface Gate {
  readonly step: Step
  /** Resolves when a request waits at the gate. */
  readonly reached: Promise<void>
  readonly open: () => void
}

/** Keeps a request, with its connection open, until the gate is opened; then the step is taken. */
export const gate = (then: Step = pass): Gate => {
  let arrive = () => {}
  let open = () => {}
  const reached = new Promise<void>((resolve) => (arrive = resolve))
  const opened = new Promise<void>((resolve) => (open = resolve))
  return {
    reached,
    open,
    step: async (exchange) => {
      arrive()
      await opened
      await then(exchange)
    }
  }
}

export interface Proxy extends AsyncDisposable {
  readonly url: string
  /** Where requests are passed on to. */
  target: string
  /** What happens to the next requests whose path ends so and whose body contains the text. Later ones pass. */
  readonly next: (pathEnd: string, bodyText: string, ...steps: ReadonlyArray<Step>) => void
  /** Every request so far whose path ends so and whose body holds the text, whatever became of it. */
  readonly seen: (pathEnd?: string, bodyText?: string) => ReadonlyArray<Passed>
}

// These describe one connection, or are rewritten by fetch, which has already undone a compression.
const connectionHeaders = new Set([
  "connection",
  "host",
  "content-length",
  "content-encoding",
  "transfer-encoding",
  "keep-alive",
  "expect"
])

const forwardTo = async (
  url: string,
  { headers, method = "GET" }: http.IncomingMessage,
  bytes: Buffer<ArrayBuffer>
): Promise<Reply> => {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    connectionHeaders.has(name) || value === undefined ? [] : [[name, String(value)] as [string, string]]
  )
  const response = await fetch(url, { method, headers: given, ...(bytes.length > 0 && { body: bytes }) })
  return {
    status: response.status,
    headers: [...response.headers].filter(([name]) => !connectionHeaders.has(name)),
    body: Buffer.from(await response.arrayBuffer())
  }
}

/** Stands between the functions and the gateway, sees every call, and spoils the ones it is told to. */
export const startProxy = async (): Promise<Proxy> => {
  const log: Array<Passed> = []
  const rules: Array<{ readonly pathEnd: string; readonly bodyText: string; readonly steps: Array<Step> }> = []
  const matches = ({ body, path }: Passed, pathEnd: string, bodyText: string) =>
    path.endsWith(pathEnd) && body.includes(bodyText)

  const server = http.createServer(async (request, response) => {
    const { headers, url: path = "/" } = request
    try {
      const bytes = await buffer(request)
      const passed = { path, headers, body: bytes.toString() }
      log.push(passed)
      const rule = rules.find((rule) => rule.steps.length > 0 && matches(passed, rule.pathEnd, rule.bodyText))
      const step = rule?.steps.shift() ?? pass
      await step({ response, forward: () => forwardTo(`${proxy.target}${path}`, request, bytes) })
    } catch {
      response.destroy()
    }
  })
  // Longer than the functions' pool keeps a connection it does not use: a call must not meet one that is being closed.
  server.keepAliveTimeout = 120_000
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")

  const proxy: Proxy = {
    url: `http://127.0.0.1:${address.port}`,
    target: "",
    next: (pathEnd, bodyText, ...steps) => void rules.push({ pathEnd, bodyText, steps: [...steps] }),
    seen: (pathEnd = "", bodyText = "") => log.filter((passed) => matches(passed, pathEnd, bodyText)),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
  return proxy
}
