import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import * as MailerMemory from "../../src/layers/MailerMemory.ts"
import * as MailReceiptsMemory from "../../src/layers/MailReceiptsMemory.ts"
import { CoordinatorId, EventId, EventTime, MentorId } from "../../src/schema/Identifiers.ts"
import { Mailer } from "../../src/services/Mailer.ts"
import { MailReceipts, MailReceiptsUnavailable } from "../../src/topics/MailReceipts.ts"
import { MailTemplate } from "../../src/topics/MailTemplate.ts"
import { type NotificationMailError, notificationMail } from "../../src/topics/NotificationMail.ts"
import { mentorId } from "../support/payloads.ts"

const occurredAt = EventTime.make("2026-11-22T09:30:00.123456Z")
const coordinatorIds = Array.from({ length: 30 }, () => randomUUID())

const eventFor = (coordinatorId = coordinatorIds[0] ?? "", options: { readonly force?: boolean } = {}) => ({
  eventId: EventId.make(randomUUID()),
  coordinatorId: CoordinatorId.make(coordinatorId),
  mentorId: MentorId.make(mentorId),
  pauseEventId: EventId.make(randomUUID()),
  transition: "PAUSE" as const,
  occurredAt,
  version: 1,
  source: "outbox" as const,
  ...options
})

const world = (...behaviours: ReadonlyArray<MailerMemory.Behaviour>) => {
  const mailer = MailerMemory.make(...behaviours)
  const people = coordinatorIds.map((id, n) => [id, { email: `c${n}@example.com`, name: `C${n}` }] as const)
  const receipts = MailReceiptsMemory.make(Object.fromEntries(people), { [mentorId]: "Ada" })
  return { layer: Layer.merge(mailer.layer, receipts.layer), mailer, receipts }
}

type Ends = ReadonlyArray<Result.Result<Readonly<Record<string, unknown>>, NotificationMailError>>
const tagsOf = (ends: Ends) =>
  ends.map((end) =>
    Result.isSuccess(end) ? end.success["messageId"] : `${end.failure._tag} ${end.failure.release.kind}`
  )
const handle = (...events: ReadonlyArray<ReturnType<typeof eventFor>>) =>
  Effect.map(notificationMail.handle(events), tagsOf)

