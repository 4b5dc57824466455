import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Logging from "../../src/layers/Logging.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import { SignatureVerifier } from "../../src/services/SignatureVerifier.ts"
import { config, logLines } from "../support/layers.ts"
import { bytesOf, eventId, outboxPause } from "../support/payloads.ts"
import {
  deliveryOf,
  type Headers,
  hexHeaders,
  hexSecret,
  otherSecret,
  secret,
  signature,
  standardHeaders,
  staticSecret
} from "../support/signing.ts"

const now = 1_790_000_000
const body = bytesOf(outboxPause)
const signing = { id: eventId, seconds: now }
const standardOnly = { WEBHOOK_SECRETS: secret }

/** How a delivery fares at `now`, in one word. */
const fate = Effect.fnUntraced(function* (
  headers: Headers,
  settings: Readonly<Record<string, string>> = standardOnly,
  bytes: Uint8Array = body
) {
  yield* TestClock.setTime(now * 1000)
  const verified = yield* SignatureVerifier.use((verifier) => verifier.verify(deliveryOf(bytes, headers))).pipe(
    Effect.provide(SignatureVerifierWebCrypto.layer),
    Effect.provide(config(settings)),
    Effect.result
  )
  if (Result.isSuccess(verified)) return verified.success.scheme
  if (verified.failure._tag === "SignatureStale") return "stale"
  return verified.failure._tag === "SignatureRejected" ? verified.failure.reason : verified.failure._tag
})

const without = (headers: Headers, name: string): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name))

