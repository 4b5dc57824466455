import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { Effect, Schema } from "effect"
import { EventId } from "../../src/schema/Identifiers.ts"
import { eventIdFromKey } from "../../src/services/EventIdentity.ts"
import { eventId } from "../support/payloads.ts"
import { HeaderText } from "../support/signing.ts"

const version8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe("eventIdFromKey", () => {
  it.effect("a uuid is its own event id, in lower case", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* eventIdFromKey(eventId), eventId)
      assert.strictEqual(yield* eventIdFromKey(eventId.toUpperCase()), eventId)
    })
  )

  it.effect("any other text becomes a uuid of version 8 from its SHA-256", () =>
    Effect.gen(function* () {
      const id = yield* eventIdFromKey("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
      const digest = createHash("sha256").update("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W").digest("hex")
      assert.match(id, version8)
      assert.strictEqual(id.slice(0, 13), `${digest.slice(0, 8)}-${digest.slice(8, 12)}`)
      assert.strictEqual(id.slice(-12), digest.slice(20, 32))
    })
  )

  it.effect("keys that differ in case are different unless they are uuids", () =>
    Effect.gen(function* () {
      assert.notStrictEqual(yield* eventIdFromKey("msg_A"), yield* eventIdFromKey("msg_a"))
    })
  )

  it.effect.prop(
    "every key has one valid id, and different keys have different ones",
    [HeaderText, HeaderText],
    ([one, other]) =>
      Effect.gen(function* () {
        const id = yield* eventIdFromKey(one)
        assert.isTrue(Schema.is(EventId)(id))
        assert.strictEqual(yield* eventIdFromKey(one), id)
        assert.strictEqual((yield* eventIdFromKey(other)) === id, one === other)
      })
  )
})