describe("notification-mail", () => {
  it.effect("mails each notification to its coordinator, under the event's id", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      const events = coordinatorIds.slice(0, 3).map((id) => eventFor(id))
      assert.deepStrictEqual(yield* handle(...events), ["mail-1", "mail-2", "mail-3"])
      assert.deepStrictEqual(
        mailer.state.sent.map(({ mail: { idempotencyKey, subject, to } }) => [idempotencyKey, subject, to]),
        events.map(({ eventId }, n) => [eventId, "Ada is paused", `c${n}@example.com`])
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("answers a mailed event with its receipt, without another mail, however late it comes", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      const event = eventFor()
      yield* handle(event)
      yield* TestClock.adjust("10 days")
      assert.deepStrictEqual(yield* handle(event), ["mail-1"])
      assert.lengthOf(mailer.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("retries with the same key and the same text if the answer was lost", () => {
    const { layer, mailer, receipts } = world("accept and lose the reply")
    return Effect.gen(function* () {
      const event = eventFor()
      assert.deepStrictEqual(yield* handle(event), ["MailUnavailable transient"])
      receipts.state.mentors.set(mentorId, "Eva")
      assert.deepStrictEqual(yield* handle(event), ["mail-1"])
      assert.lengthOf(mailer.state.sent, 1)
      assert.deepStrictEqual(mailer.state.calls[1], mailer.state.calls[0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends nothing that may have been sent a day ago, unless a person forces it", () => {
    const { layer, mailer } = world("accept and lose the reply")
    return Effect.gen(function* () {
      const event = eventFor()
      yield* handle(event)
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* handle(event), ["PerhapsMailed permanent"])
      assert.lengthOf(mailer.state.calls, 1)
      assert.deepStrictEqual(yield* handle({ ...event, force: true }), ["mail-2"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("may wait for days behind a limit, and is still certainly unsent", () => {
    const { layer, mailer } = world("limit", "limit")
    return Effect.gen(function* () {
      const event = eventFor()
      assert.deepStrictEqual(yield* handle(event), ["MailUnavailable parked"])
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* handle(event), ["MailUnavailable parked"])
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* handle(event), ["mail-1"])
      assert.lengthOf(mailer.state.sent, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a limit after a try in doubt does not end the doubt", () => {
    const { layer } = world("accept and lose the reply", "limit")
    return Effect.gen(function* () {
      const event = eventFor()
      yield* handle(event)
      yield* handle(event)
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* handle(event), ["PerhapsMailed permanent"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a mail that was refused reads address and names again when it is redriven", () => {
    const { layer, mailer, receipts } = world("fail", "refuse")
    return Effect.gen(function* () {
      const event = eventFor()
      assert.deepStrictEqual(yield* handle(event), ["MailUnavailable transient"])
      assert.deepStrictEqual(yield* handle(event), ["MailRejected permanent"])
      receipts.state.coordinators.set(event.coordinatorId, { email: "right@example.com", name: null })
      assert.deepStrictEqual(yield* handle(event), ["mail-1"])
      assert.strictEqual(mailer.state.sent[0]?.mail.to, "right@example.com")
    }).pipe(Effect.provide(layer))
  })

  it.effect("a key that belongs to another mail stays in doubt, because that mail was sent", () => {
    const { layer, mailer } = world("accept and lose the reply")
    return Effect.gen(function* () {
      const event = eventFor()
      yield* handle(event)
      const other = () => ({ subject: "Other", html: "<p>Other</p>", text: "Other" })
      const renamed = Effect.provideService(handle(event), MailTemplate, other)
      assert.deepStrictEqual(yield* renamed, ["MailRejected permanent"])
      yield* TestClock.adjust("24 hours")
      assert.deepStrictEqual(yield* renamed, ["PerhapsMailed permanent"])
      assert.lengthOf(mailer.state.sent, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["no_coordinator", undefined, /no coordinator with this id/],
    ["missing", { email: null, name: null }, /address is missing/],
    ["malformed", { email: "Bo <bo@example.com>", name: null }, /address is malformed/]
  ] as const)("a coordinator who cannot be mailed is a dead letter, and affects no other: %s", ([, person, reason]) => {
    const { layer, mailer, receipts } = world()
    return Effect.gen(function* () {
      const [bad, good] = [eventFor(randomUUID()), eventFor()]
      if (person !== undefined) receipts.state.coordinators.set(bad.coordinatorId, person)
      const [first, second] = yield* notificationMail.handle([bad, good])
      assert.isTrue(first !== undefined && Result.isFailure(first) && reason.test(first.failure.message))
      assert.deepStrictEqual(tagsOf(first === undefined ? [] : [first]), ["CoordinatorUnreachable permanent"])
      assert.isTrue(second !== undefined && Result.isSuccess(second))
      assert.lengthOf(mailer.state.calls, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("after a limit the rest is parked untried, and returns at two a second", () => {
    const { layer, mailer } = world("accept", "accept", "accept", "limit")
    return Effect.gen(function* () {
      const ends = yield* notificationMail.handle(coordinatorIds.slice(0, 10).map((id) => eventFor(id)))
      assert.lengthOf(mailer.state.sent, 3)
      assert.isAtMost(mailer.state.calls.length, 5)
      const waits = ends.flatMap((end) =>
        Result.isFailure(end) && end.failure._tag === "MailUnavailable" ? [end.failure.retryAfterSeconds] : []
      )
      assert.deepStrictEqual(waits.slice(-4), [2, 2, 3, 3].slice(-4))
    }).pipe(Effect.provide(layer))
  })

  it.effect("never mails more than two at once, and answers before pg_net hangs up", () => {
    let underWay = 0
    let most = 0
    let sent = 0
    const slow = Layer.succeed(Mailer, {
      send: () =>
        Effect.gen(function* () {
          most = Math.max(most, ++underWay)
          yield* Effect.sleep("1 second")
          underWay--
          return `mail-${++sent}`
        })
    })
    const { receipts } = world()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(handle(...coordinatorIds.map((id) => eventFor(id))))
      yield* TestClock.adjust("4500 millis")
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual([most, sent], [2, 8])
    }).pipe(Effect.provide(Layer.merge(slow, receipts.layer)))
  })

  it.effect("gives each mail the time that is left of the request, and spreads the rest by how many went out", () => {
    const patience: Array<number | undefined> = []
    const fast = Layer.succeed(Mailer, {
      send: (_, patienceMillis) => {
        patience.push(patienceMillis)
        return Effect.as(Effect.sleep("500 millis"), `mail-${patience.length}`)
      }
    })
    const { receipts } = world()
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(notificationMail.handle(coordinatorIds.map((id) => eventFor(id))))
      yield* TestClock.adjust("4 seconds")
      const ends = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        patience,
        [3500, 3000, 2500, 2000, 1500, 1000, 500].flatMap((millis) => [millis, millis])
      )
      const waits = ends.flatMap((end) => (Result.isFailure(end) ? [end.failure.release.retryAfterSeconds] : []))
      // 14 in 3.5 seconds, and half as many again: those that come too early wait once more.
      assert.deepStrictEqual(waits, [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3])
    }).pipe(Effect.provide(Layer.merge(fast, receipts.layer)))
  })

  it.effect("without receipts nothing is mailed, and all is tried again", () => {
    const { mailer } = world()
    const away = Layer.succeed(MailReceipts, {
      prepare: () => new MailReceiptsUnavailable({ detail: "no connection" }),
      record: () => Effect.void
    })
    return Effect.gen(function* () {
      const tags = yield* handle(eventFor(), eventFor())
      assert.deepStrictEqual(tags, ["MailReceiptsUnavailable transient", "MailReceiptsUnavailable transient"])
      assert.isEmpty(mailer.state.calls)
    }).pipe(Effect.provide(Layer.merge(mailer.layer, away)))
  })

  it.effect("a receipt that cannot be kept does not fail the event", () => {
    const { mailer, receipts } = world()
    const forgetful = Layer.effect(
      MailReceipts,
      MailReceipts.use(({ prepare }) =>
        Effect.succeed({ prepare, record: () => new MailReceiptsUnavailable({ detail: "no connection" }) })
      )
    ).pipe(Layer.provide(receipts.layer))
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* handle(eventFor()), ["mail-1"])
    }).pipe(Effect.provide(Layer.merge(mailer.layer, forgetful)))
  })
})
