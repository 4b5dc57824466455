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

/** Whether somebody who knows the secret signed exactly these bytes, lately: Standard Webhooks. */
export const isSigned = async (headers: Headers, body: Uint8Array): Promise<boolean> => {
  const id = headers.get("webhook-id")
  const timestamp = headers.get("webhook-timestamp")
  const given = headers.get("webhook-signature")
  if (!id || given === null || timestamp === null || !/^\d{1,12}$/.test(timestamp)) return false
  if (Math.abs(Math.trunc(Date.now() / 1000) - Number(timestamp)) > TOLERANCE_SECONDS) return false
  const prefix = utf8.encode(`${id}.${timestamp}.`)
  const signed = new Uint8Array(prefix.length + body.length)
  signed.set(prefix)
  signed.set(body, prefix.length)
  const key = await imported
  for (const part of given.split(" ", 8)) {
    const signature = part.startsWith("v1,") ? fromBase64(part.slice(3)) : undefined
    if (signature !== undefined && (await crypto.subtle.verify("HMAC", key, signature, signed))) return true
  }
  return false
}
