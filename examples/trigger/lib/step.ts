import { database } from "./database.ts"

/**
 * Runs one step of a job once. Its receipt is stored under `eventId/step`, so a retry, a redrive or a second run skips
 * it. `work` gets the same text as its idempotency key, in case of a crash between the work and its receipt.
 */
export const step = async (
  eventId: string,
  name: string,
  work: (key: string) => Promise<Readonly<Record<string, unknown>>>
): Promise<Readonly<Record<string, unknown>>> => {
  const key = `${eventId}/${name}`
  const steps = database().from("job_steps")
  const known = await steps.select("receipt").eq("key", key).maybeSingle()
  if (known.error !== null) throw new Error(`job_steps: ${known.error.message}`)
  if (known.data !== null) return known.data["receipt"]
  const receipt = await work(key)
  const kept = await steps.upsert({ key, receipt }, { onConflict: "key", ignoreDuplicates: true })
  if (kept.error !== null) throw new Error(`job_steps: ${kept.error.message}`)
  return receipt
}
