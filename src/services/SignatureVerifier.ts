import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/**
 * A delivery that is not verified yet.
 *
 * **Shape** `header` looks a header up whatever its case; `body` is the exact bytes that were sent.
 */
export interface Delivery {
  readonly header: (name: string) => string | undefined
  readonly body: Uint8Array
}

/**
 * Who signed a delivery.
 *
 * **Shape** `webhookId` is the signed `webhook-id`; schemes without one leave it out. `olderSecret` is there when the
 * newest of several secrets did not sign it: which one did, as the 2nd, 3rd … of them.
 */
export interface Verified {
  readonly scheme: "standard-webhooks" | "hex" | "static"
  readonly webhookId?: string
  readonly olderSecret?: number
}

/**
 * The delivery is not signed by us; nothing was read or written.
 *
 * **Units** `skewSeconds` is our clock minus the time that the sender gave, when it can be read.
 */
export class SignatureRejected extends Data.TaggedError("SignatureRejected")<{
  readonly reason: "missing" | "malformed" | "mismatch"
  readonly skewSeconds?: number
}> {
  override get message(): string {
    switch (this.reason) {
      case "missing":
        return "The delivery carries no signature in a scheme that is switched on"
      case "malformed":
        return "The signature headers cannot be read"
      case "mismatch":
        return "No configured secret made this signature"
    }
  }
}

/**
 * The signature is valid, but its time is too old or in the future: the delivery was delayed, or a clock is wrong.
 *
 * **Units** `skewSeconds` is our clock minus the signed time.
 */
export class SignatureStale extends Data.TaggedError("SignatureStale")<{
  readonly skewSeconds: number
}> {
  override readonly message = "The signature is valid, but its time is outside the tolerance; see skewSeconds"
}

/**
 * Checks that a delivery comes from our sender, before its body is parsed.
 *
 * **Fails with** SignatureRejected, SignatureStale.
 * **Source** Standard Webhooks 1.0.0: base64 HMAC-SHA256 over `id.timestamp.body`.
 */
export class SignatureVerifier extends Context.Service<
  SignatureVerifier,
  {
    readonly verify: (delivery: Delivery) => Effect.Effect<Verified, SignatureRejected | SignatureStale>
  }
>()("pause-status-webhook-handler/services/SignatureVerifier") {}
