import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as MailerMemory from "../../src/layers/MailerMemory.ts"
import { Mailer } from "../../src/services/Mailer.ts"
import { mail, mailerContract } from "../services/MailerContract.ts"

mailerContract(
  "MailerMemory",
  Effect.sync(() => {
    const { layer, state } = MailerMemory.make()
    return {
      layer,
      sent: () => state.sent,
      plan: (...faults) => void state.behaviours.push(...faults),
      planned: () => state.behaviours.length
    }
  })
)

describe("MailerMemory", () => {
  it.effect("keeps every call, refuses on demand, and starts empty with each layer", () => {
    const { layer, state } = MailerMemory.make("refuse", "accept")
    const send = Mailer.use((mailer) => mailer.send(mail))
    return Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(Effect.provide(send, layer)))._tag, "MailRejected")
      assert.strictEqual(yield* Effect.provide(send, layer), "mail-1")
      assert.deepStrictEqual(state.calls, [mail, mail])
      assert.strictEqual(yield* Effect.provide(send, MailerMemory.layer), "mail-1")
      assert.lengthOf(state.sent, 1)
    })
  })
})
