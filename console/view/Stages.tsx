import type { Stage } from "../model/stages.ts"
import { duration, plural } from "../model/words.ts"

const WORDS = { done: "", now: "now", waiting: "", failed: "" } as const

/** What is known of a step: people, milliseconds, or only that it was reached. */
export const valueOf = ({ after, name, people, state }: Stage): string => {
  if (people !== undefined) return people === 0 ? "nobody" : plural(people, "person", "people")
  if (name === "Committed" || after === undefined) return WORDS[state]
  return `+${duration(after)}`
}

const SPOKEN = { done: "done", now: "under way", waiting: "not yet", failed: "failed" } as const

export const StageMark = ({ stage }: { readonly stage: Stage }) => (
  <span class={`stage ${stage.state}`}>
    <i role="img" aria-label={SPOKEN[stage.state]} />
    {valueOf(stage)}
  </span>
)
