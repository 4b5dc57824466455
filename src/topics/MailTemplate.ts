import * as Context from "effect/Context"
import type { Direction } from "../schema/Transition.ts"
import type { Mail } from "../services/Mailer.ts"
import type { MailFacts } from "./MailReceipts.ts"
import { html } from "../services/MailHtml.ts"
import { wording } from "./MailWording.ts"

/** What a mail says. */
export type MailText = Pick<Mail, "subject" | "html" | "text">

/**
 * What a mail is about. **Shape** names are one line of at most 100 characters; `since` is ISO 8601 in UTC.
 */
export interface Told extends Pick<MailFacts, "since"> {
  readonly transition: Direction
  readonly mentor: string | undefined
  readonly coordinator: string | undefined
}

const longestName = 100

/** A name as it fits into a subject: on one line, not too long, and nothing if it is empty. */
export const nameOf = (name: string | null): string | undefined => {
  const line = (name ?? "").replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\s]+/gu, " ").trim()
  const [...characters] = line
  if (characters.length <= longestName) return line === "" ? undefined : line
  return `${characters.slice(0, longestName - 1).join("")}…`
}

const dateOf = (since: string, timeZone: string): string => {
  const millis = Date.parse(since)
  if (Number.isNaN(millis)) return since
  const format = { dateStyle: "full", timeStyle: "short", timeZone } as const
  return `${new Intl.DateTimeFormat(wording.language, format).format(millis)} (${timeZone})`
}

/** Writes mails in the words of MailWording, with times of a time zone, such as Europe/Berlin. */
export const inTimeZone =
  (timeZone: string) =>
  ({ coordinator, mentor = wording.unnamedMentor, since, transition }: Told): MailText => {
    const { title, toDo, what } = wording.about[transition]
    const subject = title(mentor)
    const greeting = wording.greeting(coordinator)
    const date = dateOf(since, timeZone)
    const { markup } = html`<!doctype html>
      <html lang="${wording.language}">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <title>${subject}</title>
        </head>
        <body style="max-width: 36em; margin: auto; padding: 16px; font: 16px/1.5 sans-serif">
          <main>
            <h1>${subject}</h1>
            <p>${greeting}</p>
            <p>${what(mentor)}</p>
            <p><strong>${wording.since}:</strong> ${date}</p>
            <p><strong>${wording.toDo}:</strong> ${toDo}</p>
            <p><small>${wording.reason}</small></p>
          </main>
        </body>
      </html> `
    const lines = [greeting, what(mentor), `${wording.since}: ${date}`, `${wording.toDo}: ${toDo}`, wording.reason]
    return { subject, html: markup, text: lines.join("\n\n") }
  }

/** How a notification becomes a mail. English and UTC unless you provide another one. */
export const MailTemplate = Context.Reference<(told: Told) => MailText>(
  "pause-status-webhook-handler/topics/MailTemplate",
  { defaultValue: () => inTimeZone("UTC") }
)
