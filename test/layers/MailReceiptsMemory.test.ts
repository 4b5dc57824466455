import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as MailReceiptsMemory from "../../src/layers/MailReceiptsMemory.ts"
import { MailReceipts } from "../../src/topics/MailReceipts.ts"
import { mailReceiptsContract } from "../topics/MailReceiptsContract.ts"

const { layer, state } = MailReceiptsMemory.make()

mailReceiptsContract("MailReceiptsMemory", {
  layer: () => layer,
  coordinator: ({ email, id, name }) => Effect.sync(() => state.coordinators.set(id, { email, name })),
  forget: (id) => Effect.sync(() => state.coordinators.delete(id)),
  mentor: (id, name) => Effect.sync(() => state.mentors.set(id, name)),
  wait: (_, hours) => TestClock.adjust(`${hours} hours`)
})

describe("MailReceiptsMemory", () => {
  it.effect("each layer has its own memory", () =>
    Effect.gen(function* () {
      const receipts = yield* MailReceipts
      assert.deepStrictEqual(yield* receipts.prepare([]), [])
    }).pipe(Effect.provide(MailReceiptsMemory.layer))
  )
})
