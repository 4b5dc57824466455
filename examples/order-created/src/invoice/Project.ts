import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Fetch, supabaseSecretKeys, supabaseUrl } from "pause-status-webhook-handler/supabase"

const patience = "10 seconds"

/** How to call the project's REST services. */
export const connection = Effect.gen(function* () {
  const url = yield* supabaseUrl
  const [secret] = yield* supabaseSecretKeys
  const key = secret === undefined ? "" : Redacted.value(secret)
  return { url, fetch: yield* Fetch, headers: { apikey: key, authorization: `Bearer ${key}` } }
})

/** A call's answer, with a time limit. */
export const answerOf = <A, E>(
  run: (signal: AbortSignal) => PromiseLike<A>,
  onFailure: (detail: string) => E
): Effect.Effect<A, E> =>
  Effect.tryPromise({ try: run, catch: () => onFailure("no connection") }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(onFailure(`no answer within ${patience}`))
    })
  )