describe("Standard Webhooks", () => {
  it.effect("a delivery signed by the standard's own library is accepted, with its id", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const verifier = yield* SignatureVerifier
      assert.deepStrictEqual(yield* verifier.verify(deliveryOf(body, standardHeaders(body, signing))), {
        scheme: "standard-webhooks",
        webhookId: eventId
      })
    }).pipe(Effect.provide(SignatureVerifierWebCrypto.layer), Effect.provide(config(standardOnly)))
  )

  it.effect("any of several secrets is accepted, so that they can be rotated", () =>
    Effect.gen(function* () {
      const both = { WEBHOOK_SECRETS: `${otherSecret} ${secret}` }
      assert.strictEqual(yield* fate(standardHeaders(body, signing), both), "standard-webhooks")
      assert.strictEqual(
        yield* fate(standardHeaders(body, { ...signing, secret: otherSecret }), both),
        "standard-webhooks"
      )
      assert.strictEqual(yield* fate(standardHeaders(body, { ...signing, secret: otherSecret })), "mismatch")
    })
  )

  it.effect("any of several signatures is accepted, even among unknown versions", () =>
    Effect.gen(function* () {
      const wrong = signature(body, { ...signing, secret: otherSecret })
      const right = signature(body, signing)
      const fateOf = (value: string) => fate({ ...standardHeaders(body, signing), "webhook-signature": value })
      assert.strictEqual(yield* fateOf(`${wrong} ${right}`), "standard-webhooks")
      assert.strictEqual(yield* fateOf(`v1a,c2lnbmVk v2,!! ${right}`), "standard-webhooks")
      assert.strictEqual(yield* fateOf(`v1,!! ${right}`), "standard-webhooks")
      assert.strictEqual(yield* fateOf(`${wrong} ${wrong}`), "mismatch")
    })
  )

  it.effect("only the first 8 signatures are checked", () =>
    Effect.gen(function* () {
      const wrong = Array.from({ length: 8 }, () => signature(body, { ...signing, secret: otherSecret }))
      const fateOf = (signatures: ReadonlyArray<string>) =>
        fate({ ...standardHeaders(body, signing), "webhook-signature": signatures.join(" ") })
      const right = signature(body, signing)
      assert.strictEqual(yield* fateOf([...wrong.slice(1), right]), "standard-webhooks")
      assert.strictEqual(yield* fateOf([...wrong, right]), "mismatch")
    })
  )

  it.effect.each([
    { skew: 300, expected: "standard-webhooks" },
    { skew: -300, expected: "standard-webhooks" },
    { skew: 301, expected: "stale" },
    { skew: -301, expected: "stale" }
  ])("a signature $skew seconds from our clock is $expected", ({ expected, skew }) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* fate(standardHeaders(body, { ...signing, seconds: now + skew })), expected)
    })
  )

  it.effect("the tolerance can be set, and the error says how far apart the clocks are", () =>
    Effect.gen(function* () {
      const settings = { ...standardOnly, WEBHOOK_TOLERANCE_SECONDS: "10" }
      assert.strictEqual(
        yield* fate(standardHeaders(body, { ...signing, seconds: now - 10 }), settings),
        "standard-webhooks"
      )
      for (const skewSeconds of [11, -11, 86_400]) {
        const held = standardHeaders(body, { ...signing, seconds: now - skewSeconds })
        const error = yield* SignatureVerifier.use((verifier) => verifier.verify(deliveryOf(body, held))).pipe(
          Effect.provide(SignatureVerifierWebCrypto.layer),
          Effect.provide(config(settings)),
          Effect.flip
        )
        assert.deepInclude(error, { _tag: "SignatureStale", skewSeconds })
      }
    })
  )

  it.effect("a wrong signature with another time is wrong, not stale", () =>
    Effect.gen(function* () {
      const both = { WEBHOOK_SECRETS: `${otherSecret} ${secret}` }
      for (const seconds of [now - 301, now + 301, 0]) {
        const held = { ...signing, seconds }
        assert.strictEqual(yield* fate(standardHeaders(body, { ...held, secret: otherSecret })), "mismatch")
        assert.strictEqual(yield* fate(standardHeaders(body, held), standardOnly, bytesOf({})), "mismatch")
        // An older secret tells as much as the newest.
        assert.strictEqual(yield* fate(standardHeaders(body, held), both), "stale")
      }
    })
  )

  it.effect("an invalid signature also says how far its clock is from ours", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const forged = standardHeaders(body, { ...signing, seconds: now + 7, secret: otherSecret })
      const error = yield* SignatureVerifier.use((verifier) => verifier.verify(deliveryOf(body, forged))).pipe(
        Effect.provide(SignatureVerifierWebCrypto.layer),
        Effect.provide(config(standardOnly)),
        Effect.flip
      )
      assert.deepInclude(error, { reason: "mismatch", skewSeconds: -7 })
    })
  )

  it.effect("without its id, timestamp or signature a delivery is unsigned", () =>
    Effect.gen(function* () {
      const headers = standardHeaders(body, signing)
      for (const name of Object.keys(headers)) assert.strictEqual(yield* fate(without(headers, name)), "missing", name)
      assert.strictEqual(yield* fate({}), "missing")
    })
  )

  it.effect.each([
    { "webhook-signature": "" },
    { "webhook-signature": "v1," + "!".repeat(44) },
    { "webhook-signature": "v2,c2lnbmVk" },
    { "webhook-signature": "c2lnbmVk" },
    { "webhook-id": "" },
    { "webhook-id": "x".repeat(257) },
    { "webhook-timestamp": "" },
    { "webhook-timestamp": "soon" },
    { "webhook-timestamp": `${now}.0` },
    { "webhook-timestamp": `-${now}` },
    { "webhook-timestamp": "1e9" },
    { "webhook-timestamp": "9".repeat(13) }
  ])("headers that cannot be read are malformed: %j", (wrong) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* fate({ ...standardHeaders(body, signing), ...wrong }), "malformed")
    })
  )

  it.effect.prop(
    "a change of one character of the body, the id, the timestamp or the signature is refused",
    {
      part: Schema.Literals(["body", "webhook-id", "webhook-timestamp", "webhook-signature"]),
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })),
      flip: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 127 }))
    },
    ({ at, flip, part }) =>
      Effect.gen(function* () {
        const headers = standardHeaders(body, signing)
        const bytes = part === "body" ? body : new TextEncoder().encode(headers[part])
        const changed = bytes.map((byte, index) => (index === at % bytes.length ? byte ^ flip : byte))
        const outcome =
          part === "body"
            ? fate(headers, standardOnly, changed)
            : fate({ ...headers, [part]: new TextDecoder().decode(changed) })
        assert.include(["mismatch", "malformed", "missing"], yield* outcome)
      }),
    { timeout: 30_000, arbitrary: { runs: 200 } }
  )

  it.effect("a valid signature has one spelling: no other last character of its base64 is accepted", () =>
    Effect.gen(function* () {
      const headers = standardHeaders(body, signing)
      const right = signature(body, signing)
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
      const spellings = [...alphabet].map((last) => `${right.slice(0, -2)}${last}=`)
      const fates = yield* Effect.forEach(spellings, (value) => fate({ ...headers, "webhook-signature": value }))
      assert.deepStrictEqual(
        spellings.filter((_, index) => fates[index] === "standard-webhooks"),
        [right]
      )
    })
  )

  it.effect.prop("any signed bytes are accepted", [Schema.Uint8Array], ([bytes]) =>
    Effect.gen(function* () {
      const text = new TextEncoder().encode(new TextDecoder().decode(bytes))
      assert.strictEqual(yield* fate(standardHeaders(text, signing), standardOnly, text), "standard-webhooks")
    })
  )
})

