import type { Random } from "./random.ts"
import type { Tally } from "./Tally.ts"

// The handler refuses a signature that is more than five minutes away from its own clock.
const TOLERATED_SECONDS = 240
const REFUSED_SECONDS = [400, 4_000] as const
const CORRECTED_AFTER_MILLISECONDS = 2_000

/** A script that shifts the clock by so many seconds, and at first, optionally, by another number of seconds. */
export const shifted = (
  seconds: number,
  until?: { readonly milliseconds: number; readonly seconds: number }
): string => `
const now = Date.now
const startedAt = performance.now()
Date.now = () => now() + ${
  until === undefined
    ? seconds * 1_000
    : `(performance.now() - startedAt < ${until.milliseconds} ? ${until.seconds * 1_000} : ${seconds * 1_000})`
}
`

/** A handler's clock at its start, as a script that runs before it: correct, wrong, or wrong until it is set. */
export const wrongClocks = (random: Random, injected: Tally): (() => string | undefined) => {
  const kinds = {
    right: () => undefined,
    "clock behind": () => shifted(-random.int(1, TOLERATED_SECONDS)),
    "clock ahead": () => shifted(random.int(1, TOLERATED_SECONDS)),
    "clock far off, then set": () =>
      shifted(random.int(-TOLERATED_SECONDS, TOLERATED_SECONDS), {
        milliseconds: CORRECTED_AFTER_MILLISECONDS,
        seconds: random.int(...REFUSED_SECONDS) * random.pick([-1, 1])
      })
  } satisfies Record<string, () => string | undefined>
  const draw = random.drawing(Object.entries(kinds))
  return () => {
    const [kind, script] = draw()
    if (kind !== "right") injected.add(kind)
    return script()
  }
}
