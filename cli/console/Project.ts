import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { cannotRun } from "../Failure.ts"
import { functionNames } from "../Release.ts"

/** The project that the console shows. `url` is the function's, without a slash at the end. */
export interface Project {
  readonly url: string
  readonly key: Redacted.Redacted<string>
  /** Where a local stand-in for Resend lists its mails. */
  readonly mailsUrl?: string
  readonly readOnly: boolean
}

const isLoopback = ({ hostname }: URL) => /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)

/** A local project. The console may ask it more often, because its calls cost nothing. */
export const isLocal = ({ url }: Project): boolean => isLoopback(new URL(url))

/** The function's URL, from the function's or the project's URL. */
export const functionUrl = Effect.fnUntraced(function* (text: string) {
  const example = "It looks like this: https://<ref>.supabase.co"
  if (!URL.canParse(text)) return yield* cannotRun(`--url is no URL: ${text}`, example)
  const url = new URL(text)
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url))) {
    return yield* cannotRun("--url must begin with https://, because the key is sent there.", example)
  }
  const path = url.pathname.replace(/\/api\/v1\/webhooks.*$/, "").replace(/\/+$/, "")
  return `${url.origin}${path === "" ? `/functions/v1/${functionNames[0]}` : path}`
})
