import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { envelope } from "../schema/Envelope.ts"
import { CoordinatorId, EventId, MentorId } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"
import { Direction } from "../schema/Transition.ts"
import type { EventMeta } from "../services/Extract.ts"
import { MailAddress, type MailError, Mailer, MailUnavailable, requestPatienceMillis } from "../services/Mailer.ts"
import * as Topic from "../services/Topic.ts"
import { monotonicMillis } from "../services/Turns.ts"
import {
  CoordinatorUnreachable,
  type MailEnd,
  type MailFacts,
  MailReceipts,
  MailReceiptsUnavailable,
  PerhapsMailed,
  type Prepared
} from "./MailReceipts.ts"
import { MailTemplate, nameOf } from "./MailTemplate.ts"

/** A row of public.notifications. It has no names: address and names are read when the mail is sent. */
const Notification = Schema.Struct({
  id: Schema.String,
  event_id: EventId,
  mentor_id: MentorId,
  coordinator_id: CoordinatorId,
  transition: Direction
})

interface NotificationEvent extends EventMeta {
  readonly coordinatorId: CoordinatorId
  readonly mentorId: MentorId
  readonly pauseEventId: EventId
  readonly transition: Direction
}

/** Why a notification was not mailed. */
export type NotificationMailError = CoordinatorUnreachable | PerhapsMailed | MailReceiptsUnavailable | MailError

// Resend takes two mails a second unless you ask for more.
const atOnce = 2

// How much faster than mails went out, the rest comes back.
const comeBack = 1.5

const tooMany = new MailUnavailable({ parked: true, detail: "no time was left" })

const isAddress = Schema.is(MailAddress)

/** Whether an error leaves no doubt that the mail was not sent, this time or before. A conflict says that one was. */
const isCertainlyNotSent = (error: MailError | CoordinatorUnreachable, isFirst: boolean): boolean =>
  error._tag === "MailUnavailable" ? error.parked && isFirst : error.release.status !== 409

/**
 * Sends mails, which wait for a short limit, until the request's time is used up or a long limit is reached. Then the rest
 * is parked, to come back a little faster than mails went out: a mail that is early waits, but a missing one is lost time.
 */
const makeSend = Effect.fnUntraced(function* () {
  const mailer = yield* Mailer
  const template = yield* MailTemplate
  const endsAt = (yield* monotonicMillis) + requestPatienceMillis
  let limit: MailUnavailable | undefined
  let sent = 0
  let waiting = 0

  return Effect.fnUntraced(function* (
    { eventId, transition }: NotificationEvent,
    { coordinator, mentor, since, to }: MailFacts
  ): Effect.fn.Return<string, MailError | CoordinatorUnreachable> {
    if (!isAddress(to)) return yield* new CoordinatorUnreachable({ eventId, reason: "malformed" })
    const patienceMillis = endsAt - (yield* monotonicMillis)
    if (patienceMillis <= 0) limit ??= tooMany
    if (limit !== undefined) {
      const { detail, retryAfterSeconds = 1 } = limit
      const perSecond = Math.max(atOnce, (sent * comeBack * 1000) / requestPatienceMillis)
      const later = retryAfterSeconds + Math.floor(waiting++ / perSecond)
      return yield* new MailUnavailable({ parked: true, detail, retryAfterSeconds: later })
    }
    const told = { transition, since, mentor: nameOf(mentor), coordinator: nameOf(coordinator) }
    const messageId = yield* Effect.tapError(
      mailer.send({ to, ...template(told), idempotencyKey: eventId }, patienceMillis),
      (error) =>
        Effect.sync(() => {
          if (error._tag === "MailUnavailable" && error.parked) limit ??= error
        })
    )
    sent++
    return messageId
  })
})

const mailAll = Effect.fnUntraced(function* (events: ReadonlyArray<NotificationEvent>) {
  const receipts = yield* MailReceipts
  const send = yield* makeSend()
  const ends: Array<MailEnd> = []

  const mailOne = Effect.fnUntraced(function* (
    event: NotificationEvent,
    prepared: Prepared | undefined
  ): Effect.fn.Return<Receipt, NotificationMailError> {
    const { eventId } = event
    switch (prepared?.outcome) {
      case "ready": {
        const { facts, isFirst } = prepared
        const messageId = yield* Effect.tapError(send(event, facts), (error) =>
          Effect.sync(() => {
            if (isCertainlyNotSent(error, isFirst)) ends.push({ eventId })
          })
        )
        ends.push({ eventId, messageId })
        return { messageId }
      }
      case "mailed":
        return prepared.receipt
      case "perhaps_mailed":
        return yield* new PerhapsMailed({ eventId, firstTriedAt: prepared.firstTriedAt })
      case "missing":
      case "no_coordinator":
        return yield* new CoordinatorUnreachable({ eventId, reason: prepared.outcome })
      case undefined:
        return yield* new MailReceiptsUnavailable({ detail: "an answer is missing" })
    }
  })

  const prepared = yield* receipts.prepare(events)
  const mailed = yield* Effect.forEach(events, (event, index) => Effect.result(mailOne(event, prepared[index])), {
    concurrency: atOnce
  })
  // If they are not kept, the events' own receipts are; and until then the mail service knows the keys.
  const keeping = ends.length === 0 ? Effect.void : receipts.record(ends)
  yield* Effect.catch(keeping, ({ message }) =>
    Effect.logWarning({ outcome: "mail_receipts_lost", mails: ends.length, detail: message })
  )
  return mailed
})

/** Mails every notification to its coordinator. */
export const notificationMail = Topic.make("notification-mail", {
  payload: Schema.Struct({ ...envelope, type: Schema.Literal("INSERT"), record: Notification }),
  read: ({ record: { coordinator_id, event_id, mentor_id, transition }, timestamp }) => ({
    _tag: "Event",
    key: coordinator_id,
    occurredAt: timestamp,
    event: { coordinatorId: coordinator_id, mentorId: mentor_id, pauseEventId: event_id, transition }
  }),
  handle: (events) => Effect.catch(mailAll(events), (error) => Effect.succeed(events.map(() => Result.fail(error)))),
  atOnce: Effect.succeed(atOnce),
  done: "mailed",
  about: ({ mentorId, transition }) => ({ mentorId, transition })
})
