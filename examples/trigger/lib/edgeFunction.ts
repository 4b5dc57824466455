import { AbortTaskRunError } from "@trigger.dev/sdk"
import { project } from "./database.ts"
import { isObject } from "./json.ts"

const mayPass = (status: number): boolean => status >= 500 || status === 408 || status === 425 || status === 429

/** Calls an Edge Function of the project. A refusal ends the run; the run retries anything temporary. */
export const callFunction = async (
  name: string,
  body: unknown,
  idempotencyKey: string
): Promise<Readonly<Record<string, unknown>>> => {
  const { key, url } = project()
  const response = await fetch(new URL(`/functions/v1/${name}`, url), {
    method: "POST",
    headers: { "content-type": "application/json", apikey: key, "idempotency-key": idempotencyKey },
    body: JSON.stringify(body)
  })
  const answer: unknown = await response.json().catch(() => undefined)
  const said = isObject(answer) ? answer : {}
  if (response.ok) return said
  const message = `${name} answered ${response.status}: ${String(said["detail"] ?? said["error"] ?? "no reason given")}`
  if (!mayPass(response.status) || said["retryable"] === false) throw new AbortTaskRunError(message)
  throw new Error(message)
}
