import * as Schema from "effect/Schema"

const identifier = '(?:[a-z_][a-z0-9_$]*|"[^"]+")'

const Words = Schema.NonEmptyArray(Schema.NonEmptyString)

/** The table of the mentors, and the words of its column that mean active and paused. */
export const Watched = Schema.Struct({
  table: Schema.String.check(
    Schema.isPattern(new RegExp(`^${identifier}\\.${identifier}$`), {
      message: 'the table must be <schema>.<table>, with double quotes around capitals: public."Mentors"'
    })
  ),
  key: Schema.NonEmptyString,
  column: Schema.NonEmptyString,
  active: Words,
  paused: Words
})
export type Watched = typeof Watched.Type

/** What the migrations watch by default. */
export const defaults: Watched = {
  table: "public.peer_mentor_profiles",
  key: "id",
  column: "status",
  active: ["active"],
  paused: ["paused"]
}

/** A name without a schema is in public. */
export const qualified = (table: string): string =>
  table.replaceAll(/"[^"]*"/g, "").includes(".") ? table : `public.${table}`

/** `ON_LEAVE, SICK` as two words. */
export const wordsOf = (text: string): ReadonlyArray<string> =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "")

const equivalence = Schema.toEquivalence(Watched)

export const isSame = (one: Watched, other: Watched): boolean => equivalence(one, other)

/** The words that would mean both active and paused. */
export const ambiguous = ({ active, paused }: Watched): ReadonlyArray<string> =>
  active.filter((word) => paused.includes(word))

const either = new Intl.ListFormat("en", { type: "disjunction" })

/** For people, one line each. */
export const describe = ({ active, column, key, paused, table }: Watched): ReadonlyArray<string> => [
  `  table    ${table}, with the key ${key}`,
  `  active   ${column} is ${either.format(active)}`,
  `  paused   ${column} is ${either.format(paused)}`
]
