import type * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** The call was not made. **Units** `retryAfterSeconds` until one is. */
export class CircuitOpen extends Data.TaggedError("CircuitOpen")<{
  readonly retryAfterSeconds: number
}> {}

/** How a call ended, as the breaker counts it. **Units** `retryAfterSeconds` the callee's own wish for a pause. */
export type Verdict =
  | { readonly failed: false }
  | { readonly failed: true; readonly retryAfterSeconds?: number | undefined }

// Whatever the callee asks for, it is asked again after this long.
const longestOpenMillis = 300_000

type State =
  | { readonly _tag: "Closed"; readonly failures: number }
  | { readonly _tag: "Open"; readonly until: number }
  | { readonly _tag: "Probing" }

/**
 * Stops calling what failed a number of times in a row; after a pause one call probes, and its success closes the
 * circuit again. Keeps its state in the process, which on Supabase is one isolate.
 *
 * By hand, because effect/persistence's CircuitBreaker is tagged experimental and adds 31 KB to the bundle (it brings
 * Stream and Redis); larger apps put theirs around OrchestratorClient instead.
 *
 * **Units** `openMillis` milliseconds; a longer wish of the callee is granted, up to five minutes.
 */
export const make = (options: { readonly failures: number; readonly openMillis: number }) => {
  let state: State = { _tag: "Closed", failures: 0 }

  const open = (now: number, retryAfterSeconds = 0): State => ({
    _tag: "Open",
    until: now + Math.max(options.openMillis, Math.min(retryAfterSeconds * 1000, longestOpenMillis))
  })

  const admit = (now: number): number => {
    switch (state._tag) {
      case "Closed":
        return 0
      case "Probing":
        return options.openMillis
      case "Open":
        if (state.until > now) return state.until - now
        state = { _tag: "Probing" }
        return 0
    }
  }

  const record = (verdict: Verdict, now: number): void => {
    if (!verdict.failed) {
      state = { _tag: "Closed", failures: 0 }
      return
    }
    const failures = state._tag === "Closed" ? state.failures + 1 : options.failures
    state = failures >= options.failures ? open(now, verdict.retryAfterSeconds) : { _tag: "Closed", failures }
  }

  return {
    /** Makes the call, or fails with CircuitOpen. A call that is interrupted or dies counts as failed. */
    protect: <A, R>(call: Effect.Effect<A, never, R>, judge: (value: A) => Verdict): Effect.Effect<A, CircuitOpen, R> =>
      Effect.clockWith((clock: Clock.Clock): Effect.Effect<A, CircuitOpen, R> => {
        const waitMillis = admit(clock.currentTimeMillisUnsafe())
        if (waitMillis > 0) return new CircuitOpen({ retryAfterSeconds: Math.ceil(waitMillis / 1000) })
        return Effect.onExit(call, (exit) =>
          Effect.sync(() =>
            record(exit._tag === "Success" ? judge(exit.value) : { failed: true }, clock.currentTimeMillisUnsafe())
          )
        )
      })
  }
}
