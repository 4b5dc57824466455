import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto"

/** A key that Auth signs users' tokens with. */
export interface SigningKey {
  readonly kid: string
  readonly alg: "ES256" | "RS256"
  readonly privateKey: KeyObject
  /** What Auth publishes of it. */
  readonly published: Readonly<Record<string, unknown>>
  readonly pem: string
}

export const newSigningKey = (kid: string, alg: SigningKey["alg"] = "ES256"): SigningKey => {
  const { privateKey, publicKey } =
    alg === "ES256"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 })
  return {
    kid,
    alg,
    privateKey,
    published: { ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig", key_ops: ["verify"] },
    pem: publicKey.export({ format: "pem", type: "spki" }).toString()
  }
}

type Json = Readonly<Record<string, unknown>>

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A token of any header and claims, signed as `signer` does. By hand: a library would not write the illegal ones. */
export const tokenOf = (header: unknown, claims: unknown, signer: (signed: string) => string): string => {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${signer(signed)}`
}

export const signedBy =
  ({ privateKey }: SigningKey) =>
  (signed: string): string =>
    sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")

export const macedWith =
  (secret: string | Uint8Array) =>
  (signed: string): string =>
    createHmac("sha256", secret).update(signed).digest("base64url")

/** The token that Auth gives a user, as far as we read it, with some of it otherwise. */
export const userToken = (key: SigningKey, claims: unknown, header: Json = {}): string =>
  tokenOf({ alg: key.alg, typ: "JWT", kid: key.kid, ...header }, claims, signedBy(key))
