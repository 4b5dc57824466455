import { createHmac, timingSafeEqual } from "node:crypto"
import { invalidToken, otherToken } from "./refusals.ts"

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
const signatureOf = (secret: string, signed: string): Buffer => createHmac("sha256", secret).update(signed).digest()
const seconds = (): number => Math.floor(Date.now() / 1_000)

/** The token of a signed URL: a JSON Web Token (HS256) that names the object. */
export const signObject = (secret: string, object: string, expiresIn: number): string => {
  const iat = seconds()
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ url: object, iat, exp: iat + expiresIn })}`
  return `${signed}.${signatureOf(secret, signed).toString("base64url")}`
}

/** Accepts a token that was made for the object and has not expired. */
export const checkToken = (secret: string, object: string, token: string): void => {
  const [header = "", claims = "", signature = ""] = token.split(".")
  const given = Buffer.from(signature, "base64url")
  const right = signatureOf(secret, `${header}.${claims}`)
  if (given.length !== right.length || !timingSafeEqual(given, right)) {
    throw invalidToken(token.split(".").length === 3 ? "signature verification failed" : "Invalid Compact JWS")
  }
  const { exp, url }: { readonly exp: number; readonly url: string } = JSON.parse(
    Buffer.from(claims, "base64url").toString()
  )
  if (exp <= seconds()) throw invalidToken('"exp" claim timestamp check failed')
  if (url !== object) throw otherToken()
}
