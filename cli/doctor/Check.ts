import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { QueryFailed } from "../Database.ts"
import { Facts, type Outbox } from "./Facts.ts"
import type { Probe } from "./Probe.ts"
import { notChecked, type Verdict, wrong } from "./Finding.ts"
import { Sources } from "./Sources.ts"

/** One line of the report. **Shape** `name` is one or two words, and an entry in docs/runbook.md. */
export interface Check {
  readonly name: string
  readonly check: Effect.Effect<Verdict, never, Sources | Facts | Probe>
}

export const needsDatabase = notChecked("--database-url")
export const needsKey = notChecked("--url and --key")
export const needsFunction = notChecked("an answer of the function")

/** What is missing to read the outbox. */
export const unseen = Effect.map(Sources, ({ project }) =>
  notChecked(Option.isSome(project) ? "an answer of --url" : "--database-url, or --url and --key")
)

const insufficientPrivilege = "42501"

/** The verdict if a query failed. */
export const refused = ({ code, message }: QueryFailed): Verdict =>
  code === insufficientPrivilege
    ? notChecked(`the role postgres in --database-url (${message})`)
    : wrong(message, "Run: npx pause-status upgrade, then npx supabase db push --remote. If it stays, report a bug.")

/** The rows of a query, or none without a database. */
export const rowsOf = <A, I>(row: Schema.Codec<A, I>, query: string) =>
  Effect.flatMap(Sources, ({ database }) =>
    Effect.transposeOption(Option.map(database, ({ read }) => read(row, query)))
  )

/** A check of one query's rows. */
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

/** A check of the outbox's state, read from the database or else through the Data API. */
export const ofOutbox = (name: string, judge: (outbox: Outbox) => Verdict): Check => ({
  name,
  check: Effect.flatMap(Facts, ({ outbox }) => outbox).pipe(
    Effect.flatMap(Option.match({ onNone: () => unseen, onSome: (outbox) => Effect.succeed(judge(outbox)) })),
    Effect.catch((failed) => Effect.succeed(refused(failed)))
  )
})
