import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { canAsk } from "../ask.ts"
import { cannotRun } from "../Failure.ts"
import { ambiguous, defaults, qualified, Watched, wordsOf } from "./Watched.ts"

const named = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.optional, Flag.withDescription(description))

/** What to watch, as flags. The others are asked for. */
export const flags = {
  table: named("table", "The mentors' table, such as public.mentors"),
  key: named("key", "Its key column"),
  column: named("column", "The column that says active or paused"),
  active: named("active", "The words that mean active, separated by commas"),
  paused: named("paused", "The words that mean paused, separated by commas")
}

type Field = keyof typeof flags
type Given = Readonly<Record<Field, Option.Option<string>>>

const questions: Readonly<Record<Field, string>> = {
  table: "Which table has your mentors?",
  key: "Which column is its key?",
  column: "Which column says whether a mentor is active?",
  active: "Which words mean active? (separate several with commas)",
  paused: "Which words mean paused?"
}

const fields: ReadonlyArray<Field> = ["table", "key", "column", "active", "paused"]

const textOf = (watched: Watched, field: Field): string => [watched[field]].flat().join(", ")

const decode = Schema.decodeUnknownEffect(Watched)

/** What to watch: from the flags, else the last installation, else the answers, else the defaults. */
export const askWatched = Effect.fn("askWatched")(function* (
  given: Given,
  known: Option.Option<Watched>,
  goAhead: boolean
) {
  const isAsking = Option.isNone(known) && (yield* canAsk(goAhead))
  if (Option.isNone(known) && Option.isNone(given.table) && !isAsking && !goAhead)
    return yield* cannotRun(
      "Which table has your mentors?",
      `Pass --table, and if they differ --key, --column, --active and --paused; or --yes for ${defaults.table}.`
    )
  const before = Option.getOrElse(known, () => defaults)
  const answer = Effect.fnUntraced(function* (field: Field) {
    if (Option.isSome(given[field])) return given[field].value
    const proposed = textOf(before, field)
    if (!isAsking) return proposed
    // Not Prompt's own default, which you would have to delete to type another one.
    const typed = yield* Prompt.String({ message: `${questions[field]} [${proposed}]` })
    return typed.trim() === "" ? proposed : typed
  })
  const [table, key, column, active, paused] = yield* Effect.forEach(fields, answer)
  const watched = yield* decode({
    table: qualified((table ?? "").trim()),
    key: key?.trim(),
    column: column?.trim(),
    active: wordsOf(active ?? ""),
    paused: wordsOf(paused ?? "")
  }).pipe(Effect.mapError(({ message }) => cannotRun(message, "Correct the flag or the answer, and run this again.")))
  const [both] = ambiguous(watched)
  if (both !== undefined)
    return yield* cannotRun(`The word ${both} cannot mean both active and paused.`, "Correct --active or --paused.")
  return watched
})
