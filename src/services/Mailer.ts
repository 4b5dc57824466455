import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Release } from "./DedupeStore.ts"

const word = String.raw`[^\p{Cc}\p{Cs}\s@<>",;]+`
const mailbox = `${word}@${word}\\.${word}`

/**
 * The address of a mailbox, without a name.
 *
 * **Shape** text with one @ and a dot after it, of at most 254 characters and without white space. Whether it exists is
 * known only once a mail was sent.
 */
export const MailAddress = Schema.String.check(
  Schema.isMaxLength(254),
  Schema.isPattern(new RegExp(`^${mailbox}$`, "u"), { expected: "an address such as name@example.com" })
)

/** Who a mail is from. **Shape** an address, or a name and an address: `Mentoring <mail@example.com>`. */
export const MailSender = Schema.String.check(
  Schema.isMaxLength(320),
  Schema.isPattern(new RegExp(String.raw`^(?:${mailbox}|[^\p{Cc}\p{Cs}<>]+ <${mailbox}>)$`, "u"), {
    expected: "an address, or a name and an address such as Mentoring <mail@example.com>"
  })
)

/**
 * A mail to one person.
 *
 * **Shape** `from` is the configured sender when it is missing. Two mails with one `idempotencyKey` are the same mail,
 * and are sent once within 24 hours; without a key, each call is a new mail.
 */
export const Mail = Schema.Struct({
  to: MailAddress,
  subject: Schema.String.check(
    Schema.isMinLength(1),
    Schema.isMaxLength(998),
    Schema.isPattern(/^[^\p{Cc}\p{Cs}]*$/u, { expected: "one line of text" })
  ),
  html: Schema.NonEmptyString,
  text: Schema.String,
  from: Schema.optionalKey(MailSender),
  idempotencyKey: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,256}$/)))
})
export type Mail = typeof Mail.Type

interface Failure {
  readonly status?: number
  readonly code?: string
  readonly detail: string
}

const described = (what: string, { code, detail, status }: Failure): string => {
  const facts = [status === undefined ? [] : [`status ${status}`], code === undefined ? [] : [code]].flat()
  return facts.length === 0 ? `${what}: ${detail}` : `${what} (${facts.join(", ")}): ${detail}`
}

/**
 * The mail service will never send this mail: its address or sender is wrong, or its key belongs to another mail.
 *
 * **Shape** `code` is the service's own word for it; `detail` holds neither an address nor a key.
 */
export class MailRejected extends Data.TaggedError("MailRejected")<Failure> {
  override get message(): string {
    return described("The mail service refused the mail", this)
  }
  get release(): Release {
    return { kind: "permanent", status: this.status }
  }
}

/**
 * The mail was perhaps not sent. Send it again under the same idempotency key: if it was sent, you get its id.
 *
 * **Shape** `parked` is true when the mail was certainly not tried, so that it does not count as a failure: a limit is
 * reached, the circuit is open, or a setting is missing.
 * **Units** `retryAfterSeconds` until another try makes sense.
 */
export class MailUnavailable extends Data.TaggedError("MailUnavailable")<
  Failure & { readonly parked: boolean; readonly retryAfterSeconds?: number }
> {
  override get message(): string {
    return described(this.parked ? "The mail waits" : "The mail service is unavailable", this)
  }
  get release(): Release {
    const { parked, retryAfterSeconds, status } = this
    return { kind: parked ? "parked" : "transient", status, retryAfterSeconds }
  }
}

/**
 * How long mails of a request may wait for the mail service's limit. With one call of it, and with what the database is
 * asked before and after, the reply comes within pg_net's 5 seconds.
 *
 * **Units** milliseconds.
 */
export const requestPatienceMillis = 3_500

/** Permanent, transient or not tried. */
export type MailError = MailRejected | MailUnavailable

/**
 * Sends mails. Sending twice under one idempotency key is safe for 24 hours: the second call gets the first one's
 * message id.
 */
export class Mailer extends Context.Service<
  Mailer,
  {
    /**
     * Hands a mail to the mail service, and returns its message id. While a limit is reached, the mail waits for up to
     * `patienceMillis` before it is tried; without, it is parked at once.
     *
     * **Units** `patienceMillis` milliseconds.
     * **Fails with** MailError.
     */
    readonly send: (mail: Mail, patienceMillis?: number) => Effect.Effect<string, MailError>
  }
>()("pause-status-webhook-handler/services/Mailer") {}
