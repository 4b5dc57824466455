import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hmac from "./Hmac.ts"

const utf8 = new TextEncoder()

/** What a sender signs. **Shape** `secret` is `whsec_…`; `id` the event id, or a batch's own. */
export interface DeliveryToSign {
  readonly secret: string
  readonly id: string
  readonly body: Uint8Array
}

/**
 * The headers of a delivery, signed now as Postgres signs it. For tests, and for a sender of your own.
 *
 * **Source** Standard Webhooks 1.0.0.
 *
 * @example
 * const headers = yield* signDelivery({ secret, id: event_id, body })
 * new Request(url, { method: "POST", headers, body })
 */
export const signDelivery = Effect.fnUntraced(function* ({ body, id, secret }: DeliveryToSign) {
  const key = yield* Hmac.importKey(
    yield* Effect.orDie(Effect.fromResult(Base64.decode(secret.replace(/^whsec_/, ""))))
  )
  const timestamp = String(Math.trunc((yield* Clock.currentTimeMillis) / 1000))
  const signature = yield* Hmac.sign(key, new Uint8Array([...utf8.encode(`${id}.${timestamp}.`), ...body]))
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${Base64.encode(signature)}`
  }
})
