import type { Stage } from "../model/stages.ts"
import { duration, plural } from "../model/words.ts"

interface Props {
  readonly stage: Stage
  /** Shown instead of the stage's own text. */
  readonly text?: string
}

const WORDS = { done: "", now: "now", waiting: "", failed: "" } as const

/** The text of a step: people, milliseconds, or only that it was reached. */
const valueOf = ({ after, name, people, state }: Stage): string => {
  if (people !== undefined) return people === 0 ? "nobody" : plural(people, "person", "people")
  if (name === "Committed" || after === undefined) return WORDS[state]
  return `+${duration(after)}`
}

const SPOKEN = { done: "done", now: "in progress", waiting: "not yet", failed: "failed" } as const

export const StageMark = ({ stage, text = valueOf(stage) }: Props) => (
  <span class={`stage ${stage.state}`}>
    <i role="img" aria-label={SPOKEN[stage.state]} />
    {text}
  </span>
)
