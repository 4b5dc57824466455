import { webhookSecret } from "./settings.ts"

const TOLERANCE_SECONDS = 300
const utf8 = new TextEncoder()

const fromBase64 = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

const imported = crypto.subtle.importKey(
  "raw",
  fromBase64(webhookSecret.slice("whsec_".length)) ?? new Uint8Array(),
  { name: "HMAC", hash: "SHA-256" },
  false,
  ["verify"]
)

/** Seconds between now and the signed time. Undefined if the signature is not valid for these bytes. */
const signedSkew = async (headers: Headers, body: Uint8Array): Promise<number | undefined> => {
  const id = headers.get("webhook-id")
  const timestamp = headers.get("webhook-timestamp")
  const given = headers.get("webhook-signature")
  if (!id || given === null || timestamp === null || !/^\d{1,12}$/.test(timestamp)) return undefined
  const skewSeconds = Math.trunc(Date.now() / 1000) - Number(timestamp)
  const prefix = utf8.encode(`${id}.${timestamp}.`)
  const signed = new Uint8Array(prefix.length + body.length)
  signed.set(prefix)
  signed.set(body, prefix.length)
  const key = await imported
  for (const part of given.split(" ", 8)) {
    const signature = part.startsWith("v1,") ? fromBase64(part.slice(3)) : undefined
    if (signature !== undefined && (await crypto.subtle.verify("HMAC", key, signature, signed))) return skewSeconds
  }
  return undefined
}

/** What is wrong with a signature, according to Standard Webhooks. */
export const signatureProblem = async (headers: Headers, body: Uint8Array) => {
  const skewSeconds = await signedSkew(headers, body)
  if (skewSeconds === undefined) return { code: "unauthorized" } as const
  return Math.abs(skewSeconds) > TOLERANCE_SECONDS ? ({ code: "stale_signature", skewSeconds } as const) : undefined
}
