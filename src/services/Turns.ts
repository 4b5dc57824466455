import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds on a clock that nobody sets back. */
export const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

// Longer than the second of the limit, because calls that begin a second apart may arrive a little closer.
const windowMillis = 1_100

/**
 * Spaces calls so that they keep to a rate limit. Each call that waits has a turn of its own, so a limit that ends does
 * not let all of them go at once. Keeps its state in the process, which on Supabase is one isolate.
 *
 * By hand, because effect/persistence's RateLimiter is tagged unstable and adds 4 KB to the bundle, and a Semaphore
 * limits how many calls are under way, not how many begin in a second.
 *
 * **Shape** `perSecond` is the limit until `pace` says another one.
 */
export const make = (perSecond: number) => {
  let limit = perSecond
  let turns: ReadonlyArray<number> = []
  let closedUntil = Number.NEGATIVE_INFINITY

  return {
    /** How many calls may begin in a second. **Shape** a whole number above 0. */
    pace: (granted: number): void => {
      limit = granted
    },

    /** Nobody has a turn until then. **Units** monotonic milliseconds. */
    close: (until: number): void => {
      closedUntil = until
    },

    /**
     * Waits for a turn. Returns 0 when it has come, or how long it would take if that is later than `latest`: then no
     * turn was taken. Without `latest` it only looks whether turns are closed.
     *
     * **Units** milliseconds; `latest` is monotonic.
     */
    take: Effect.fnUntraced(function* (latest: number | undefined) {
      for (;;) {
        const now = yield* monotonicMillis
        if (latest === undefined) return Math.max(0, closedUntil - now)
        const turn = Math.max(now, closedUntil, (turns.at(-limit) ?? Number.NEGATIVE_INFINITY) + windowMillis)
        if (turn > Math.max(now, latest)) return turn - now
        turns = [...turns, turn].slice(-limit)
        if (turn > now) yield* Effect.sleep(turn - now)
        if (closedUntil <= turn) return 0
      }
    })
  }
}
