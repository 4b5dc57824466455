import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, type Scope, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Mail, type MailError, Mailer } from "../../src/services/Mailer.ts"

/** What goes wrong with a mail. */
export type Fault = "limit" | "fail" | "hang" | "accept and lose the reply"

/** A mailer that has sent nothing yet, and what is behind it. */
export interface World {
  readonly layer: Layer.Layer<Mailer, unknown>
  /** The mails that went out, in order. */
  readonly sent: () => ReadonlyArray<{ readonly id: string; readonly mail: Mail }>
  /** What goes wrong with the next calls. */
  readonly plan: (...faults: ReadonlyArray<Fault>) => void
  /** How many of the planned faults have not happened yet. */
  readonly planned: () => number
}

export const mail: Mail = {
  to: "ada@example.com",
  subject: "Paused: Grace Hopper",
  html: "<h1>Paused</h1>",
  text: "Paused ü",
  from: "Mentoring <mentoring@example.com>",
  idempotencyKey: "4d9e7a52-6a5e-4a2e-9d0e-0c1f5b9b1f10"
}
const { idempotencyKey: _, ...withoutKey } = mail

const send = (given: Mail) => Mailer.use((mailer) => mailer.send(given))
const failing = (given: Mail): Effect.Effect<MailError, string, Mailer> => Effect.flip(send(given))
const dayMillis = 24 * 60 * 60 * 1000

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** What every Mailer promises. */
export const mailerContract = (name: string, open: Effect.Effect<World, never, Scope.Scope>) => {
  const test = <E>(sentence: string, body: (world: World) => Effect.Effect<void, E, Mailer>) =>
    it.effect(sentence, () =>
      Effect.scoped(
        Effect.flatMap(open, (world) =>
          Effect.provide(
            Effect.suspend(() => body(world)),
            world.layer
          )
        )
      )
    )

  describe(`${name} keeps the contract of Mailer`, () => {
    test("a mail is sent unchanged, and its id is returned", ({ sent }) =>
      Effect.gen(function* () {
        const id = yield* send(mail)
        assert.isNotEmpty(id)
        assert.deepStrictEqual(sent(), [{ id, mail }])
      }))

    test("without a key each call is a new mail", ({ sent }) =>
      Effect.gen(function* () {
        const ids = [yield* send(withoutKey), yield* send(withoutKey)]
        assert.strictEqual(new Set(ids).size, 2)
        assert.deepStrictEqual(
          sent().map(({ id }) => id),
          ids
        )
      }))

    test("the same mail under the same key is sent once, and its id is returned again", ({ sent }) =>
      Effect.gen(function* () {
        const id = yield* send(mail)
        const { to, subject, ...rest } = mail
        assert.strictEqual(yield* send({ ...rest, subject, to }), id)
        assert.lengthOf(sent(), 1)
      }))

    for (const [member, value] of Object.entries({
      to: "grace@example.com",
      subject: "Resumed",
      html: "<h1>Resumed</h1>",
      text: "Resumed",
      from: "other@example.com"
    })) {
      test(`another ${member} under the same key is refused`, ({ sent }) =>
        Effect.gen(function* () {
          yield* send(mail)
          const error = yield* failing({ ...mail, [member]: value })
          assert.strictEqual(error._tag, "MailRejected")
          assert.strictEqual(error.code, "invalid_idempotent_request")
          assert.deepInclude(error.release, { kind: "permanent" })
          assert.lengthOf(sent(), 1)
        }))
    }

    test("the same mail under another key is another mail", ({ sent }) =>
      Effect.gen(function* () {
        assert.notStrictEqual(yield* send(mail), yield* send({ ...mail, idempotencyKey: "other" }))
        assert.lengthOf(sent(), 2)
      }))

    test("a key is remembered for 24 hours", ({ sent }) =>
      Effect.gen(function* () {
        const id = yield* send(mail)
        yield* TestClock.adjust(dayMillis - 1)
        assert.strictEqual(yield* send(mail), id)
        yield* TestClock.adjust(1)
        assert.notStrictEqual(yield* send(mail), id)
        assert.lengthOf(sent(), 2)
      }))

    test("a key has 1 to 256 characters", ({ sent }) =>
      Effect.gen(function* () {
        for (const length of [1, 256]) yield* send({ ...mail, idempotencyKey: "k".repeat(length) })
        for (const length of [0, 257]) {
          assert.strictEqual((yield* failing({ ...mail, idempotencyKey: "k".repeat(length) }))._tag, "MailRejected")
        }
        assert.lengthOf(sent(), 2)
      }))

    test("a mail that cannot be sent is refused, and does not stop the next one", ({ sent }) =>
      Effect.gen(function* () {
        for (const wrong of [
          { to: "ada" },
          { to: "" },
          { from: "nobody" },
          { subject: "" },
          { subject: "a\r\nBcc: b" }
        ]) {
          const error = yield* failing({ ...mail, ...wrong })
          assert.strictEqual(error._tag, "MailRejected", JSON.stringify(wrong))
          assert.deepInclude(error.release, { kind: "permanent" })
        }
        yield* send(mail)
        assert.lengthOf(sent(), 1)
      }))

    test("a failure is worth a retry", ({ plan, sent }) =>
      Effect.gen(function* () {
        plan("fail")
        assert.deepInclude((yield* failing(mail)).release, { kind: "transient" })
        assert.isEmpty(sent())
        yield* send(mail)
        assert.lengthOf(sent(), 1)
      }))

    test("a mail whose answer was lost is sent once, and the next try gets its id", ({ plan, sent }) =>
      Effect.gen(function* () {
        plan("accept and lose the reply")
        assert.deepInclude((yield* failing(mail)).release, { kind: "transient" })
        const id = yield* send(mail)
        assert.deepStrictEqual(sent(), [{ id, mail }])
      }))

    test("a limit parks the mail, and says for how long", ({ plan, sent }) =>
      Effect.gen(function* () {
        plan("limit")
        const { release } = yield* failing(mail)
        assert.deepInclude(release, { kind: "parked", retryAfterSeconds: 1 })
        yield* TestClock.adjust("1 second")
        yield* send(mail)
        assert.lengthOf(sent(), 1)
      }))

    test("while a mail is in progress, the same key waits, and another does not", ({ plan, planned, sent }) =>
      Effect.gen(function* () {
        plan("hang")
        const first = yield* Effect.forkChild(send(mail))
        while (planned() > 0) yield* turn
        const error = yield* failing(mail)
        assert.strictEqual(error.code, "concurrent_idempotent_requests")
        assert.deepInclude(error.release, { kind: "transient" })
        yield* send({ ...mail, idempotencyKey: "other" })
        yield* Fiber.interrupt(first)
        const again = Effect.retry(Effect.andThen(turn, send(mail)), {
          while: ({ code }) => code === "concurrent_idempotent_requests"
        })
        yield* again
        assert.lengthOf(sent(), 2)
      }))

    it.effect.prop(
      "whatever fails, a key is one mail, and every answer has its id",
      {
        turns: Schema.Array(Schema.Literals(["none", "limit", "fail", "accept and lose the reply"])).check(
          Schema.isMaxLength(8)
        )
      },
      ({ turns }) =>
        Effect.flatMap(open, ({ layer, plan, sent }) =>
          Effect.gen(function* () {
            const ids = new Set<string>()
            for (const fault of turns) {
              if (fault !== "none") plan(fault)
              const id = yield* Effect.option(send(mail))
              if (id._tag === "Some") ids.add(id.value)
              yield* TestClock.adjust("1 minute")
            }
            const id = yield* send(mail)
            assert.deepStrictEqual([...ids.add(id)], [id])
            assert.deepStrictEqual(sent(), [{ id, mail }])
          }).pipe(Effect.provide(layer))
        ).pipe(Effect.scoped),
      { arbitrary: { runs: 25 } }
    )
  })
}
