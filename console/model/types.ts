import type { EventChangeReply as Change, EventHistoryReply, EventPageReply } from "../../src/schema/EventReplies.ts"
import type { HealthReport } from "../../src/schema/Health.ts"

export type Page = typeof EventPageReply.Type
export type Event = Page["events"][number]
export type History = typeof EventHistoryReply.Type
export type Attempt = History["attempts"][number]
export type Health = HealthReport
export type EventChangeReply = Change

/** The configuration from the local process. That process keeps the key; the page never has it. */
export interface Config {
  /** The project's name, for the page's header. */
  readonly project: string
  /** The function's URL, for commands to copy. */
  readonly url: string
  readonly readOnly: boolean
  /** Whether the process also has the mails of a local stand-in. */
  readonly mails: boolean
  /** How often the newest events are read. */
  readonly everyMs: number
}

export interface Mail {
  readonly id: string
  readonly createdAt: number
  readonly from: string
  readonly to: ReadonlyArray<string>
  readonly subject: string
  readonly html?: string
  readonly text?: string
}
