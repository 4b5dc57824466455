import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

// WebCrypto by hand: effect/crypto's Mac is tagged unstable, and the POST path keeps to stable modules.
const algorithm = { name: "HMAC", hash: "SHA-256" }
const utf8 = new TextEncoder()

/** An HMAC-SHA256 key of raw bytes. */
export const importKey = (bytes: Uint8Array): Effect.Effect<CryptoKey> =>
  Effect.promise(() => crypto.subtle.importKey("raw", new Uint8Array(bytes), algorithm, false, ["sign", "verify"]))

/** The signature of some bytes. */
export const sign = (key: CryptoKey, bytes: Uint8Array<ArrayBuffer>): Effect.Effect<Uint8Array<ArrayBuffer>> =>
  Effect.promise(() => crypto.subtle.sign("HMAC", key, bytes).then((mac) => new Uint8Array(mac)))

/** Whether a signature is right, in constant time. */
export const verify = (
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>
): Effect.Effect<boolean> => Effect.promise(() => crypto.subtle.verify("HMAC", key, signature, signed))

/**
 * Tells whether a text is one of the secrets. Compares MACs under a random key instead of the texts: constant time,
 * whatever their lengths.
 */
export const equalToAny = Effect.fnUntraced(function* (secrets: ReadonlyArray<Redacted.Redacted>) {
  const key = yield* importKey(crypto.getRandomValues(new Uint8Array(32)))
  const macs = yield* Effect.forEach(secrets, (secret) => sign(key, utf8.encode(Redacted.value(secret))))
  return (given: string): Effect.Effect<boolean> =>
    Effect.map(
      Effect.forEach(macs, (mac) => verify(key, mac, utf8.encode(given))),
      (matches) => matches.includes(true)
    )
})
