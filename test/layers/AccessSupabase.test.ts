import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as AccessSupabase from "../../src/layers/AccessSupabase.ts"
import { Access } from "../../src/services/Access.ts"
import { config, fetchOf } from "../support/layers.ts"
import { macedWith, newSigningKey, type SigningKey, signedBy, tokenOf, userToken } from "../support/tokens.ts"

const now = 1_790_000_000
const userId = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
const secret = "a JWT secret of thirty-two characters or more"
const settings = { SUPABASE_URL: "https://abcdefgh.supabase.co", SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}' }
const elliptic = newSigningKey("elliptic")
const rsa = newSigningKey("rsa", "RS256")
const stranger = newSigningKey("elliptic")
const published = [elliptic.published, rsa.published]

const claims = {
  iss: "https://abcdefgh.supabase.co/auth/v1",
  aud: "authenticated",
  sub: userId,
  iat: now - 60,
  exp: now + 3_600,
  role: "authenticated",
  app_metadata: { provider: "email", role: "admin" },
  user_metadata: {}
}
const { app_metadata: _, ...claimsWithoutRole } = claims
const header = { alg: "ES256", typ: "JWT", kid: "elliptic" }

type Headers = Readonly<Record<string, string>>

/** Whom these headers name at `now`, in a word or two, and how often the key set was asked for. */
const identified = Effect.fnUntraced(function* (
  headers: Headers,
  more: Headers = {},
  keys: ReadonlyArray<Readonly<Record<string, unknown>>> = published
) {
  yield* TestClock.setTime(now * 1000)
  const { calls, layer } = fetchOf({ status: 200, body: JSON.stringify({ keys }) })
  const answer = yield* Access.use((access) => access.identify(new Headers(headers))).pipe(
    Effect.provide(AccessSupabase.layer),
    Effect.provide([layer, config({ ...settings, ...more })]),
    Effect.result
  )
  const asked = calls.length
  if (Result.isSuccess(answer)) {
    const caller = answer.success
    if (caller.kind === "monitor") return { asked, who: `monitor ${caller.may}` }
    return { asked, who: caller.kind === "project" ? "project" : `${caller.kind} ${caller.userId}` }
  }
  const error = answer.failure
  return { asked, who: error._tag === "CredentialsRejected" ? `rejected: ${error.reason}` : error._tag }
})

const whoHas = (headers: Headers, more?: Headers, keys?: ReadonlyArray<SigningKey["published"]>) =>
  Effect.map(identified(headers, more, keys), ({ who }) => who)

const whoBrings = (token: string, more?: Headers, keys?: ReadonlyArray<SigningKey["published"]>) =>
  whoHas({ authorization: `Bearer ${token}` }, more, keys)

const withClaims = (others: Readonly<Record<string, unknown>>) => userToken(elliptic, { ...claims, ...others })
const withoutClaim = (name: string) =>
  userToken(elliptic, Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name)))
const admin = withClaims({})

