import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import {
  type Delivery,
  SignatureRejected,
  SignatureStale,
  SignatureVerifier,
  type Verified
} from "../services/SignatureVerifier.ts"
import * as Config from "./Config.ts"
import * as Hmac from "./Hmac.ts"

// Each costs an HMAC per secret, so a header full of them must not buy our CPU.
const mostSignatures = 8
const utf8 = new TextEncoder()

const decodeBase64 = (text: string) => Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0))

// atob overlooks spaces, missing padding, and bits of the last character that it drops; a signature has one spelling.
const fromBase64 = (text: string): ReadonlyArray<Uint8Array<ArrayBuffer>> =>
  Result.match(
    Result.try(() => atob(text)),
    { onSuccess: (bytes) => (btoa(bytes) === text ? [decodeBase64(text)] : []), onFailure: () => [] }
  )

const fromHex = (text: string): ReadonlyArray<Uint8Array<ArrayBuffer>> =>
  /^(?:[\da-f]{2})*$/i.test(text) ? [Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))] : []

const concat = (prefix: string, body: Uint8Array): Uint8Array<ArrayBuffer> => {
  const head = utf8.encode(prefix)
  const whole = new Uint8Array(head.length + body.length)
  whole.set(head)
  whole.set(body, head.length)
  return whole
}

/** How far the time that the sender gives is from ours. */
const readSkew = (timestamp: string): Effect.Effect<number, SignatureRejected> =>
  Effect.clockWith((clock: Clock.Clock) =>
    /^\d{1,12}$/.test(timestamp)
      ? Effect.succeed(Math.trunc(clock.currentTimeMillisUnsafe() / 1000) - Number(timestamp))
      : new SignatureRejected({ reason: "malformed" })
  )

/** The index of the first key that made one of the signatures. Only a caller with a key learns that the time is wrong. */
const findSigner = Effect.fnUntraced(function* (
  keys: ReadonlyArray<CryptoKey>,
  signatures: ReadonlyArray<Uint8Array<ArrayBuffer>>,
  signed: Uint8Array<ArrayBuffer>,
  { skewSeconds, tolerance }: { readonly skewSeconds: number; readonly tolerance: number }
) {
  for (const [index, key] of keys.entries()) {
    for (const signature of signatures) {
      if (!(yield* Hmac.verify(key, signature, signed))) continue
      return Math.abs(skewSeconds) <= tolerance ? index : yield* new SignatureStale({ skewSeconds })
    }
  }
  return yield* new SignatureRejected({ reason: "mismatch", skewSeconds })
})

const isPowerOfTwo = (count: number): boolean => (count & (count - 1)) === 0

const standardWebhooks = (keys: ReadonlyArray<CryptoKey>, tolerance: number) => {
  let uses = 0
  // Each delivery's own line says it too; this one is loud, and rare enough not to drown the others.
  const warn = Effect.suspend(() => {
    uses += 1
    const detail = "Deliveries are signed with an older secret of WEBHOOK_SECRETS only: end the rotation at the sender"
    return isPowerOfTwo(uses) ? Effect.logWarning({ outcome: "older_secret", uses, detail }) : Effect.void
  })
  return Effect.fnUntraced(function* (
    { body, header }: Delivery,
    signatureHeader: string
  ): Effect.fn.Return<Verified, SignatureRejected | SignatureStale> {
    const id = header("webhook-id")
    const timestamp = header("webhook-timestamp")
    if (id === undefined || timestamp === undefined) return yield* new SignatureRejected({ reason: "missing" })
    const signatures = signatureHeader
      .split(" ", mostSignatures)
      .filter((part) => part.startsWith("v1,"))
      .flatMap((part) => fromBase64(part.slice(3)))
    if (signatures.length === 0 || id === "" || id.length > 256) {
      return yield* new SignatureRejected({ reason: "malformed" })
    }
    const skewSeconds = yield* readSkew(timestamp)
    const signed = concat(`${id}.${timestamp}.`, body)
    const signer = yield* findSigner(keys, signatures, signed, { skewSeconds, tolerance })
    if (signer === 0) return { scheme: "standard-webhooks", webhookId: id }
    yield* warn
    return { scheme: "standard-webhooks", webhookId: id, olderSecret: signer + 1 }
  })
}

