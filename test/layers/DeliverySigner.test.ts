import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { signDelivery } from "../../src/layers/DeliverySigner.ts"
import { bytesOf, eventId, outboxPause } from "../support/payloads.ts"
import { secret, standardHeaders } from "../support/signing.ts"

describe("signDelivery", () => {
  it.effect("signs like Standard Webhooks' own library, at the clock's time", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_795_858_199_999)
      const body = bytesOf(outboxPause)
      const { "content-type": type, ...headers } = yield* signDelivery({ secret, id: eventId, body })
      assert.strictEqual(type, "application/json")
      assert.deepEqual<object>(headers, standardHeaders(body, { id: eventId, seconds: 1_795_858_199 }))
    })
  )
})
