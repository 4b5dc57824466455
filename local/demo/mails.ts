import type pg from "pg"
import type { Stack } from "../stack.ts"
import { until } from "./until.ts"

export interface SentMail {
  readonly to: string
  readonly subject: string
}

const isMail = (value: unknown): value is { readonly to: ReadonlyArray<string>; readonly subject: string } =>
  typeof value === "object" && value !== null && "to" in value && Array.isArray(value.to) && "subject" in value

/** Mails each notification from now on. */
export const switchMailsOn = async (client: pg.Client): Promise<void> => {
  await client.query("select outbox.mail_notifications(true)")
}

/** Every mail that the stand-in for Resend has accepted, oldest first. */
const sentMails = async ({ resendUrl }: Stack): Promise<ReadonlyArray<SentMail>> => {
  const mails: unknown = await (await fetch(`${resendUrl}/mails.json`)).json()
  return Array.isArray(mails) ? mails.filter(isMail).map(({ subject, to }) => ({ to: to.join(", "), subject })) : []
}

const inWords = (mails: ReadonlyArray<SentMail>): string =>
  `${mails.length} mails: ${mails.map(({ subject, to }) => `${subject} (${to})`).join("; ")}`

/** Waits until there are so many mails. Returns those after the first `skip`, by address. */
export const mailsUntil = async (
  stack: Stack,
  signal: AbortSignal,
  { count, skip = 0 }: { readonly count: number; readonly skip?: number }
): Promise<ReadonlyArray<SentMail>> => {
  const look = () => sentMails(stack)
  const mails = await until(`${count} mails`, signal, look, ({ length }) => length >= skip + count, inWords)
  return mails.slice(skip).toSorted((one, other) => one.to.localeCompare(other.to))
}

const COMPLETED_AT = `
  select count(completed_at)::int as count, extract(epoch from max(completed_at))::float * 1000 as at
  from outbox.events where topic = 'notification-mail'`

/** Waits until so many mails are recorded as sent. Returns the time of the last one, in ms since 1970. */
export const mailsCompletedAt = async (client: pg.Client, signal: AbortSignal, count: number): Promise<number> => {
  const look = async () => {
    const { rows } = await client.query<{ readonly count: number; readonly at: number | null }>(COMPLETED_AT)
    return rows[0] ?? { count: 0, at: null }
  }
  const isDone = (seen: { readonly count: number }): boolean => seen.count >= count
  const { at } = await until(`${count} mails`, signal, look, isDone, (seen) => `${seen.count} mails`)
  return at ?? 0
}

/** Loses the answer to the next mail: Resend accepts it, but the function does not learn of it. */
export const loseNextAnswer = async ({ resendUrl }: Stack): Promise<void> => {
  await fetch(`${resendUrl}/faults/lost`, { method: "POST" })
}
