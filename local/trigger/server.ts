// A stand-in for the part of Trigger.dev's API that this project calls: trigger, retrieve, list and cancel runs, reset an
// idempotency key. The stock SDK is its test.
import { once } from "node:events"
import * as http from "node:http"
import { json } from "node:stream/consumers"
import { LOOPBACK } from "../ports.ts"
import { isFinal, type NewRun, openRuns } from "./Runs.ts"
import { startQueue, type QueueOptions } from "./queue.ts"
import { listReply, retrieveReply, runReply } from "./replies.ts"
import type { Worker } from "./Worker.ts"

/**
 * A fault instead of an answer. "accepts, then hangs up" does the work and loses the answer.
 * **Units** `rateLimited` for so many seconds.
 */
type Fault = { readonly rateLimited: number } | { readonly status: number } | "hangs up" | "accepts, then hangs up"

export interface TriggerOptions extends Pick<QueueOptions, "retryPause"> {
  readonly secretKey: string
  readonly port?: number
  /** A file that keeps the runs, so that they survive a kill of the stand-in. */
  readonly journal?: string
  /** The deployment. Without it, runs wait for a version. */
  readonly worker?: Worker
}

interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const longestKey = 2048
const refusal = (status: number, error: string): Reply => ({ status, body: { error } })

const rateLimited = (seconds: number): Reply => {
  const reset = String(Date.now() + seconds * 1000)
  return {
    ...refusal(429, `Rate limit exceeded 0/1500 requests remaining. Retry in ${seconds} seconds.`),
    headers: { "x-ratelimit-limit": "1500", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset }
  }
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)
const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const endOf = (ttl: unknown): number | undefined => {
  const [, count, unit = ""] = /^(\d+)([smhd])$/.exec(text(ttl) ?? "") ?? []
  return count === undefined ? undefined : Date.now() + Number(count) * (units[unit] ?? 0)
}

/** The request in a trigger's body, or what is wrong with it. */
const readTrigger = (task: string, body: unknown, isDeployed: boolean): NewRun | string => {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return "Invalid request body"
  const { options = {}, payload }: { options?: unknown; payload?: unknown } = body
  if (typeof options !== "object" || options === null) return "Invalid options"
  const given: Readonly<Record<string, unknown>> = { ...options }
  const idempotencyKey = text(given["idempotencyKey"])
  if (idempotencyKey !== undefined && idempotencyKey.length > longestKey) return "idempotencyKey is too long"
  const [concurrencyKey, keyEndsAt] = [text(given["concurrencyKey"]), endOf(given["idempotencyKeyTTL"])]
  const tags = [given["tags"] ?? []].flat().map(String)
  if (tags.length > 10 || tags.some((tag) => tag.length > 128)) return "Too many tags, or too long ones"
  return {
    task,
    payload: typeof payload === "string" ? payload : JSON.stringify(payload ?? null),
    payloadType: text(given["payloadType"]) ?? "application/json",
    tags,
    status: isDeployed ? "QUEUED" : "PENDING_VERSION",
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(keyEndsAt !== undefined && { keyEndsAt }),
    ...(concurrencyKey !== undefined && { concurrencyKey }),
    ...(typeof given["maxAttempts"] === "number" && { maxAttempts: given["maxAttempts"] })
  }
}

export const startTrigger = async ({ journal, port = 0, retryPause, secretKey, worker }: TriggerOptions) => {
  const runs = openRuns(journal)
  const deployed: Worker = worker ?? { tasks: [], execute: () => Promise.reject(new Error("nothing is deployed")) }
  const queue = startQueue({ runs, worker: deployed, ...(retryPause !== undefined && { retryPause }) })
  const faults: Array<Fault> = []
  const requests: Array<string> = []

  const answer = async (request: http.IncomingMessage, url: URL): Promise<Reply> => {
    if (request.headers.authorization !== `Bearer ${secretKey}`) return refusal(401, "Invalid or Missing API key")
    const [, task] = /^\/api\/v1\/tasks\/([^/]+)\/trigger$/.exec(url.pathname) ?? []
    const [, shown] = /^\/api\/v3\/runs\/([^/]+)$/.exec(url.pathname) ?? []
    const [, cancelled] = /^\/api\/v2\/runs\/([^/]+)\/cancel$/.exec(url.pathname) ?? []
    const [, key] = /^\/api\/v1\/idempotencyKeys\/([^/]+)\/reset$/.exec(url.pathname) ?? []
    if (request.method === "GET" && url.pathname === "/api/v1/runs") {
      return { status: 200, body: listReply(runs.all(), url.searchParams) }
    }
    if (request.method === "GET" && shown !== undefined) {
      const run = runs.get(shown)
      return run === undefined ? refusal(404, "Run not found") : { status: 200, body: retrieveReply(run) }
    }
    if (request.method !== "POST") return refusal(404, "Not Found")
    if (cancelled !== undefined) {
      const run = runs.get(cancelled)
      if (run === undefined) return refusal(404, "Run not found")
      if (!isFinal(run.status)) queue.cancel(run.id)
      return { status: 200, body: { id: run.id } }
    }
    const body: unknown = await json(request).catch(() => undefined)
    if (key !== undefined) {
      const named = typeof body === "object" && body !== null && "taskIdentifier" in body && text(body.taskIdentifier)
      return typeof named === "string" && runs.resetKey(named, decodeURIComponent(key))
        ? { status: 200, body: { id: decodeURIComponent(key) } }
        : refusal(404, "No runs found with this idempotency key")
    }
    if (task === undefined) return refusal(404, "Not Found")
    const name = decodeURIComponent(task)
    const isDeployed = deployed.tasks.some(({ id }) => id === name)
    const wanted = readTrigger(name, body, isDeployed)
    if (typeof wanted === "string") return refusal(400, wanted)
    const { isCached, run } = runs.trigger(wanted)
    queue.wake()
    return { status: 200, body: { id: run.id, isCached }, headers: { "x-trigger-jwt-claims": "{}" } }
  }

  const serve = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", `http://${LOOPBACK}`)
    requests.push(`${request.method} ${url.pathname}`)
    const fault = faults.shift()
    if (fault === "hangs up") return void request.socket.destroy()
    const reply =
      fault === undefined || fault === "accepts, then hangs up"
        ? await answer(request, url)
        : "rateLimited" in fault
          ? rateLimited(fault.rateLimited)
          : refusal(fault.status, "Something went wrong")
    if (fault === "accepts, then hangs up") return void request.socket.destroy()
    response
      .writeHead(reply.status, { "content-type": "application/json", ...reply.headers })
      .end(JSON.stringify(reply.body))
  }

  const server = http.createServer((request, response) => {
    serve(request, response).catch((cause: unknown) => response.writeHead(500).end(String(cause)))
  })
  server.listen(port, LOOPBACK)
  await once(server, "listening")
  const address = server.address()
  queue.wake()
  return {
    url: `http://${LOOPBACK}:${typeof address === "object" && address !== null ? address.port : port}`,
    runs,
    /** What happens to the next requests, in order. */
    faults,
    /** Every request so far, such as "POST /api/v1/tasks/x/trigger". */
    requests,
    tick: queue.tick,
    idle: queue.idle,
    show: () => runs.all().map(runReply),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      queue.stop()
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}

export type Trigger = Awaited<ReturnType<typeof startTrigger>>
