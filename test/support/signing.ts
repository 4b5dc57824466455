import { createHmac } from "node:crypto"
import { Schema } from "effect"
import { Webhook } from "standardwebhooks"
import type { Delivery } from "../../src/services/SignatureVerifier.ts"

export const secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
export const otherSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
export const hexSecret = "a hex secret, of any text"
export const staticSecret = "a static secret, of any text"

/** What a header can hold, by the rules of HTTP. */
export const HeaderText = Schema.String.check(Schema.isPattern(/^[\x20-\x7e\x80-\xff]*$/))

export type Headers = Readonly<Record<string, string>>

export interface Signing {
  readonly id: string
  readonly seconds: number
  readonly secret?: string
}

/** What Standard Webhooks' own library signs. */
export const signature = (body: Uint8Array, { id, seconds, secret: key = secret }: Signing): string =>
  new Webhook(key).sign(id, new Date(seconds * 1000), Buffer.from(body).toString())

export const standardHeaders = (body: Uint8Array, signing: Signing): Headers => ({
  "webhook-id": signing.id,
  "webhook-timestamp": String(signing.seconds),
  "webhook-signature": signature(body, signing)
})

export const hexHeaders = (body: Uint8Array, seconds: number, key = hexSecret): Headers => ({
  "x-webhook-timestamp": String(seconds),
  "x-webhook-signature": createHmac("sha256", key).update(`${seconds}.`).update(body).digest("hex")
})

export const deliveryOf = (body: Uint8Array, headers: Headers): Delivery => ({
  header: (name) => headers[name],
  body
})
