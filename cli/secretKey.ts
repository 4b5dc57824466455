import * as Config from "effect/Config"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { cannotRun } from "./Failure.ts"

/** One of a project's secret keys. */
export const keyFlag = Flag.Redacted("key").pipe(
  Flag.withFallbackConfig(Config.Redacted("SUPABASE_SECRET_KEY")),
  Flag.optional,
  Flag.withDescription("One of its secret keys; or SUPABASE_SECRET_KEY")
)

export const whereKeysAre = "In the dashboard, it is under Settings, API Keys: sb_secret_…"

/** The key as it is sent, without spaces around it. Fails if there is none, or if no HTTP header can contain it. */
export const secretKey = Effect.fnUntraced(function* (given: Option.Option<Redacted.Redacted<string>>) {
  if (Option.isNone(given))
    return yield* cannotRun("There is no key.", `Pass --key or set SUPABASE_SECRET_KEY. ${whereKeysAre}`)
  const key = Redacted.value(given.value).trim()
  if (!/^[!-~]+$/.test(key))
    return yield* cannotRun("The key is empty, or has a space, a line break or a character no key has.", whereKeysAre)
  return Redacted.make(key)
})
