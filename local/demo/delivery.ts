import { createHmac } from "node:crypto"

/** One HTTP attempt to the handler. */
export interface Delivery {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface Reply {
  readonly status: number
  /** The members of the JSON body. */
  readonly body: Readonly<Record<string, unknown>>
}

const PREFIX = "whsec_"

/** A new signature by Standard Webhooks 1.0.0. It is valid for five minutes. */
export const sign = (secret: string, id: string, body: string): Delivery => {
  const timestamp = `${Math.floor(Date.now() / 1_000)}`
  const signature = createHmac("sha256", Buffer.from(secret.slice(PREFIX.length), "base64"))
    .update(`${id}.${timestamp}.${body}`)
    .digest("base64")
  return {
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`
    },
    body
  }
}

/** A database webhook's payload for one status change, without the outbox's event id and version. */
export const stockPayload = (mentorId: string, oldStatus: string, newStatus: string, updatedAt: string): object => ({
  type: "UPDATE",
  table: "peer_mentor_profiles",
  schema: "public",
  record: { id: mentorId, status: newStatus, updated_at: updatedAt },
  old_record: { id: mentorId, status: oldStatus }
})

export const deliver = async (url: string, { body, headers }: Delivery): Promise<Reply> => {
  const response = await fetch(url, { method: "POST", headers, body })
  return { status: response.status, body: await response.json() }
}