describe("who is let in", () => {
  it.effect.each([{ apikey: "sb_secret_1" }, { authorization: "Bearer sb_secret_1" }])(
    "the project's secret key is the project, without any request: %j",
    (headers) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* identified(headers), { asked: 0, who: "project" })
      })
  )

  it.effect("a monitor has the token of one operation, if that token is set", () =>
    Effect.gen(function* () {
      const tokens = { HEALTH_TOKEN: "health-token-0123456789", METRICS_TOKEN: "metrics-token-0123456789" }
      assert.strictEqual(yield* whoBrings(tokens.HEALTH_TOKEN, tokens), "monitor getHealth")
      assert.strictEqual(yield* whoBrings(tokens.METRICS_TOKEN, tokens), "monitor getMetrics")
      assert.strictEqual(yield* whoBrings(tokens.HEALTH_TOKEN), "rejected: malformed")
      assert.strictEqual(yield* whoHas({ apikey: tokens.HEALTH_TOKEN }, tokens), "rejected: unknown")
    })
  )

  it.effect("a monitor's token that can be guessed is an invalid setting", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.provide(Effect.void, Layer.provide(AccessSupabase.layer, config({ ...settings, HEALTH_TOKEN: "short" })))
      )
      assert.strictEqual(error.message, "HEALTH_TOKEN: set it to 16 characters or more, or leave it out")
    })
  )

  it.effect("a user is the admin or coordinator that app_metadata says, with either kind of key", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* identified({ authorization: `Bearer ${admin}` }), {
        asked: 1,
        who: `admin ${userId}`
      })
      assert.strictEqual(
        yield* whoBrings(withClaims({ app_metadata: { role: "coordinator" } })),
        `coordinator ${userId}`
      )
      assert.strictEqual(yield* whoBrings(userToken(rsa, claims)), `admin ${userId}`)
    })
  )

  it.effect.each([
    { apikey: "sb_publishable_1", authorization: `Bearer ${admin}` },
    { apikey: "sb_publishable_1", authorization: `bearer ${admin}` },
    { authorization: `BEARER  ${admin}` }
  ])("a token counts next to the publishable key, with its scheme in any case: $authorization", (headers) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoHas(headers), `admin ${userId}`)
    })
  )

  it.effect("a token is valid from nbf until exp, both to the second", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoBrings(withClaims({ nbf: now, exp: now + 1 })), `admin ${userId}`)
      assert.strictEqual(yield* whoBrings(withClaims({ nbf: now + 1 })), "rejected: not_yet_valid")
      assert.strictEqual(yield* whoBrings(withClaims({ exp: now })), "rejected: expired")
    })
  )

  it.effect("an audience may be one of several", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoBrings(withClaims({ aud: ["other", "authenticated"] })), `admin ${userId}`)
    })
  )

  it.effect("another issuer counts if it is set, and then the project's does not", () =>
    Effect.gen(function* () {
      const elsewhere = { JWT_ISSUER: "https://auth.example.test/auth/v1" }
      assert.strictEqual(yield* whoBrings(withClaims({ iss: elsewhere.JWT_ISSUER }), elsewhere), `admin ${userId}`)
      assert.strictEqual(yield* whoBrings(admin, elsewhere), "rejected: issuer")
    })
  )

  it.effect.each(["JWT_SECRET", "SUPABASE_JWT_SECRET"])(
    "HS256 counts only if %s is set, with that secret, and no key set is fetched",
    (name) =>
      Effect.gen(function* () {
        const token = tokenOf({ alg: "HS256", typ: "JWT" }, claims, macedWith(secret))
        const authorization = `Bearer ${token}`
        assert.deepStrictEqual(yield* identified({ authorization }, { [name]: secret }), {
          asked: 0,
          who: `admin ${userId}`
        })
        assert.strictEqual(yield* whoBrings(token, { [name]: `${secret}!` }), "rejected: signature")
        assert.deepStrictEqual(yield* identified({ authorization }), { asked: 0, who: "rejected: signature" })
        assert.strictEqual(yield* whoBrings(admin, { [name]: secret }), `admin ${userId}`)
      })
  )
})

describe("who is known, but may do nothing", () => {
  it.effect.each([
    { app_metadata: {} },
    { app_metadata: { role: "member" } },
    { app_metadata: { role: "Admin" } },
    { app_metadata: { role: ["admin"] } },
    { app_metadata: { role: { admin: true } } },
    { app_metadata: { role: true } },
    { app_metadata: { roles: ["admin"] } },
    { app_metadata: null },
    { app_metadata: "admin" },
    { app_metadata: ["admin"] },
    { app_metadata: {}, user_metadata: { role: "admin" } },
    { app_metadata: {}, user_metadata: { app_metadata: { role: "admin" } } },
    { app_metadata: {}, role: "admin" },
    { app_metadata: {}, role: "service_role" }
  ])("a user with %j", (others) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoBrings(withClaims(others)), "NotAllowed")
    })
  )

  it.effect("a user without app_metadata, or with it only in a name that is special in JavaScript", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* whoBrings(userToken(elliptic, claimsWithoutRole)), "NotAllowed")
      const proto = JSON.parse(
        '{"app_metadata":{"__proto__":{"role":"admin"}},"__proto__":{"app_metadata":{"role":"admin"}}}'
      )
      assert.strictEqual(yield* whoBrings(userToken(elliptic, Object.assign(proto, claimsWithoutRole))), "NotAllowed")
    })
  )
})