const hexSignature = (key: CryptoKey, tolerance: number) =>
  Effect.fnUntraced(function* (
    { body, header }: Delivery,
    signatureHeader: string
  ): Effect.fn.Return<Verified, SignatureRejected | SignatureStale> {
    const timestamp = header("x-webhook-timestamp")
    if (timestamp === undefined) return yield* new SignatureRejected({ reason: "missing" })
    const signatures = fromHex(signatureHeader)
    if (signatures.length === 0) return yield* new SignatureRejected({ reason: "malformed" })
    const skewSeconds = yield* readSkew(timestamp)
    yield* findSigner([key], signatures, concat(`${timestamp}.`, body), { skewSeconds, tolerance })
    return { scheme: "hex" }
  })

const staticSecret = /* @__PURE__ */ Effect.fnUntraced(function* (expected: Redacted.Redacted) {
  const matches = yield* Hmac.equalToAny([expected])
  return Effect.fnUntraced(function* (header: string): Effect.fn.Return<Verified, SignatureRejected> {
    if (yield* matches(header)) return { scheme: "static" }
    return yield* new SignatureRejected({ reason: "mismatch" })
  })
})

const weaker =
  "WEBHOOK_STATIC_SECRET is set: anyone who learns X-Webhook-Secret can send anything at any time, so unset it unless " +
  "a stock dashboard webhook needs it"

const importSecret = (secret: Redacted.Redacted) =>
  Hmac.importKey(decodeBase64(Redacted.value(secret).slice("whsec_".length)))

const noSecret = () =>
  new Config.Misconfigured({
    key: "WEBHOOK_SECRETS",
    hint: "set it to the whsec_… secret that Postgres signs with; until then every delivery is refused"
  })

const unsigned = () => Effect.fail(new SignatureRejected({ reason: "missing" }))

/**
 * Verifies with WebCrypto. Standard Webhooks with any number of secrets at once, so that they can be rotated; the
 * hex form and the static header are each off until their secret is set. Keys are imported once.
 *
 * Says in the log that the static header is on, once, and how often only an older secret had signed.
 */
export const layer = /* @__PURE__ */ Layer.effect(
  SignatureVerifier,
  /* @__PURE__ */ Effect.gen(function* () {
    const secrets = yield* Config.webhookSecrets
    const hexSecret = yield* Config.webhookHexSecret
    const plainSecret = yield* Config.webhookStaticSecret
    if (secrets.length === 0 && Option.isNone(hexSecret) && Option.isNone(plainSecret)) return yield* noSecret()
    const tolerance = yield* Config.webhookTolerance
    const standard = standardWebhooks(yield* Effect.forEach(secrets, importSecret), tolerance)
    const inHex = Option.isNone(hexSecret)
      ? undefined
      : hexSignature(yield* Hmac.importKey(utf8.encode(Redacted.value(hexSecret.value))), tolerance)
    const inPlain = Option.isNone(plainSecret) ? undefined : yield* staticSecret(plainSecret.value)
    if (inPlain !== undefined) yield* Effect.logWarning({ outcome: "static_secret", detail: weaker })
    return SignatureVerifier.of({
      verify: (delivery) => {
        const signature = delivery.header("webhook-signature")
        if (signature !== undefined && secrets.length > 0) return standard(delivery, signature)
        const hexHeader = delivery.header("x-webhook-signature")
        if (hexHeader !== undefined && inHex !== undefined) return inHex(delivery, hexHeader)
        const plainHeader = delivery.header("x-webhook-secret")
        if (plainHeader !== undefined && inPlain !== undefined) return inPlain(plainHeader)
        return unsigned()
      }
    })
  })
)

/** Standard Webhooks alone: for a topic that only the outbox delivers. */
export const layerStandard = /* @__PURE__ */ Layer.effect(
  SignatureVerifier,
  /* @__PURE__ */ Effect.gen(function* () {
    const secrets = yield* Config.webhookSecrets
    if (secrets.length === 0) return yield* noSecret()
    const standard = standardWebhooks(yield* Effect.forEach(secrets, importSecret), yield* Config.webhookTolerance)
    return SignatureVerifier.of({
      verify: (delivery) => {
        const signature = delivery.header("webhook-signature")
        return signature === undefined ? unsigned() : standard(delivery, signature)
      }
    })
  })
)
