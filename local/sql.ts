// Runs one piece of SQL on the running stack and prints what comes back: psql for machines that have none.
import { parseArgs } from "node:util"
import { DatabaseError, type QueryArrayResult } from "pg"
import type pg from "pg"
import { table } from "./demo/table.ts"
import { connect } from "./postgres/connect.ts"
import { codeOf, messageOf, StackError } from "./StackError.ts"

const USAGE = `Usage: node local/sql.ts [--url postgresql://…] "select …"
Without --url the environment's DATABASE_URL is used; npm start prints both.`

// As PostgreSQL writes them: a Date would cut microseconds off.
const asText = { getTypeParser: () => (value: string | Buffer) => value.toString() }

const readArguments = (): { readonly url: string; readonly sql: string } | undefined => {
  try {
    const { values, positionals } = parseArgs({ options: { url: { type: "string" } }, allowPositionals: true })
    const url = values.url ?? process.env["DATABASE_URL"]
    const [sql, ...others] = positionals
    return url === undefined || sql === undefined || others.length > 0 ? undefined : { url, sql }
  } catch {
    return undefined
  }
}

const open = async (url: string): Promise<pg.Client> => {
  try {
    return await connect(url, "local sql")
  } catch (cause) {
    if (codeOf(cause) !== "ECONNREFUSED") throw cause
    throw new StackError("Nobody answers there. Run npm start in another terminal, and take the URL that it prints.")
  }
}

type Result = QueryArrayResult<Array<unknown>>

const show = ({ command, fields, rowCount, rows }: Result): void => {
  if (fields.length === 0) return console.log([command, rowCount].filter((part) => part !== null).join(" "))
  const cells = rows.map((row) => row.map((value) => (value === null ? "" : String(value))))
  console.log(
    table(
      fields.map(({ name }) => name),
      cells
    )
  )
  console.log(`(${rows.length} ${rows.length === 1 ? "row" : "rows"})`)
}

const explain = (cause: unknown): string =>
  cause instanceof DatabaseError
    ? [cause.message, cause.detail, cause.hint].filter((part) => part !== undefined).join("\n")
    : messageOf(cause)

const given = readArguments()
if (given === undefined) {
  console.error(USAGE)
  process.exitCode = 2
} else {
  try {
    const client = await open(given.url)
    client.on("notice", ({ message }) => console.error(message))
    try {
      // Several statements at once give several results.
      const query = { text: given.sql, rowMode: "array" as const, types: asText }
      const results: Result | Array<Result> = await client.query<Array<unknown>>(query)
      for (const result of [results].flat()) show(result)
    } finally {
      await client.end()
    }
  } catch (cause) {
    console.error(explain(cause))
    process.exitCode = 1
  }
}
