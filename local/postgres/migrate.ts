import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Client, DatabaseError } from "pg"
import { messageOf, StackError } from "../StackError.ts"
import { withClient } from "./connect.ts"

const MIGRATION = /^(\d+)_(.+)\.sql$/

// The table in which the Supabase CLI keeps its record, so that both know what the other has applied.
const RECORD = `
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key,
    statements text[],
    name text
  )`

/** Applies the migrations that are not recorded yet, in order, each in a transaction. Returns their file names. */
export const migrate = (databaseUrl: string, directory: string): Promise<ReadonlyArray<string>> =>
  withClient(databaseUrl, async (client) => {
    const files = (await readdir(directory).catch(() => [])).filter((name) => MIGRATION.test(name)).toSorted()
    if (files.length === 0) return []
    await client.query(RECORD)
    const recorded = await client.query<{ version: string }>(
      "select version from supabase_migrations.schema_migrations"
    )
    const known = new Set(recorded.rows.map(({ version }) => version))
    const applied: Array<string> = []
    for (const file of files) {
      const [, version = "", name = ""] = MIGRATION.exec(file) ?? []
      if (known.has(version)) continue
      await apply(client, file, await readFile(join(directory, file), "utf8"), version, name)
      applied.push(file)
    }
    return applied
  })

const apply = async (client: Client, file: string, text: string, version: string, name: string): Promise<void> => {
  await client.query("begin")
  try {
    await client.query(text).catch((cause: unknown) => {
      throw new StackError(`${file}${lineOf(text, cause)}: ${messageOf(cause)}${hintOf(cause)}`)
    })
    await client.query(
      "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, $2, $3)",
      [version, [text], name]
    )
    await client.query("commit")
  } catch (cause) {
    await client.query("rollback").catch(() => {})
    throw cause
  }
}

const lineOf = (text: string, cause: unknown): string => {
  const position = cause instanceof DatabaseError ? Number(cause.position) : Number.NaN
  // Postgres counts characters, not JavaScript's UTF-16 units.
  return Number.isNaN(position)
    ? ""
    : `:${
        [...text]
          .slice(0, position - 1)
          .join("")
          .split("\n").length
      }`
}

const hintOf = (cause: unknown): string => {
  if (!(cause instanceof DatabaseError)) return ""
  return [cause.detail, cause.hint, cause.where]
    .filter((part) => part !== undefined && part !== "")
    .map((part) => `\n  ${part}`)
    .join("")
}
