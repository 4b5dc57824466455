import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Webhook } from "standardwebhooks"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import { SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import { config } from "../support/layers.ts"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { deliveryOf, type Headers, signature, standardHeaders } from "../support/signing.ts"

// The library of the standard asks the system what time it is.
const now = Math.floor(Date.now() / 1000)
const body = bytesOf(outboxPause)

const secretOf = (bytes: Uint8Array): string => `whsec_${Buffer.from(bytes).toString("base64")}`
const fourSecrets = [24, 32, 48, 64].map((length, at) => secretOf(new Uint8Array(length).fill(at + 1)))

/** The id that is vouched for, or the reason why none is. */
const fate = Effect.fnUntraced(function* (headers: Headers, secrets: ReadonlyArray<string>, bytes = body) {
  yield* TestClock.setTime(now * 1000)
  const verified = yield* SignatureVerifier.use((verifier) => verifier.verify(deliveryOf(bytes, headers))).pipe(
    Effect.provide(SignatureVerifierWebCrypto.layer),
    Effect.provide(config({ WEBHOOK_SECRETS: secrets.join(" ") })),
    Effect.result
  )
  return Result.isSuccess(verified) ? verified.success.webhookId : verified.failure._tag
})

const whole = (from: number, to: number) => Schema.Int.check(Schema.isBetween({ minimum: from, maximum: to }))
const anyId = Schema.String.check(Schema.isPattern(/^[!-~](?:[ -~]{0,254}[!-~])?$/))
const anySecret = Schema.Uint8Array.check(Schema.isMinLength(24), Schema.isMaxLength(64))

describe("Standard Webhooks, as its own library signs", () => {
  it.effect.each([
    "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    "a",
    "a.b.c",
    "1790000000.1790000000",
    "with spaces inside",
    'quotes "and" commas, too',
    "{}",
    "%0d%0a",
    "x".repeat(256)
  ])("the id may be %j", (id) =>
    Effect.gen(function* () {
      const secret = fourSecrets[0] ?? ""
      assert.strictEqual(yield* fate(standardHeaders(body, { id, seconds: now, secret }), [secret]), id)
    })
  )

  it.effect.prop(
    "any id with any secret of 24 to 64 bytes is accepted",
    { id: anyId, bytes: anySecret },
    ({ bytes, id }) =>
      Effect.gen(function* () {
        const secret = secretOf(bytes)
        assert.strictEqual(yield* fate(standardHeaders(body, { id, seconds: now, secret }), [secret]), id)
      }),
    { arbitrary: { runs: 100 } }
  )

  it.effect("during a rotation one shared secret is enough, wherever it stands in either list", () =>
    Effect.gen(function* () {
      const subsets = Array.from({ length: 16 }, (_, bits) => fourSecrets.filter((_, at) => (bits >> at) % 2 === 1))
      for (const ours of subsets.slice(1)) {
        for (const theirs of subsets.slice(1)) {
          const signing = { id: "msg", seconds: now }
          const signatures = theirs.map((secret) => signature(body, { ...signing, secret })).toReversed()
          const headers = { ...standardHeaders(body, signing), "webhook-signature": signatures.join(" ") }
          const known = theirs.some((secret) => ours.includes(secret))
          assert.strictEqual(yield* fate(headers, ours), known ? "msg" : "SignatureRejected")
        }
      }
    })
  )
})

const Sent = {
  signedWith: whole(0, 1),
  skew: Schema.Union([Schema.Literal(0), whole(-290, 290), whole(310, 9_999), whole(-9_999, -310)]),
  junk: Schema.Array(Schema.Literals(["v1,", "v1,AAAA", "v2,AAAA", "v1", "", ",", "v1a,AAAA"])).check(
    Schema.isMaxLength(4)
  ),
  junkFirst: Schema.Boolean,
  spoil: Schema.Literals(["nothing", "nothing", "body", "webhook-id", "webhook-timestamp", "webhook-signature"]),
  without: Schema.Literals(["nothing", "nothing", "nothing", "webhook-id", "webhook-timestamp", "webhook-signature"])
}

const verifiesByLibrary = (secret: string, bytes: Uint8Array, headers: Headers): boolean => {
  try {
    new Webhook(secret).verify(Buffer.from(bytes).toString(), { ...headers })
    return true
  } catch {
    return false
  }
}

describe("Standard Webhooks, as its own library verifies", () => {
  it.effect.prop(
    "we accept exactly what it accepts",
    Sent,
    ({ junk, junkFirst, signedWith, skew, spoil, without }) =>
      Effect.gen(function* () {
        const [ours = "", other = ""] = fourSecrets
        const signing = { id: "msg", seconds: now + skew, secret: signedWith === 0 ? ours : other }
        const right = standardHeaders(body, signing)
        const signatures = [signature(body, signing)]
        const list = (junkFirst ? [...junk, ...signatures] : [...signatures, ...junk]).join(" ")
        const spoilt = spoil === "nothing" || spoil === "body" ? {} : { [spoil]: `${right[spoil]}0` }
        const sent: Headers = { ...right, "webhook-signature": list, ...spoilt }
        const headers = Object.fromEntries(Object.entries(sent).filter(([name]) => name !== without))
        const bytes = spoil === "body" ? bytesOf({ ...outboxPause, version: 8 }) : body
        const accepted = (yield* fate(headers, [ours], bytes)) === "msg"
        assert.strictEqual(accepted, verifiesByLibrary(ours, bytes, headers))
      }),
    { timeout: 30_000, arbitrary: { runs: 300 } }
  )
})
