import { createHmac, randomBytes } from "node:crypto"

/** Every secret of one stack; new ones for each, so that nothing of a stack is worth stealing. */
export interface Keys {
  readonly databasePassword: string
  readonly jwtSecret: string
  readonly serviceKey: string
  readonly publishableKey: string
  readonly serviceToken: string
  readonly anonToken: string
  readonly webhookSecret: string
}

const TEN_YEARS_IN_SECONDS = 10 * 365 * 24 * 60 * 60

export const createKeys = (): Keys => {
  const jwtSecret = randomBytes(32).toString("hex")
  return {
    // Documented, so that psql and every other client can be pointed at the stack by hand.
    databasePassword: "postgres",
    jwtSecret,
    serviceKey: `sb_secret_${randomBytes(24).toString("base64url")}`,
    publishableKey: `sb_publishable_${randomBytes(24).toString("base64url")}`,
    serviceToken: roleToken(jwtSecret, "service_role"),
    anonToken: roleToken(jwtSecret, "anon"),
    webhookSecret: `whsec_${randomBytes(32).toString("base64")}`
  }
}

/** A JSON Web Token (HS256) with which PostgREST switches to the role. */
export const roleToken = (secret: string, role: string): string => {
  const now = Math.floor(Date.now() / 1_000)
  const claims = part({ iss: "local stack", role, iat: now, exp: now + TEN_YEARS_IN_SECONDS })
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${claims}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
