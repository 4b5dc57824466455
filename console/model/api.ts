import type { Config, EventChangeReply, Health, History, Mail, Page } from "./types.ts"

/** A failed request. `code` is the problem's, or `unreachable` if there was no answer. */
export class Refused extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const refused = (status: number, body: unknown): Refused => {
  const text = (name: string) => (isObject(body) && typeof body[name] === "string" ? body[name] : undefined)
  const code = text("code") ?? `http_${status}`
  return new Refused(status, code, text("detail") ?? text("title") ?? `The project answered with status ${status}.`)
}

const ask = async <A>(path: string, init?: RequestInit): Promise<A> => {
  let response: Response
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(20_000) })
  } catch {
    throw new Refused(
      0,
      "unreachable",
      "The console's own process does not answer. Start it again, then reload this page."
    )
  }
  const body = await response.json().catch(() => undefined)
  // A 503 of /health is a report, too.
  if (response.ok || (path === "api/health" && isObject(body) && "checks" in body)) return body
  throw refused(response.status, body)
}

export const basePath = "/api/v1/webhooks/"

const pathOf = (topic: string, eventId = "") =>
  `api${basePath}${encodeURIComponent(topic)}${eventId && `/${encodeURIComponent(eventId)}`}`

export interface Filters {
  readonly status?: string
  readonly key?: string
  readonly transition?: string
  readonly limit?: string
  readonly cursor?: string
}

export const getConfig = () => ask<Config>("config.json")
export const getHealth = () => ask<Health>("api/health")
export const getMails = () => ask<ReadonlyArray<Mail>>("mails.json")
export const getEvent = (topic: string, eventId: string) => ask<History>(pathOf(topic, eventId))

export const listEvents = (topic: string, filters: Filters) =>
  ask<Page>(`${pathOf(topic)}?${new URLSearchParams({ ...filters })}`)

export const changeEvent = (topic: string, eventId: string, change: object) =>
  ask<EventChangeReply>(pathOf(topic, eventId), {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(change)
  })
