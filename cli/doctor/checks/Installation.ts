import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { packageVersion } from "../../../src/schema/PackageVersion.ts"
import { type Check, inDatabase, needsDatabase, needsFunction, needsKey, refused, rowsOf } from "../Check.ts"
import { Facts } from "../Facts.ts"
import { count, ok, verdictOf, wrong, type Wrong } from "../Finding.ts"
import type { ReleaseFile } from "../../Release.ts"
import { Sources } from "../Sources.ts"

const applyAgain = "Run: npx pause-status upgrade, then npx supabase db push --remote"
const leastMajor = 15

const postgres = inDatabase("postgres", {
  query: "select current_setting('server_version') as version, current_setting('server_version_num')::int as number",
  row: Schema.Struct({ version: Schema.String, number: Schema.Int }),
  judge: (rows) =>
    verdictOf(
      rows.flatMap(({ number, version }) =>
        number >= leastMajor * 10_000
          ? []
          : { detail: `This is PostgreSQL ${version}.`, cure: `Upgrade to PostgreSQL ${leastMajor} or later.` }
      ),
      rows.map(({ version }) => `PostgreSQL ${version}`).join()
    )
})

interface Extension {
  readonly name: string
  readonly version: string | null
}

// pg_cron accepts schedules in seconds since 1.5. pg_net wakes at the commit since 0.8.
const wanted = [
  { name: "pgcrypto", schema: "extensions", least: [1] },
  { name: "pg_net", schema: "extensions", least: [0, 8] },
  { name: "pg_cron", schema: "pg_catalog", least: [1, 5] },
  { name: "supabase_vault", schema: "vault", least: [0, 2] }
]

const isOlder = (version: string, [major = 0, minor = 0]: ReadonlyArray<number>): boolean => {
  const [found = 0, then = 0] = version.split(".").map(Number)
  return found < major || (found === major && then < minor)
}

/** What is wrong with the extensions that are installed. */
export const judgeExtensions = (installed: ReadonlyArray<Extension>): ReadonlyArray<Wrong> =>
  wanted.flatMap(({ least, name, schema }) => {
    const version = installed.find((extension) => extension.name === name)?.version ?? null
    if (version === null) {
      const cure = `Run: create extension ${name} with schema ${schema}`
      return { detail: `The extension ${name} is not installed.`, cure }
    }
    return isOlder(version, least)
      ? { detail: `${name} is ${version}; ${least.join(".")} is needed.`, cure: `Run: alter extension ${name} update` }
      : []
  })

const extensions = inDatabase("extensions", {
  query: "select e.extname::text as name, e.extversion as version from pg_extension e order by 1",
  row: Schema.Struct({ name: Schema.String, version: Schema.String }),
  judge: (rows) => {
    const ours = new Set([...wanted.map(({ name }) => name), "http"])
    const seen = rows.flatMap(({ name, version }) => (ours.has(name) ? `${name} ${version}` : []))
    return verdictOf(judgeExtensions(rows), seen.join(", "))
  }
})

const functionOf = /\bcreate (?:or replace )?function ((?:outbox|public)\.\w+)\([\s\S]*?\bas (\$\w*\$)([\s\S]*?)\2/g

const md5 = (text: string): string => createHash("md5").update(text).digest("hex")

// install rewrites this one if the project has its own table or words.
const isWritten = ({ name }: ReleaseFile): boolean => name === "watch_mentors"

/** The functions that the migrations define, each with the MD5 of its body. The last definition counts. */
export const shippedFunctions = (migrations: ReadonlyArray<ReleaseFile>): ReadonlyMap<string, string> =>
  new Map(
    migrations
      .filter((file) => !isWritten(file))
      .flatMap(({ text }) =>
        [...text.matchAll(functionOf)].map(([, name = "", , body = ""]): [string, string] => [name, md5(body)])
      )
  )

const Routine = Schema.Struct({ name: Schema.String, body: Schema.String })

/** What is wrong with the functions in the database, compared with those of this version. */
export const judgeRoutines = (
  shipped: ReadonlyMap<string, string>,
  found: ReadonlyArray<typeof Routine.Type>
): ReadonlyArray<Wrong> => {
  const bodies = (name: string) => found.filter((routine) => routine.name === name).map(({ body }) => body)
  const differing = [...shipped].filter(([name, body]) => !bodies(name).includes(body)).map(([name]) => name)
  if (differing.length === 0) return []
  const [first = "", ...others] = differing
  const which = others.length === 0 ? `${first} is` : `${first} and ${count(others.length, "other function")} are`
  return [{ detail: `${which} not as in version ${packageVersion}.`, cure: applyAgain }]
}

const migrations: Check = {
  name: "migrations",
  check: Effect.gen(function* () {
    const shipped = shippedFunctions((yield* Sources).migrations)
    const found = yield* rowsOf(
      Routine,
      `select n.nspname || '.' || p.proname as name, md5(p.prosrc) as body
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('outbox', 'public')`
    )
    return Option.match(found, {
      onNone: () => needsDatabase,
      onSome: (rows) => verdictOf(judgeRoutines(shipped, rows), `as in version ${packageVersion}`)
    })
  }).pipe(Effect.catch((failed) => Effect.succeed(refused(failed))))
}

const functionVersion: Check = {
  name: "function version",
  check: Effect.gen(function* () {
    const answer = yield* (yield* Facts).functionVersion
    if (Option.isNone(answer)) return needsKey
    // If it does not answer, another check reports it.
    if (answer.value._tag !== "Answered") return needsFunction
    const { value } = answer.value
    return value === packageVersion
      ? ok(`the function is version ${value}`)
      : wrong(
          `The function is version ${value}; this is ${packageVersion}.`,
          "Deploy the functions of this version: npx supabase functions deploy --use-api"
        )
  })
}

export const checks: ReadonlyArray<Check> = [postgres, extensions, migrations, functionVersion]