describe("who is not let in", () => {
  const attacks: ReadonlyArray<readonly [name: string, reason: string, headers: Headers]> = [
    ["nobody", "missing", {}],
    ["an empty bearer", "unknown", { authorization: "Bearer " }],
    ["another scheme", "unknown", { authorization: `Basic ${admin}` }],
    ["a token without its scheme", "unknown", { authorization: admin }],
    ["a token in another header", "missing", { "x-authorization": `Bearer ${admin}`, cookie: `token=${admin}` }],
    ["a token as apikey", "unknown", { apikey: admin }],
    ["the publishable key", "unknown", { apikey: "sb_publishable_1", authorization: "Bearer sb_publishable_1" }],
    ["half of a secret key", "unknown", { apikey: "sb_secret_" }],
    ["two tokens", "malformed", { authorization: `Bearer ${admin}, Bearer ${admin}` }],
    ["two words", "malformed", { authorization: `Bearer ${admin} ${admin}` }]
  ]
  it.effect.each(attacks.map(([name, reason, headers]) => ({ name, reason, headers })))(
    "$name is rejected: $reason",
    ({ headers, reason }) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* identified(headers), { asked: 0, who: `rejected: ${reason}` })
      })
  )

  const unsigned = () => ""
  const jwk = stranger.published
  const forgeries: ReadonlyArray<readonly [name: string, reason: string, token: string]> = [
    ["no token at all", "malformed", "x"],
    ["two parts", "malformed", admin.split(".").slice(0, 2).join(".")],
    ["no signature", "malformed", tokenOf(header, claims, unsigned)],
    ["alg none", "malformed", tokenOf({ alg: "none", typ: "JWT" }, claims, unsigned)],
    ["alg none with a signature", "malformed", userToken(elliptic, claims, { alg: "none" })],
    ["alg None", "malformed", userToken(elliptic, claims, { alg: "None" })],
    ["no alg", "malformed", tokenOf({ kid: "elliptic" }, claims, signedBy(elliptic))],
    ["no kid", "malformed", tokenOf({ alg: "ES256" }, claims, signedBy(elliptic))],
    ["a kid that is no text", "malformed", userToken(elliptic, claims, { kid: 1 })],
    ["ES384", "malformed", userToken(elliptic, claims, { alg: "ES384" })],
    ["PS256", "malformed", userToken(rsa, claims, { alg: "PS256" })],
    ["a critical extension", "malformed", userToken(elliptic, claims, { crit: ["b64"], b64: true })],
    ["an unknown critical extension", "malformed", userToken(elliptic, claims, { crit: ["exp"], exp: 1 })],
    ["a payload that is not encoded", "malformed", userToken(elliptic, claims, { crit: ["b64"], b64: false })],
    ["a header that is a list", "malformed", tokenOf([header], claims, signedBy(elliptic))],
    ["claims that are a list", "malformed", userToken(elliptic, [claims])],
    ["100 KB", "malformed", withClaims({ padding: "x".repeat(100_000) })],
    ["its last character cut off", "malformed", admin.slice(0, -1)],
    ["a stranger's key under our kid", "signature", userToken(stranger, claims)],
    ["a key of its own in the header", "signature", userToken(stranger, claims, { jwk })],
    ["a kid nobody knows", "signature", userToken(stranger, claims, { kid: "unknown" })],
    [
      "an address of keys in the header",
      "signature",
      userToken(stranger, claims, { jku: "https://evil.example.test/" })
    ],
    [
      "certificates in the header",
      "signature",
      userToken(stranger, claims, { x5u: "https://evil.example.test/", x5c: [] })
    ],
    ["a kid that is a path", "signature", userToken(stranger, claims, { kid: "../../dev/null" })],
    ["our RSA key as ES256", "signature", userToken(rsa, claims, { alg: "ES256" })],
    ["our ES256 key as RS256", "signature", userToken(elliptic, claims, { alg: "RS256" })],
    [
      "another's claims under our signature",
      "signature",
      `${tokenOf(header, { ...claims, sub: "x" }, unsigned)}${admin.split(".")[2]}`
    ],
    ["another issuer", "issuer", withClaims({ iss: "https://zyxwvuts.supabase.co/auth/v1" })],
    ["an issuer with a slash more", "issuer", withClaims({ iss: `${claims.iss}/` })],
    ["issuers in a list", "issuer", withClaims({ iss: [claims.iss] })],
    ["no issuer", "issuer", withoutClaim("iss")],
    ["another audience", "audience", withClaims({ aud: "anon" })],
    ["no audience", "audience", withoutClaim("aud")],
    ["an audience that is an object", "audience", withClaims({ aud: { authenticated: true } })],
    ["no exp", "malformed", withoutClaim("exp")],
    ["an exp that is text", "malformed", withClaims({ exp: String(now + 60) })],
    ["an exp that is null", "malformed", withClaims({ exp: null })],
    ["an exp in the past", "expired", withClaims({ exp: now - 1 })],
    ["an nbf that is text", "malformed", withClaims({ nbf: "0" })],
    ["no sub", "subject", withoutClaim("sub")],
    ["a sub that is no uuid", "subject", withClaims({ sub: "admin" })],
    ["a sub that is a list", "subject", withClaims({ sub: [userId] })],
    ["a sub with SQL behind it", "subject", withClaims({ sub: `${userId}' or true --` })]
  ]
  it.effect.each(forgeries.map(([name, reason, token]) => ({ name, reason, token })))(
    "a token with $name is rejected: $reason",
    ({ reason, token }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* whoBrings(token), `rejected: ${reason}`)
      })
  )

  it.effect("a public key is not a secret: HS256 with a published key is nobody", () =>
    Effect.gen(function* () {
      const spellings = [rsa.pem, rsa.pem.trim(), JSON.stringify(rsa.published), String(rsa.published["n"]), ""]
      for (const spelling of spellings) {
        for (const kid of ["rsa", "elliptic", undefined]) {
          const token = tokenOf({ alg: "HS256", typ: "JWT", ...(kid && { kid }) }, claims, macedWith(spelling))
          assert.strictEqual(yield* whoBrings(token), "rejected: signature")
          assert.strictEqual(yield* whoBrings(token, { JWT_SECRET: secret }), "rejected: signature")
        }
      }
    })
  )

  it.effect("the reason for a claim is given only for a validly signed token", () =>
    Effect.gen(function* () {
      for (const others of [{ exp: now - 1 }, { iss: "x" }, { aud: "x" }, { sub: "x" }, { nbf: now + 9 }]) {
        assert.strictEqual(yield* whoBrings(userToken(stranger, { ...claims, ...others })), "rejected: signature")
      }
    })
  )

  it.effect.each([{ SUPABASE_SECRET_KEYS: "" }, { SUPABASE_URL: "" }, { JWT_SECRET: "short" }])(
    "with a missing or wrong setting nobody is let in: %j",
    (more) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* whoHas({ apikey: "sb_secret_1" }, more), "Misconfigured")
        assert.strictEqual(yield* whoBrings(admin, more), "Misconfigured")
      })
  )

  const tokens = [admin, userToken(rsa, claims), tokenOf({ alg: "HS256" }, claims, macedWith(secret))]
  it.effect.prop(
    "no token with one byte changed is let in",
    {
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 })),
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000 })),
      flip: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 127 }))
    },
    ({ at, flip, which }) =>
      Effect.gen(function* () {
        const token = tokens[which] ?? admin
        const bytes = new TextEncoder().encode(token)
        const changed = bytes.map((byte, index) => (index === at % bytes.length ? byte ^ flip : byte))
        const text = new TextDecoder().decode(changed).replaceAll(/[\0\r\n]/g, "!")
        const who = yield* whoBrings(text.trim(), { JWT_SECRET: secret })
        assert.match(who, /^rejected: /)
      }),
    { timeout: 60_000, arbitrary: { runs: 300 } }
  )

  it.effect("a valid signature has one spelling: no other last character is accepted", () =>
    Effect.gen(function* () {
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
      for (const token of tokens) {
        const spellings = [...alphabet].map((last) => `${token.slice(0, -1)}${last}`)
        const all = yield* Effect.forEach(spellings, (spelling) => whoBrings(spelling, { JWT_SECRET: secret }))
        assert.deepStrictEqual(
          spellings.filter((_, index) => all[index] === `admin ${userId}`),
          [token]
        )
      }
    })
  )
})
