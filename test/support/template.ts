import { readdir, readFile } from "node:fs/promises"
import { Client } from "pg"
import { patienceMillis } from "./patience.ts"

const migrationsUrl = new URL("../../supabase/migrations/", import.meta.url)

/** The same server's database of another name. */
export const urlOf = (base: string, database: string): string => {
  const url = new URL(base)
  url.pathname = `/${database}`
  return url.href
}

export const opened = async (url: string): Promise<Client & AsyncDisposable> => {
  const client = new Client(url)
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

export interface MigrateOptions {
  readonly only?: ReadonlyArray<string>
  readonly replace?: readonly [pattern: RegExp, replacement: string]
}

/** Applies supabase/migrations in order, each file in one transaction. */
export const migrate = async (
  url: string,
  { only, replace: [pattern, replacement] = [/(?!)/, ""] }: MigrateOptions = {}
) => {
  const names = only ?? (await readdir(migrationsUrl)).filter((name) => name.endsWith(".sql")).toSorted()
  await using client = await opened(url)
  for (const name of names) {
    const text = await readFile(new URL(name, migrationsUrl), "utf8")
    await client.query("begin")
    await client.query(text.replace(pattern, replacement))
    await client.query("commit")
  }
}

/** Sessions that are still saying goodbye: Postgres itself waits for them, but for five seconds only. */
export const untilNobodyIsIn = async (adminUrl: string, name: string): Promise<void> => {
  await using admin = await opened(adminUrl)
  const deadline = performance.now() + patienceMillis
  for (let sessions = 1; sessions > 0 && performance.now() < deadline;) {
    const { rows } = await admin.query<{ sessions: number }>(
      "select count(*)::int as sessions from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
      [name]
    )
    sessions = rows[0]?.sessions ?? 0
  }
}

/** A migrated database that nobody enters: a copy of one is there sooner than one that is migrated. */
export const makeTemplate = async (stack: { readonly adminUrl: string; readonly databaseUrl: string }) => {
  const name = "migrated"
  await using admin = await opened(stack.adminUrl)
  await admin.query(`create database ${name} owner postgres`)
  await migrate(urlOf(stack.databaseUrl, name))
  await untilNobodyIsIn(stack.adminUrl, name)
  return name
}
