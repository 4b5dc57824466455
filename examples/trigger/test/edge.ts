import { once } from "node:events"
import * as http from "node:http"
import { text } from "node:stream/consumers"

/** A call that a task made. **Shape** `path` is /functions/v1/<name> or /rest/v1/…; `key` its Idempotency-Key. */
export interface Call {
  readonly path: string
  readonly key: string | undefined
  readonly body: unknown
}

type Step = number | "accepts, then hangs up"

/**
 * Stands in for generate-pdf and send-email, which are idempotent by key. Passes everything else on to the stack.
 * `steps` sets what happens to the next calls of a function instead of success.
 */
export const startEdge = async (apiUrl: string) => {
  const calls: Array<Call> = []
  const steps: Record<string, Array<Step>> = {}
  const done = new Map<string, string>()

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const body = await text(request)
    const path = request.url ?? "/"
    const header = request.headers["idempotency-key"]
    const key = typeof header === "string" ? header : undefined
    calls.push({ path, key, body: body === "" ? undefined : JSON.parse(body) })
    const [, name] = /^\/functions\/v1\/([\w-]+)$/.exec(path) ?? []
    const json = (status: number, answer: unknown) =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer))
    if (name === undefined) {
      const headers = new Headers()
      for (const each of [
        "apikey",
        "authorization",
        "content-type",
        "prefer",
        "accept",
        "content-profile",
        "accept-profile"
      ]) {
        const value = request.headers[each]
        if (typeof value === "string") headers.set(each, value)
      }
      const init = { method: request.method ?? "GET", headers, ...(body !== "" && { body }) }
      const answer = await fetch(new URL(path, apiUrl), init)
      const type = answer.headers.get("content-type") ?? "application/json"
      return void response.writeHead(answer.status, { "content-type": type }).end(await answer.text())
    }
    const fault = steps[name]?.shift()
    if (typeof fault === "number") return json(fault, { detail: "injected", retryable: fault >= 500 })
    const held = done.get(key ?? "") ?? `${name}-${done.size + 1}`
    done.set(key ?? "", held)
    if (fault !== undefined) return void request.socket.destroy()
    json(200, name === "generate-pdf" ? { success: true, pdf_url: held } : { success: true, message_id: held })
  }

  const server = http.createServer((request, response) => void serve(request, response))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    calls,
    steps,
    /** What was done, once per key: [key, what]. */
    done,
    functionCalls: () => calls.filter(({ path }) => path.startsWith("/functions/")),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

export type Edge = Awaited<ReturnType<typeof startEdge>>
