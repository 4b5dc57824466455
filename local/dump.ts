// Writes docs/schema.sql: the catalog after the migrations, in a fixed order and without anything that depends on the
// machine, so that a change of the schema shows in a diff. The embedded programs do not include pg_dump.
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { connect } from "./postgres/connect.ts"
import { startStack } from "./stack.ts"

export const dumpFile = join(import.meta.dirname, "..", "docs", "schema.sql")

/** The schema of a migrated database as text. */
export const dumpSchema = async (databaseUrl: string): Promise<string> => {
  const query = await readFile(join(import.meta.dirname, "dump.sql"), "utf8")
  const client = await connect(databaseUrl, "dump")
  try {
    const { rows } = await client.query<{ text: string }>(query)
    const header = "-- Written by npm run db:dump from supabase/migrations. Do not edit."
    return `${[header, ...rows.map(({ text }) => text)].join("\n\n")}\n`
  } finally {
    await client.end()
  }
}

if (import.meta.main) {
  const stack = await startStack()
  try {
    await writeFile(dumpFile, await dumpSchema(stack.databaseUrl))
    console.log(`wrote ${dumpFile}`)
  } finally {
    await stack.stop()
  }
}
