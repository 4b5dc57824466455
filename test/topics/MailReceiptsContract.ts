import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, type Layer } from "effect"
import { CoordinatorId, EventId, EventTime, MentorId } from "../../src/schema/Identifiers.ts"
import { MailReceipts, type NotificationToMail, type Prepared } from "../../src/topics/MailReceipts.ts"
import { only } from "../support/layers.ts"

interface Person {
  readonly id: string
  readonly name: string | null
  readonly email: string | null
}

/** What the suite needs of receipts. */
export interface Contract {
  readonly layer: () => Layer.Layer<MailReceipts, unknown>
  /** Adds a coordinator, or changes one. */
  readonly coordinator: (person: Person) => Effect.Effect<void>
  /** Deletes a coordinator. */
  readonly forget: (id: string) => Effect.Effect<void>
  /** Adds a mentor, or renames one. */
  readonly mentor: (id: string, name: string) => Effect.Effect<void>
  /** Lets so many hours pass since the first try at a mail. */
  readonly wait: (eventId: EventId, hours: number) => Effect.Effect<void>
}

const newNotification = (): NotificationToMail => ({
  eventId: EventId.make(randomUUID()),
  coordinatorId: CoordinatorId.make(randomUUID()),
  mentorId: MentorId.make(randomUUID()),
  pauseEventId: EventId.make(randomUUID()),
  occurredAt: EventTime.make("2026-11-22T09:30:00.123456Z")
})

const prepare = (notification: NotificationToMail) =>
  Effect.map(
    MailReceipts.use((receipts) => receipts.prepare([notification])),
    only
  )
const record = (eventId: EventId, messageId?: string) =>
  MailReceipts.use((receipts) => receipts.record([{ eventId, ...(messageId !== undefined && { messageId }) }]))

const outcomeOf = ({ outcome }: Prepared) => outcome
const factsOf = (prepared: Prepared) => (prepared.outcome === "ready" ? prepared.facts : undefined)
const isFirst = (prepared: Prepared) => (prepared.outcome === "ready" ? prepared.isFirst : undefined)

