import {
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type JsonWebKey,
  randomBytes,
  randomUUID,
  sign
} from "node:crypto"

/** Every secret of one stack. Each stack gets new ones, so that a leaked one is worthless. */
export interface Keys {
  readonly databasePassword: string
  readonly jwtSecret: string
  readonly serviceKey: string
  readonly publishableKey: string
  readonly serviceToken: string
  readonly anonToken: string
  readonly webhookSecret: string
  readonly resendKey: string
  /** The key that signs users' tokens: a private JWK for ES256, as on hosted Supabase. */
  readonly signingKey: SigningKey
}

export interface SigningKey extends JsonWebKey {
  readonly kid: string
}

/** The relevant part of a user. `role` is what an administrator of the project gave them. */
export interface User {
  readonly sub?: string
  readonly role?: string
}

const TEN_YEARS_IN_SECONDS = 10 * 365 * 24 * 60 * 60

export const createKeys = (): Keys => {
  const jwtSecret = randomBytes(32).toString("hex")
  return {
    // Documented, so that you can connect psql or any other client to the stack.
    databasePassword: "postgres",
    jwtSecret,
    serviceKey: `sb_secret_${randomBytes(24).toString("base64url")}`,
    publishableKey: `sb_publishable_${randomBytes(24).toString("base64url")}`,
    serviceToken: roleToken(jwtSecret, "service_role"),
    anonToken: roleToken(jwtSecret, "anon"),
    webhookSecret: `whsec_${randomBytes(32).toString("base64")}`,
    resendKey: `re_${randomBytes(24).toString("hex")}`,
    signingKey: {
      ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }),
      kid: randomUUID()
    }
  }
}

/** The key set that Auth publishes, without the private parts. */
export const publishedKeys = ({ signingKey }: Pick<Keys, "signingKey">) => {
  const { d: _, ...publicKey } = signingKey
  return { keys: [{ ...publicKey, alg: "ES256", use: "sig", key_ops: ["verify"], ext: true }] }
}

const HOUR_IN_SECONDS = 60 * 60

/** The access token that Auth gives a user who signs in. */
export const userToken = (
  { apiUrl, signingKey }: { readonly apiUrl: string; readonly signingKey: SigningKey },
  { role, sub = randomUUID() }: User = {}
): string => {
  const now = Math.floor(Date.now() / 1_000)
  const claims = {
    iss: `${apiUrl}/auth/v1`,
    aud: "authenticated",
    sub,
    iat: now,
    exp: now + HOUR_IN_SECONDS,
    role: "authenticated",
    app_metadata: { provider: "email", ...(role !== undefined && { role }) },
    user_metadata: {},
    session_id: randomUUID(),
    is_anonymous: false
  }
  const signed = `${part({ alg: "ES256", kid: signingKey.kid, typ: "JWT" })}.${part(claims)}`
  const key = createPrivateKey({ key: signingKey, format: "jwk" })
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`
}

/** A JSON Web Token (HS256) with which PostgREST switches to the role. */
export const roleToken = (secret: string, role: string): string => {
  const now = Math.floor(Date.now() / 1_000)
  const claims = part({ iss: "local stack", role, iat: now, exp: now + TEN_YEARS_IN_SECONDS })
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${claims}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
