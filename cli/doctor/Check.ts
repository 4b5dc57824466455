import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Facts } from "./Facts.ts"
import type { Probe } from "./Probe.ts"
import { notChecked, type Verdict, wrong } from "./Finding.ts"
import { type QueryFailed, Sources } from "./Sources.ts"

/** One line of the report. **Shape** `name` is one or two words; docs/runbook.md has an entry of that name. */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<Verdict, never, Sources | Facts | Probe>
}

export const needsDatabase = notChecked("--database-url")
export const needsKey = notChecked("--url and --key")

const insufficientPrivilege = "42501"

/** What it means that a query failed. */
export const refused = ({ code, detail }: QueryFailed): Verdict =>
  code === insufficientPrivilege
    ? notChecked(`the role postgres in --database-url (${detail})`)
    : wrong(detail, "Apply the migrations of this version again. If it stays, report it as a bug.")

/** The rows of a query, decoded. A row of another shape is a defect of the query. */
export const rowsOf = <A>(row: Schema.Decoder<A>, query: string) => {
  const decode = Schema.decodeUnknownEffect(Schema.Array(row))
  return Effect.fnUntraced(function* () {
    const { database } = yield* Sources
    if (Option.isNone(database)) return Option.none<ReadonlyArray<A>>()
    return Option.some(yield* Effect.orDie(decode(yield* database.value.read(query))).pipe(Effect.withSpan("rowsOf")))
  })()
}

/** A check of what one query returns. */
export const inDatabase = <A>(
  name: string,
  { judge, query, row }: {
    readonly query: string
    readonly row: Schema.Decoder<A>
    readonly judge: (rows: ReadonlyArray<A>) => Verdict
  }
): Check => ({
  name,
  check: rowsOf(row, query).pipe(
    Effect.map(Option.match({ onNone: () => needsDatabase, onSome: judge })),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
})