describe("rotating the secret", () => {
  const three = ["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", secret, otherSecret] as const
  const signedWith = (...secrets: ReadonlyArray<string>) =>
    deliveryOf(body, {
      ...standardHeaders(body, signing),
      "webhook-signature": secrets.map((key) => signature(body, { ...signing, secret: key })).join(" ")
    })
  const world = Layer.merge(
    Layer.provide(SignatureVerifierWebCrypto.layer, config({ WEBHOOK_SECRETS: three.join(" ") })),
    Logging.json
  )

  it.effect("a delivery signed only with an older secret is reported as such", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const verifier = yield* SignatureVerifier
      const olderSecret = (...secrets: ReadonlyArray<string>) =>
        Effect.map(verifier.verify(signedWith(...secrets)), (verified) => verified.olderSecret)
      assert.strictEqual(yield* olderSecret(three[0]), undefined)
      assert.strictEqual(yield* olderSecret(three[1]), 2)
      assert.strictEqual(yield* olderSecret(three[2]), 3)
      assert.strictEqual(yield* olderSecret(three[2], three[1]), 2)
      assert.strictEqual(yield* olderSecret(three[2], three[0]), undefined)
    }).pipe(Effect.provide(world))
  )

  it.effect("the log warns of it at the first, second, fourth, eighth … time, with the count", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(now * 1000)
      const verifier = yield* SignatureVerifier
      const older = signedWith(three[1])
      yield* Effect.forEach(Array.from({ length: 20 }), () => verifier.verify(older))
      yield* verifier.verify(signedWith(three[0]))
      yield* Effect.exit(verifier.verify({ ...older, body: bytesOf({}) }))
      const lines = yield* logLines
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message["outcome"], message["uses"]]),
        [1, 2, 4, 8, 16].map((uses) => ["WARN", "older_secret", uses])
      )
      assert.notInclude(JSON.stringify(lines), "whsec_")
    }).pipe(Effect.provide(world))
  )
})

describe("other schemes", () => {
  const allOn = { ...standardOnly, WEBHOOK_HEX_SECRET: hexSecret, WEBHOOK_STATIC_SECRET: staticSecret }
  const plain = { "x-webhook-secret": staticSecret }

  it.effect("the hex form and the static header count only if they are switched on", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* fate(hexHeaders(body, now), allOn), "hex")
      assert.strictEqual(yield* fate(plain, allOn), "static")
      assert.strictEqual(yield* fate(hexHeaders(body, now)), "missing")
      assert.strictEqual(yield* fate(plain), "missing")
      assert.strictEqual(yield* fate(standardHeaders(body, signing), { WEBHOOK_HEX_SECRET: hexSecret }), "missing")
    })
  )

  it.effect("the log says once, at the start, that the static header is on and weaker, without its secret", () =>
    Effect.gen(function* () {
      const verifier = yield* SignatureVerifier
      yield* verifier.verify(deliveryOf(body, plain))
      yield* verifier.verify(deliveryOf(body, plain))
      const lines = yield* logLines
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message["outcome"]]),
        [["WARN", "static_secret"]]
      )
      assert.notInclude(JSON.stringify(lines), staticSecret)
    }).pipe(Effect.provide(SignatureVerifierWebCrypto.layer), Effect.provide([Logging.json, config(allOn)]))
  )

  it.effect("the log says nothing about it if it is off", () =>
    Effect.gen(function* () {
      yield* SignatureVerifier
      assert.lengthOf(yield* logLines, 0)
    }).pipe(
      Effect.provide(SignatureVerifierWebCrypto.layer),
      Effect.provide([Logging.json, config({ ...standardOnly, WEBHOOK_HEX_SECRET: hexSecret })])
    )
  )

  it.effect("the hex form signs timestamp and body, within the tolerance", () =>
    Effect.gen(function* () {
      const headers = hexHeaders(body, now)
      assert.strictEqual(yield* fate(headers, allOn, bytesOf({})), "mismatch")
      assert.strictEqual(yield* fate(hexHeaders(body, now, "another secret"), allOn), "mismatch")
      assert.strictEqual(yield* fate({ ...headers, "x-webhook-timestamp": String(now + 1) }, allOn), "mismatch")
      assert.strictEqual(yield* fate(hexHeaders(body, now - 301), allOn), "stale")
      assert.strictEqual(yield* fate(hexHeaders(body, now - 301, "another secret"), allOn), "mismatch")
      assert.strictEqual(yield* fate(without(headers, "x-webhook-timestamp"), allOn), "missing")
      assert.strictEqual(yield* fate({ ...headers, "x-webhook-timestamp": "soon" }, allOn), "malformed")
      assert.strictEqual(yield* fate({ ...headers, "x-webhook-signature": "not hex" }, allOn), "malformed")
    })
  )

  it.effect("a static header is the secret or it is nothing", () =>
    Effect.gen(function* () {
      for (const wrong of ["", staticSecret.slice(1), `${staticSecret} `, staticSecret.toUpperCase()]) {
        assert.strictEqual(yield* fate({ "x-webhook-secret": wrong }, allOn), "mismatch", wrong)
      }
    })
  )

  it.effect("a valid signature of another scheme does not replace a wrong one", () =>
    Effect.gen(function* () {
      const wrong = { ...standardHeaders(bytesOf({}), signing), ...hexHeaders(body, now), ...plain }
      assert.strictEqual(yield* fate(wrong, allOn), "mismatch")
    })
  )

  it.effect.each([{}, { WEBHOOK_SECRETS: "" }, { WEBHOOK_STATIC_SECRET: "" }, { WEBHOOK_HEX_SECRET: "" }])(
    "without any secret nothing is accepted: %j",
    (settings) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* fate({ "x-webhook-secret": "" }, settings), "Misconfigured")
      })
  )
})