/** What all MailReceipts promise. */
export const mailReceiptsContract = (name: string, { coordinator, forget, layer, mentor, wait }: Contract) => {
  const test = <E>(sentence: string, body: () => Effect.Effect<void, E, MailReceipts>) =>
    it.effect(sentence, () => Effect.provide(body(), layer()))

  const known = Effect.gen(function* () {
    const notification = newNotification()
    yield* coordinator({ id: notification.coordinatorId, name: "Bo", email: " bo@example.com\n" })
    yield* mentor(notification.mentorId, "Ada")
    return notification
  })

  describe(`${name} keeps the contract of MailReceipts`, () => {
    test("the first try gets the address without white space, the names and the time", () =>
      Effect.gen(function* () {
        const facts = { to: "bo@example.com", coordinator: "Bo", mentor: "Ada", since: "2026-11-22T09:30:00.123456Z" }
        assert.deepStrictEqual(yield* prepare(yield* known), { outcome: "ready", facts, isFirst: true })
      }))

    test("a later try gets the facts of the first one, whatever has changed since", () =>
      Effect.gen(function* () {
        const notification = yield* known
        const first = yield* prepare(notification)
        yield* coordinator({ id: notification.coordinatorId, name: "Bob", email: "bob@example.com" })
        yield* mentor(notification.mentorId, "Eva")
        const second = yield* prepare(notification)
        assert.deepStrictEqual(factsOf(second), factsOf(first))
        assert.isFalse(isFirst(second))
      }))

    test("a coordinator who was deleted after a first try gets no mail, and their address is forgotten", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* forget(notification.coordinatorId)
        assert.strictEqual(outcomeOf(yield* prepare(notification)), "no_coordinator")
        yield* coordinator({ id: notification.coordinatorId, name: "Eve", email: "eve@example.com" })
        assert.strictEqual(factsOf(yield* prepare(notification))?.to, "eve@example.com")
      }))

    test("a forced try forgets an old one, even if there is no address any more", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* wait(notification.eventId, 24)
        yield* coordinator({ id: notification.coordinatorId, name: "Bo", email: null })
        assert.strictEqual(outcomeOf(yield* prepare({ ...notification, force: true })), "missing")
        yield* coordinator({ id: notification.coordinatorId, name: "Bo", email: "bo@example.com" })
        assert.isTrue(isFirst(yield* prepare(notification)))
      }))

    test("a sent mail is known by its receipt, forever", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* record(notification.eventId, "mail-1")
        yield* wait(notification.eventId, 100)
        const mailed: Prepared = { outcome: "mailed", receipt: { messageId: "mail-1" } }
        assert.deepStrictEqual(yield* prepare(notification), mailed)
        assert.deepStrictEqual(yield* prepare({ ...notification, force: true }), mailed)
      }))

    test("the first receipt stays", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* record(notification.eventId, "mail-1")
        yield* record(notification.eventId, "mail-2")
        yield* record(notification.eventId)
        assert.deepStrictEqual(yield* prepare(notification), { outcome: "mailed", receipt: { messageId: "mail-1" } })
      }))

    test("a receipt is kept although another delivery has forgotten the try", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* record(notification.eventId)
        yield* record(notification.eventId, "mail-1")
        assert.strictEqual(outcomeOf(yield* prepare(notification)), "mailed")
      }))

    test("after a try that certainly failed, the next one counts as the first and reads the facts again", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* record(notification.eventId)
        yield* coordinator({ id: notification.coordinatorId, name: "Bo", email: "right@example.com" })
        const again = yield* prepare(notification)
        assert.strictEqual(factsOf(again)?.to, "right@example.com")
        assert.isTrue(isFirst(again))
      }))

    test("within 23 hours of the first try, a mail may be tried again", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* wait(notification.eventId, 22.9)
        assert.isFalse(isFirst(yield* prepare(notification)))
      }))

    test("later it may not, unless it is forced: then its time starts again", () =>
      Effect.gen(function* () {
        const notification = yield* known
        yield* prepare(notification)
        yield* wait(notification.eventId, 23.1)
        const late = yield* prepare(notification)
        assert.strictEqual(outcomeOf(late), "perhaps_mailed")
        assert.match(
          late.outcome === "perhaps_mailed" ? late.firstTriedAt : "",
          /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/
        )
        assert.strictEqual(outcomeOf(yield* prepare({ ...notification, force: true })), "ready")
        assert.strictEqual(outcomeOf(yield* prepare(notification)), "ready")
      }))

    test("a forced try within that time still says what the first one said", () =>
      Effect.gen(function* () {
        const notification = yield* known
        const first = yield* prepare(notification)
        yield* mentor(notification.mentorId, "Eva")
        assert.deepStrictEqual(factsOf(yield* prepare({ ...notification, force: true })), factsOf(first))
      }))

    test("a missing coordinator is distinguished from one without an address", () =>
      Effect.gen(function* () {
        const [one, other] = [newNotification(), newNotification()]
        const outcomes = []
        for (const email of [null, "", " \n"]) {
          yield* coordinator({ id: one.coordinatorId, name: null, email })
          outcomes.push(outcomeOf(yield* prepare(one)))
        }
        assert.deepStrictEqual(outcomes, ["missing", "missing", "missing"])
        assert.strictEqual(outcomeOf(yield* prepare(other)), "no_coordinator")
      }))

    test("missing names are null", () =>
      Effect.gen(function* () {
        const notification = newNotification()
        yield* coordinator({ id: notification.coordinatorId, name: null, email: "bo@example.com" })
        const facts = factsOf(yield* prepare(notification))
        assert.deepStrictEqual([facts?.coordinator, facts?.mentor], [null, null])
      }))

    test("many are answered in order, and a bad one affects no other", () =>
      Effect.gen(function* () {
        const receipts = yield* MailReceipts
        const [mailed, ready, nobody] = [yield* known, yield* known, newNotification()]
        yield* receipts.prepare([mailed])
        yield* receipts.record([{ eventId: mailed.eventId, messageId: "mail-1" }])
        const answers = yield* receipts.prepare([nobody, ready, mailed])
        assert.deepStrictEqual(answers.map(outcomeOf), ["no_coordinator", "ready", "mailed"])
        assert.deepStrictEqual(yield* receipts.prepare([]), [])
      }))
  })
}
