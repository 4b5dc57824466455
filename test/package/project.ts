import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"

const mentorId = "3f2b8c1e-5a47-4d0b-9c6e-7a1d2e3f4a5b"

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
}

interface Traces {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }>
  }>
}

interface Metrics {
  readonly resourceMetrics: ReadonlyArray<{
    readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<{ readonly name: string }> }>
  }>
}

/** A call of an SQL function. **Shape** `topic` is that of a settlement. */
interface Call {
  readonly name: string
  readonly key: string | undefined
  readonly topic?: string
}

/** A Supabase project as an app sees it, and the collector of the app's traces and metrics. */
export interface Project extends AsyncDisposable {
  readonly url: string
  /** The SQL functions that were called, in order, with the key that each was called with. */
  readonly calls: Array<Call>
  readonly spans: Array<Span>
  /** The names of the metrics that were sent. */
  readonly metrics: Set<string>
  /** Holds the next claim back. Resolves once it is there, with what lets it through. */
  readonly holdClaim: () => Promise<() => void>
}

/** Grants every claim, completes every settlement, and has one mentor who is paused. */
export const startProject = async (): Promise<Project> => {
  const calls: Project["calls"] = []
  const spans: Array<Span> = []
  const metrics = new Set<string>()
  let held = Promise.resolve()
  let reached = () => {}

  const answer = async (request: IncomingMessage): Promise<unknown> => {
    const body = JSON.parse((await text(request)) || "null")
    const path = new URL(request.url ?? "/", "http://localhost").pathname
    if (path === "/v1/traces") {
      const traces: Traces = body
      spans.push(...traces.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)))
      return {}
    }
    if (path === "/v1/metrics") {
      const { resourceMetrics }: Metrics = body
      const sent = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      for (const { name } of sent) metrics.add(name)
      return {}
    }
    if (path === "/rest/v1/peer_mentor_profiles") return [{ id: mentorId }]
    const name = path.slice("/rest/v1/rpc/".length)
    const key = request.headers["apikey"]?.toString()
    calls.push(name === "outbox_settle" ? { name, key, topic: body.topic } : { name, key })
    if (name === "outbox_claim") {
      reached()
      await held
      return body.events.map(() => ({ outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 60 }))
    }
    return { settled: body.settlements.map(() => ({ outcome: "completed" })), next: [] }
  }

  const server = createServer((request, response) => {
    answer(request).then(
      (reply) => response.setHeader("content-type", "application/json").end(JSON.stringify(reply)),
      (error) => response.writeHead(500).end(String(error))
    )
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    spans,
    metrics,
    holdClaim: () => {
      let letThrough = () => {}
      held = new Promise((resolve) => (letThrough = resolve))
      return new Promise((resolve) => (reached = () => resolve(letThrough)))
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}
