import { randomUUID } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http"
import { type Answer, problem, problems } from "./answer.ts"
import { limiter } from "./limit.ts"
import { readMail } from "./mail.ts"
import { openOutbox, type StoredMail } from "./outbox.ts"

/**
 * A fault of the next POST /emails: "500" and "429" are the reply; "quota" is a 429 that lasts a day; "hang" never
 * answers; "reset" closes the connection; "lost" closes it after the mail was accepted.
 */
export const FAULTS = ["500", "429", "quota", "hang", "reset", "lost"] as const
export type Fault = (typeof FAULTS)[number]

export interface ApiOptions {
  readonly apiKey: string
  /** Where mails are kept. */
  readonly folder: string
  /** Allowed requests per second. Default: 2. No limit if 0. */
  readonly requestsPerSecond?: number
  /** Domains that may send mails. Default: any. */
  readonly domains?: ReadonlyArray<string>
  readonly now?: () => number
  readonly log?: (line: string) => void
}

interface Call {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** An answer, or what happens to the connection instead. **Shape** `released` is called when the caller has gone. */
type Outcome = Answer | "reset" | { readonly released: () => void }

export interface Api {
  readonly call: (call: Call) => Outcome
  readonly mails: () => ReadonlyArray<StoredMail>
  readonly find: (id: string) => StoredMail | undefined
  /** Each granted POST /emails takes the first one. */
  readonly faults: Array<Fault>
}

const DEFAULT_REQUESTS_PER_SECOND = 2
const LONGEST_KEY = 256
const LINE_WIDTH = 80

const domainOf = (from: string): string => /@([^>]+)>?$/.exec(from)?.[1] ?? ""

const asEmail = ({ createdAt, from, html, id, subject, text, to }: StoredMail): Answer => {
  const created_at = new Date(createdAt).toISOString()
  const parts = { html: html ?? null, text: text ?? null }
  const others = { bcc: [], cc: [], reply_to: [], last_event: "delivered" }
  return { status: 200, body: { object: "email", id, to, from, created_at, subject, ...parts, ...others } }
}

/** The part of Resend's API that sends mails. */
export const makeApi = (options: ApiOptions): Api => {
  const now = options.now ?? Date.now
  const outbox = openOutbox(options.folder, now)
  const allow = limiter(options.requestsPerSecond ?? DEFAULT_REQUESTS_PER_SECOND, now)
  const faults: Array<Fault> = []
  const underWay = new Set<string>()

  const accept = (body: string, key: string | undefined): Answer => {
    const first = key === undefined ? undefined : outbox.remembered(key, body)
    if (first !== undefined) return first.same ? { status: 200, body: { id: first.id } } : problems.otherPayload
    const mail = readMail(body)
    if ("status" in mail) return mail
    const domain = domainOf(mail.from)
    if (options.domains?.includes(domain) === false) {
      return problem(
        403,
        "validation_error",
        `The ${domain} domain is not verified. Please, add and verify your domain`
      )
    }
    const id = randomUUID()
    outbox.keep({ ...mail, id, createdAt: now(), ...(key !== undefined && { idempotencyKey: key }) }, body)
    options.log?.(`mail to ${mail.to.join(", ")}: ${mail.subject}`.slice(0, LINE_WIDTH))
    return { status: 200, body: { id } }
  }

  const hold = (key: string | undefined): Outcome => {
    if (key !== undefined) underWay.add(key)
    return { released: () => void (key !== undefined && underWay.delete(key)) }
  }

  const post = (body: string, key: string | undefined): Outcome => {
    if (key === "" || (key ?? "").length > LONGEST_KEY) return problems.invalidIdempotencyKey
    if (key !== undefined && underWay.has(key)) return problems.underWay
    switch (faults.shift()) {
      case "500":
        return problems.unexpected
      case "429":
        return { ...problems.rateLimit, headers: { "retry-after": "1" } }
      case "quota":
        return { ...problems.dailyQuota, headers: { "retry-after": "86400" } }
      case "hang":
        return hold(key)
      case "reset":
        return "reset"
      case "lost": {
        const answer = accept(body, key)
        return answer.status === 200 ? "reset" : answer
      }
      case undefined:
        return accept(body, key)
    }
  }

  const route = ({ body, headers, method, path }: Call): Outcome => {
    const [found, id] = /^\/emails(?:\/([^/]+))?$/.exec(path) ?? []
    if (found === undefined) return problems.notFound
    if (id === undefined && method === "POST") {
      const key = headers["idempotency-key"]
      return post(body, typeof key === "string" ? key : undefined)
    }
    if (id === undefined || method !== "GET") return problems.methodNotAllowed
    const mail = outbox.find(id)
    return mail === undefined ? problems.unknownMail : asEmail(mail)
  }

  return {
    faults,
    mails: outbox.mails,
    find: outbox.find,
    call: (call) => {
      const [, key] = /^Bearer (.+)$/.exec(call.headers.authorization ?? "") ?? []
      if (key === undefined) return problems.missingKey
      if (key !== options.apiKey) return problems.invalidKey
      const { granted, headers } = allow()
      const outcome = granted ? route(call) : problems.rateLimit
      return typeof outcome === "object" && "status" in outcome
        ? { ...outcome, headers: { ...headers, ...outcome.headers } }
        : outcome
    }
  }
}
