import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { QueryFailed } from "../Database.ts"
import { Facts, type Outbox } from "./Facts.ts"
import type { Probe } from "./Probe.ts"
import { notChecked, type Verdict, wrong } from "./Finding.ts"
import { Sources } from "./Sources.ts"

/** One line of the report. **Shape** `name` is one or two words; docs/runbook.md has an entry of that name. */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<Verdict, never, Sources | Facts | Probe>
}

export const needsDatabase = notChecked("--database-url")
export const needsKey = notChecked("--url and --key")
export const needsFunction = notChecked("an answer of the function")

/** What the outbox was asked for, and did not say. */
export const unseen = Effect.map(Sources, ({ project }) =>
  notChecked(Option.isSome(project) ? "an answer of --url" : "--database-url, or --url and --key")
)

const insufficientPrivilege = "42501"

/** What it means that a query failed. */
export const refused = ({ code, message }: QueryFailed): Verdict =>
  code === insufficientPrivilege
    ? notChecked(`the role postgres in --database-url (${message})`)
    : wrong(message, "Run: npx pause-status upgrade, then npx supabase db push --remote. If it stays, report a bug.")

/** The rows of a query, or none without a database. */
export const rowsOf = <A, I>(row: Schema.Codec<A, I>, query: string) =>
  Effect.flatMap(Sources, ({ database }) =>
    Effect.transposeOption(Option.map(database, ({ read }) => read(row, query)))
  )

/** A check of what one query returns. */
export const inDatabase = <A, I>(
  name: string,
  {
    judge,
    query,
    row
  }: {
    readonly query: string
    readonly row: Schema.Codec<A, I>
    readonly judge: (rows: ReadonlyArray<A>) => Verdict
  }
): Check => ({
  name,
  check: rowsOf(row, query).pipe(
    Effect.map(Option.match({ onNone: () => needsDatabase, onSome: judge })),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
})

/** A check of how the outbox stands, as the database says or else the Data API. */
export const ofOutbox = (name: string, judge: (outbox: Outbox) => Verdict): Check => ({
  name,
  check: Effect.flatMap(Facts, ({ outbox }) => outbox).pipe(
    Effect.flatMap(Option.match({ onNone: () => unseen, onSome: (outbox) => Effect.succeed(judge(outbox)) })),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
})
