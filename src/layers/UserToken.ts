import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { decodeProtectedHeader } from "jose/decode/protected_header"
import { JWKSNoMatchingKey, JWSSignatureVerificationFailed, JWTClaimValidationFailed, JWTExpired } from "jose/errors"
import { jwtVerify, type JWTVerifyGetKey } from "jose/jwt/verify"
import type { Caller } from "../schema/Caller.ts"
import { type KeysUnavailable, NotAllowed } from "../services/Access.ts"
import { CredentialsRejected } from "../services/CredentialsRejected.ts"
import * as Config from "./Config.ts"
import { Fetch } from "./Fetch.ts"
import * as SigningKeys from "./SigningKeys.ts"

const longestToken = 8_192
// A signature has one spelling: the last character's bits that decoding drops must be zero.
const compactToken = /^[\w-]+\.[\w-]+\.(?:[\w-]{4})*(?:[\w-]{4}|[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])$/

// Extensions that a header calls critical change what a signature means; we know none.
const shared = { crit: Schema.optionalKey(Schema.Never) }
const Header = Schema.Union([
  Schema.Struct({ ...shared, alg: Schema.Literal("HS256") }),
  Schema.Struct({ ...shared, alg: Schema.Literals(["ES256", "RS256"]), kid: Schema.NonEmptyString })
])
type Header = typeof Header.Type

const readHeader = Schema.decodeUnknownEffect(Header)
const readSubject = Schema.decodeUnknownEffect(Schema.Struct({ sub: Schema.String.check(Schema.isUUID()) }))
const readRole = Schema.decodeUnknownEffect(
  Schema.Struct({ app_metadata: Schema.Struct({ role: Schema.Literals(["admin", "coordinator"]) }) })
)

type Reason = CredentialsRejected["reason"]

const ofClaim: Readonly<Record<string, Reason>> = {
  iss: "issuer",
  aud: "audience",
  sub: "subject",
  nbf: "not_yet_valid"
}

const toReason = (cause: unknown): Reason => {
  if (cause instanceof JWTExpired) return "expired"
  if (cause instanceof JWTClaimValidationFailed) {
    return cause.reason === "invalid" ? "malformed" : (ofClaim[cause.claim] ?? "malformed")
  }
  return cause instanceof JWSSignatureVerificationFailed || cause instanceof JWKSNoMatchingKey
    ? "signature"
    : "malformed"
}

const rejected = (reason: Reason) => new CredentialsRejected({ reason })

/**
 * Reads who a user's token names. It must be a JWT signed by one of the project's published keys (ES256, RS256), or
 * with the project's JWT secret (HS256) where that is set: the algorithm decides which, never the other way around. It
 * must be issued by the project's Auth for `authenticated`, be in force, and name its user; what the user may do is in
 * `app_metadata` alone, which users cannot write.
 */
export const make = Effect.gen(function* () {
  const keys = SigningKeys.make(yield* Fetch, (yield* Config.jwksUrl).href, yield* Config.jwksTimeout)
  const bySecret = Option.map(yield* Config.jwtSecret, (secret): JWTVerifyGetKey => {
    const bytes = new TextEncoder().encode(Redacted.value(secret))
    return () => bytes
  })
  const expected = { issuer: yield* Config.jwtIssuer, audience: "authenticated", requiredClaims: ["exp", "sub"] }

  const keyFor = (header: Header): Effect.Effect<Option.Option<JWTVerifyGetKey>, KeysUnavailable> =>
    header.alg === "HS256" ? Effect.succeed(bySecret) : keys.find(header.kid)

  return Effect.fnUntraced(function* (
    token: string
  ): Effect.fn.Return<Caller["Service"], CredentialsRejected | NotAllowed | KeysUnavailable> {
    if (token.length > longestToken || !compactToken.test(token)) return yield* rejected("malformed")
    const header = yield* Effect.try({
      try: () => decodeProtectedHeader(token),
      catch: () => rejected("malformed")
    }).pipe(
      Effect.flatMap(readHeader),
      Effect.mapError(() => rejected("malformed"))
    )
    const key = yield* keyFor(header)
    if (Option.isNone(key)) return yield* rejected("signature")
    const currentDate = yield* DateTime.nowAsDate
    const { payload } = yield* Effect.tryPromise({
      try: () => jwtVerify(token, key.value, { ...expected, algorithms: [header.alg], currentDate }),
      catch: (cause) => rejected(toReason(cause))
    })
    const { sub: userId } = yield* Effect.mapError(readSubject(payload), () => rejected("subject"))
    const { app_metadata } = yield* Effect.mapError(readRole(payload), () => new NotAllowed({ needs: "role" }))
    return { kind: app_metadata.role, userId }
  })
})
