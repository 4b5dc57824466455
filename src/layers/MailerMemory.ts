import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Mail, type MailError, Mailer, MailRejected, MailUnavailable } from "../services/Mailer.ts"

/** What a memory mailer does when it is called. */
export type Behaviour = "accept" | "refuse" | "limit" | "fail" | "hang" | "accept and lose the reply"

/** A mail that went out. */
export interface Sent {
  readonly id: string
  readonly mail: Mail
}

/**
 * What a memory mailer saw, and what it does next.
 *
 * **Shape** `calls` every mail in order, `sent` those that went out; `behaviours` is used up from the front, then it
 * accepts.
 */
export interface State {
  readonly calls: Array<Mail>
  readonly sent: Array<Sent>
  readonly behaviours: Array<Behaviour>
}

const rememberedMillis = 24 * 60 * 60 * 1000

const isMail = Schema.is(Mail)
const contentOf = ({ from, html, subject, text, to }: Mail): string => JSON.stringify([from, to, subject, html, text])

const lost = () => new MailUnavailable({ parked: false, detail: "the connection failed" })

/** A mailer in the process with Resend's rules for idempotency keys. It refuses, limits, fails or hangs on demand. */
export const make = (...behaviours: ReadonlyArray<Behaviour>) => {
  const state: State = { calls: [], sent: [], behaviours: [...behaviours] }
  const remembered = new Map<string, { readonly content: string; readonly id: string; readonly until: number }>()
  const underWay = new Set<string>()

  const accept = (mail: Mail, now: number): string => {
    const id = `mail-${state.sent.length + 1}`
    state.sent.push({ id, mail })
    const { idempotencyKey } = mail
    if (idempotencyKey === undefined) return id
    remembered.set(idempotencyKey, { content: contentOf(mail), id, until: now + rememberedMillis })
    return id
  }

  const send = Effect.fn("Mailer.send")(function* (mail: Mail): Effect.fn.Return<string, MailError> {
    const now = yield* Clock.currentTimeMillis
    const key = mail.idempotencyKey ?? ""
    state.calls.push(mail)
    const behaviour = state.behaviours.shift() ?? "accept"
    switch (behaviour) {
      case "refuse":
        return yield* new MailRejected({ status: 422, code: "validation_error", detail: "refused on demand" })
      case "limit":
        return yield* new MailUnavailable({
          parked: true,
          status: 429,
          code: "rate_limit_exceeded",
          detail: "too many mails",
          retryAfterSeconds: 1
        })
      case "fail":
        return yield* new MailUnavailable({ parked: false, status: 500, detail: "failed on demand" })
      case "accept":
      case "accept and lose the reply":
      case "hang":
    }
    if (!isMail(mail)) return yield* new MailRejected({ status: 422, code: "validation_error", detail: "no such mail" })
    if (underWay.has(key)) {
      const code = "concurrent_idempotent_requests"
      return yield* new MailUnavailable({ parked: false, status: 409, code, detail: "the same mail is under way" })
    }
    const first = remembered.get(key)
    if (first !== undefined && first.until > now) {
      if (first.content === contentOf(mail)) return first.id
      const code = "invalid_idempotent_request"
      return yield* new MailRejected({ status: 409, code, detail: "the key belongs to another mail" })
    }
    if (behaviour === "hang") {
      if (key !== "") underWay.add(key)
      return yield* Effect.onExit(Effect.never, () => Effect.sync(() => underWay.delete(key)))
    }
    const id = accept(mail, now)
    return behaviour === "accept" ? id : yield* lost()
  })

  return { layer: Layer.succeed(Mailer, { send }), state }
}

export const layer = Layer.suspend(() => make().layer)
