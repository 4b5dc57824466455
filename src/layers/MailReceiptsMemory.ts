import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EventId } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"
import { type MailFacts, MailReceipts, type NotificationToMail, type Prepared } from "../topics/MailReceipts.ts"

/** A recipient of mail. */
interface Coordinator {
  readonly email: string | null
  readonly name: string | null
}

type Entry =
  | { readonly _tag: "Tried"; readonly facts: MailFacts; readonly at: number }
  | { readonly _tag: "Mailed"; readonly receipt: Receipt }

/** Whom there is to mail, the names of mentors by id, and what is remembered of each event. */
interface State {
  readonly coordinators: Map<string, Coordinator>
  readonly mentors: Map<string, string>
  readonly entries: Map<EventId, Entry>
}

// An hour less than the mail service remembers a key.
const safeMillis = 23 * 60 * 60 * 1000

/** Keeps receipts in the process, as Postgres keeps them: for tests and for apps that run as one process. */
export const make = (
  coordinators: Readonly<Record<string, Coordinator>> = {},
  mentors: Readonly<Record<string, string>> = {}
) => {
  const state: State = {
    coordinators: new Map(Object.entries(coordinators)),
    mentors: new Map(Object.entries(mentors)),
    entries: new Map()
  }

  const prepare = (
    { coordinatorId, eventId, force, mentorId, occurredAt }: NotificationToMail,
    now: number
  ): Prepared => {
    const entry = state.entries.get(eventId)
    if (entry?._tag === "Mailed") return { outcome: "mailed", receipt: entry.receipt }
    const coordinator = state.coordinators.get(coordinatorId)
    if (entry !== undefined && coordinator !== undefined) {
      if (now - entry.at <= safeMillis) return { outcome: "ready", facts: entry.facts, isFirst: false }
      if (force !== true) {
        return { outcome: "perhaps_mailed", firstTriedAt: DateTime.formatIso(DateTime.makeUnsafe(entry.at)) }
      }
    }
    state.entries.delete(eventId)
    if (coordinator === undefined) return { outcome: "no_coordinator" }
    const to = (coordinator.email ?? "").trim()
    if (to === "") return { outcome: "missing" }
    const mentor = state.mentors.get(mentorId) ?? null
    const facts = { to, coordinator: coordinator.name, mentor, since: occurredAt }
    state.entries.set(eventId, { _tag: "Tried", facts, at: now })
    return { outcome: "ready", facts, isFirst: true }
  }

  const layer = Layer.succeed(MailReceipts, {
    prepare: (notifications) =>
      Effect.map(Clock.currentTimeMillis, (now) => notifications.map((one) => prepare(one, now))),
    record: (ends) =>
      Effect.sync(() => {
        for (const { eventId, messageId } of ends) {
          const entry = state.entries.get(eventId)
          if (messageId !== undefined && entry?._tag !== "Mailed") {
            state.entries.set(eventId, { _tag: "Mailed", receipt: { messageId } })
          }
          if (messageId === undefined && entry?._tag === "Tried") state.entries.delete(eventId)
        }
      })
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
