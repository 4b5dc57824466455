import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import type { EventHistory } from "../../src/schema/Events.ts"
import { EventId, Version } from "../../src/schema/Identifiers.ts"
import { managementWorld } from "../layers/managementWorld.ts"

const iso = (at: number): string => new Date(at).toISOString().replace("Z", "417Z")

/** An event as it would be in the outbox; whatever is given is taken. */
export const anEvent = (given: Partial<EventHistory> & { readonly at?: number } = {}): EventHistory => {
  const { at = Date.now(), ...rest } = given
  const completedAt = rest.status === undefined || rest.status === "completed" ? iso(at + 31) : null
  return {
    eventId: EventId.make(randomUUID()),
    topic: "pause-status",
    key: randomUUID(),
    version: Version.make(1),
    type: "UPDATE",
    record: { id: "1", status: "paused" },
    oldRecord: { id: "1", status: "active" },
    occurredAt: iso(at),
    source: "outbox",
    status: "completed",
    attemptCount: 1,
    failures: 0,
    createdAt: iso(at),
    completedAt,
    nextAttemptAt: null,
    lastError: null,
    receipt: completedAt === null ? null : { notified: 2, notificationIds: [randomUUID(), randomUUID()] },
    reachedNobody: false,
    attempts:
      completedAt === null
        ? []
        : [
            {
              attempt: 1,
              why: "commit",
              outcome: "completed",
              dispatchedAt: iso(at + 2),
              endedAt: iso(at + 31),
              httpStatus: 200,
              error: null,
              durationMs: 22
            }
          ],
    deadLetter: null,
    ...rest
  }
}

interface Failure {
  readonly at?: number
  readonly attempts?: number
  readonly key?: string
  readonly reason?: string
  readonly status?: number
}

/** An event that failed for good. */
export const aDeadLetter = (
  error: string,
  { at = Date.now(), attempts = 5, key = randomUUID(), reason = "exhausted", status = 503 }: Failure = {}
): EventHistory =>
  anEvent({
    key,
    at,
    status: "failed",
    attemptCount: attempts,
    failures: attempts,
    lastError: error,
    attempts: Array.from({ length: attempts }, (_, index) => ({
      attempt: index + 1,
      why: index === 0 ? "commit" : "sweep",
      outcome: index + 1 === attempts && reason === "refused" ? "permanent" : "transient",
      dispatchedAt: iso(at + index * 20_000 + 3),
      endedAt: iso(at + index * 20_000 + 45),
      httpStatus: status,
      error,
      durationMs: 38
    })),
    deadLetter: {
      id: randomUUID(),
      reason,
      attempts,
      firstFailedAt: iso(at + 45),
      lastFailedAt: iso(at + attempts * 20_000),
      lastError: error,
      createdAt: iso(at + attempts * 20_000),
      resolution: null,
      resolvedAt: null,
      notes: null
    }
  })

export interface FakeProject extends AsyncDisposable {
  readonly apiUrl: string
  readonly serviceKey: string
  readonly state: ReturnType<typeof managementWorld>["state"]
  readonly add: (...events: ReadonlyArray<EventHistory>) => void
  /** What it answers instead, while there is something. */
  readonly instead: { answer?: (request: Request) => Response | undefined | Promise<Response | undefined> }
  /** Method and path of each request. */
  readonly asked: Array<string>
}

/** A project whose management routes are the real ones, over a store in memory. */
export const startProject = async (): Promise<FakeProject> => {
  const world = managementWorld()
  const instead: FakeProject["instead"] = {}
  const asked: Array<string> = []
  const server = createServer(async (incoming, outgoing) => {
    const parts: Array<Buffer> = []
    for await (const part of incoming) parts.push(part)
    const { headers, method = "GET", url = "/" } = incoming
    asked.push(`${method} ${url}`)
    const request = new Request(`http://localhost${url.replace("/functions/v1", "")}`, {
      method,
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
      ...(method === "PUT" && { body: Buffer.concat(parts) })
    })
    const response = (await instead.answer?.(request)) ?? (await world.handler(request))
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return {
    apiUrl: `http://127.0.0.1:${port}`,
    serviceKey: "sb_secret_1",
    state: world.state,
    add: (...events) => events.forEach((event) => world.state.events.set(event.eventId, event)),
    instead,
    asked,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
}
