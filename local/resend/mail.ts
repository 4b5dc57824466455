import { type Answer, problem } from "./answer.ts"

/** A mail as posted to Resend, with the fields that this project uses. */
export interface Mail {
  readonly from: string
  readonly to: ReadonlyArray<string>
  readonly subject: string
  readonly html?: string
  readonly text?: string
}

const MOST_RECIPIENTS = 50
const MAILBOX = String.raw`[^\s@<>",;]+@[^\s@<>",;]+\.[^\s@<>",;]+`
const ADDRESS = new RegExp(`^(?:${MAILBOX}|[^<>]+ <${MAILBOX}>)$`)

const FORM = "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format"

const isAddress = (value: unknown): value is string => typeof value === "string" && ADDRESS.test(value)

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

const missing = (field: string): Answer => problem(422, "missing_required_field", `Missing \`${field}\` field`)

/** Reads the body of a request, or says what is wrong with it. */
export const readMail = (body: string): Mail | Answer => {
  const value = parse(body)
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return problem(400, "validation_error", "The request body is not a JSON object")
  }
  const { from, html, subject, text, to }: Partial<Record<keyof Mail, unknown>> = value
  if (!isText(from)) return missing("from")
  if (!isAddress(from)) return problem(422, "invalid_from_address", `Invalid \`from\` field. ${FORM}`)
  const recipients: ReadonlyArray<unknown> = Array.isArray(to) ? to : to === undefined ? [] : [to]
  if (recipients.length === 0) return missing("to")
  if (recipients.length > MOST_RECIPIENTS || !recipients.every(isAddress)) {
    return problem(422, "validation_error", `Invalid \`to\` field. ${FORM}`)
  }
  if (!isText(subject)) return missing("subject")
  if (/[\r\n]/.test(subject)) {
    return problem(422, "validation_error", "The `\\n` is not allowed in the `subject` field")
  }
  if (!isText(html) && !isText(text)) return problem(422, "validation_error", "Missing `html` or `text` field")
  return { from, to: recipients, subject, ...(isText(html) && { html }), ...(isText(text) && { text }) }
}
