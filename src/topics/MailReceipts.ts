import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CoordinatorId, EventId, EventTime, MentorId } from "../schema/Identifiers.ts"
import { Receipt } from "../schema/Receipt.ts"
import type { Release } from "../services/DedupeStore.ts"

/**
 * Whom to mail about what, as known at the first try: a mail says the same each time it is tried.
 *
 * **Shape** `to` is what the database has as address, which may be none. The names are null where it has none. `since` is
 * when the mentor was paused or resumed, ISO 8601 in UTC.
 */
export const MailFacts = Schema.Struct({
  to: Schema.String,
  coordinator: Schema.NullOr(Schema.String),
  mentor: Schema.NullOr(Schema.String),
  since: Schema.String
})
export type MailFacts = typeof MailFacts.Type

/** What is needed of a notification to look up its facts. **Shape** `pauseEventId` is the event that was notified. */
export interface NotificationToMail {
  readonly eventId: EventId
  readonly coordinatorId: CoordinatorId
  readonly mentorId: MentorId
  readonly pauseEventId: EventId
  readonly occurredAt: EventTime
  readonly force?: boolean
}

/**
 * What is known of a mail before it is sent.
 *
 * **Shape** `ready` to be sent, with `isFirst` when no earlier try may have sent it; `mailed` before, with the receipt;
 * `perhaps_mailed`, tried more than 23 hours ago and neither known to be sent nor forced, with when, ISO 8601 in UTC;
 * `missing`, the coordinator has no address; `no_coordinator`.
 */
export const Prepared = Schema.Union([
  Schema.Struct({ outcome: Schema.Literal("ready"), facts: MailFacts, isFirst: Schema.Boolean }),
  Schema.Struct({ outcome: Schema.Literal("mailed"), receipt: Receipt }),
  Schema.Struct({ outcome: Schema.Literal("perhaps_mailed"), firstTriedAt: Schema.String }),
  Schema.Struct({ outcome: Schema.Literals(["missing", "no_coordinator"]) })
])
export type Prepared = typeof Prepared.Type

/** There is no valid address, so the event becomes a dead letter. Correct the address, then redrive it. */
export class CoordinatorUnreachable extends Data.TaggedError("CoordinatorUnreachable")<{
  readonly eventId: EventId
  readonly reason: "no_coordinator" | "missing" | "malformed"
}> {
  override get message(): string {
    if (this.reason === "no_coordinator") return "There is no coordinator with this id"
    return `The coordinator's e-mail address is ${this.reason}: correct it, then redrive the event`
  }
  readonly release: Release = { kind: "permanent" }
}

/**
 * A mail was tried so long ago that the mail service no longer knows its key, and whether it went out is not known. A
 * person decides.
 *
 * **Shape** `firstTriedAt` is ISO 8601 in UTC.
 */
export class PerhapsMailed extends Data.TaggedError("PerhapsMailed")<{
  readonly eventId: EventId
  readonly firstTriedAt: string
}> {
  override get message(): string {
    return (
      `It was first tried at ${this.firstTriedAt} and may have been mailed: look at the mail service's list, then ` +
      "redrive it with force, or resolve it"
    )
  }
  readonly release: Release = { kind: "permanent" }
}

/** The receipts did not answer; nothing was mailed. */
export class MailReceiptsUnavailable extends Data.TaggedError("MailReceiptsUnavailable")<{
  readonly detail: string
}> {
  override get message(): string {
    return `The receipts of mails are unavailable: ${this.detail}`
  }
  readonly release: Release = { kind: "transient" }
}

/** How a try ended that is no longer in doubt. **Shape** without `messageId`, the mail was certainly not sent. */
export interface MailEnd {
  readonly eventId: EventId
  readonly messageId?: string
}

/**
 * Remembers which notifications were mailed, for longer than the mail service remembers its keys.
 *
 * - `prepare` notes that mails are about to be sent, and answers each in its place.
 * - `record` keeps message ids. It forgets the tries at mails that were certainly not sent, so that the next try reads the
 *   facts again.
 *
 * **Fails with** MailReceiptsUnavailable, for all of them.
 */
export class MailReceipts extends Context.Service<
  MailReceipts,
  {
    readonly prepare: (
      notifications: ReadonlyArray<NotificationToMail>
    ) => Effect.Effect<ReadonlyArray<Prepared>, MailReceiptsUnavailable>
    readonly record: (ends: ReadonlyArray<MailEnd>) => Effect.Effect<void, MailReceiptsUnavailable>
  }
>()("pause-status-webhook-handler/topics/MailReceipts") {}
