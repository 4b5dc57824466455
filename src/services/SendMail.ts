import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { entities } from "./MailHtml.ts"
import { Mail, type MailError, Mailer, MailUnavailable, requestPatienceMillis } from "./Mailer.ts"
import { InvalidPayload, type MalformedBody, parseBody, toIssues } from "./Payload.ts"

const { idempotencyKey, text: _, ...shared } = Mail.fields
const header = "Idempotency-Key"

// Body and header as one, so that all that is wrong is found at once.
const decodeRequest = Schema.decodeUnknownEffect(
  Schema.Struct({ ...shared, text: Schema.optionalKey(Schema.String), [header]: idempotencyKey }),
  { errors: "all" }
)

const unseen = /<!--[\s\S]*?-->|<(head|style|script)\b[\s\S]*?<\/\1\s*>/gi
const lineEnds = /<(?:br|\/(?:p|h\d|li|tr|div))\b[^>]*>/gi
const unescape = (markup: string): string =>
  Object.entries(entities).reduceRight((text, [character, entity]) => text.replaceAll(entity, character), markup)

/** The text of markup, for readers without HTML: a line for each block, without tags. */
export const textOf = (html: string): string =>
  unescape(
    html
      .replaceAll(/\s+|&nbsp;/g, " ")
      .replaceAll(unseen, "")
      .replaceAll(lineEnds, "\n")
      .replaceAll(/<[^>]*>/g, "")
  )
    .replaceAll(/\s*\n\s*/g, "\n")
    .trim()

/** Why a mail that was asked for did not go out. */
export type SendMailError = MalformedBody | InvalidPayload | MailError

// Who asks is not the outbox: a limit that is reached is a failure like another one.
const asFailure = (error: MailError): MailError =>
  error._tag === "MailUnavailable" && error.status !== undefined
    ? new MailUnavailable({ ...error, parked: false })
    : error

/**
 * Sends the mail that a request's body describes, and returns its message id.
 *
 * **Fails with** SendMailError; InvalidPayload lists all that is wrong with body and key.
 */
export const sendMail = Effect.fnUntraced(function* (
  body: Uint8Array,
  key: string | undefined
): Effect.fn.Return<string, SendMailError, Mailer> {
  const mailer = yield* Mailer
  const json = yield* parseBody(body)
  const given = Predicate.isObject(json) ? { ...json, ...(key !== undefined && { [header]: key }) } : json
  const {
    [header]: _,
    text,
    ...mail
  } = yield* Effect.mapError(decodeRequest(given), (error) => new InvalidPayload({ issues: toIssues(error) }))
  const messageId = yield* Effect.mapError(
    mailer.send(
      { ...mail, text: text ?? textOf(mail.html), ...(key !== undefined && { idempotencyKey: key }) },
      requestPatienceMillis
    ),
    asFailure
  )
  yield* Effect.logInfo({ outcome: "mailed", messageId })
  return messageId
}, Effect.uninterruptible)
