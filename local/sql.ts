// SQL on the running stack: psql for machines that have none.
import { createInterface } from "node:readline/promises"
import { text } from "node:stream/consumers"
import { parseArgs } from "node:util"
import { DatabaseError, type QueryArrayResult } from "pg"
import type pg from "pg"
import { table } from "./demo/table.ts"
import { connect } from "./postgres/connect.ts"
import { newestRunning } from "./running.ts"
import { codeOf, messageOf, StackError } from "./StackError.ts"

const USAGE = `npm run sql                          opens a prompt on what npm start runs
npm run sql -- "select …"            runs this and prints the result
npm run sql < file.sql               runs a file
npm run sql -- --url postgresql://…  uses another database`

const MISUSED = 2

// As PostgreSQL prints them, because a Date would cut microseconds.
const asText = { getTypeParser: () => (value: string | Buffer) => value.toString() }

interface Arguments {
  readonly url: string | undefined
  readonly sql: string | undefined
}

const readArguments = (): Arguments | undefined => {
  try {
    const { values, positionals } = parseArgs({ options: { url: { type: "string" } }, allowPositionals: true })
    const [sql, ...others] = positionals
    return others.length > 0 ? undefined : { url: values.url, sql }
  } catch {
    return undefined
  }
}

const open = async (url: string): Promise<pg.Client> => {
  try {
    return await connect(url, "local sql")
  } catch (cause) {
    if (codeOf(cause) !== "ECONNREFUSED") throw cause
    throw new StackError("No database answers there. Is npm start still running?")
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

const runSql = async (client: pg.Client, sql: string): Promise<void> => {
  // Several statements at once give several results.
  const query = { text: sql, rowMode: "array" as const, types: asText }
  const results: Result | Array<Result> = await client.query<Array<unknown>>(query)
  for (const result of [results].flat()) show(result)
}

const LEAVE = new Set(["\\q", "quit", "exit"])

/** Runs each statement that is typed, up to its semicolon. */
const prompt = async (client: pg.Client, url: string): Promise<void> => {
  console.log(`Connected to ${new URL(url).host}. End a statement with ; and leave with Ctrl-D.`)
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: "sql> " })
  let typed = ""
  lines.prompt()
  for await (const line of lines) {
    if (LEAVE.has(line.trim())) break
    typed += `${line}\n`
    const isWhole = typed.trim() === "" || typed.trimEnd().endsWith(";")
    if (isWhole) {
      await runSql(client, typed).catch((cause: unknown) => console.error(explain(cause)))
      typed = ""
    }
    lines.setPrompt(isWhole ? "sql> " : "  -> ")
    lines.prompt()
  }
  lines.close()
}

const run = async ({ sql, url = "" }: Arguments): Promise<void> => {
  const found = url === "" ? (await newestRunning()).databaseUrl : url
  const client = await open(found)
  client.on("notice", ({ message }) => console.error(message))
  try {
    if (sql !== undefined) await runSql(client, sql)
    else if (process.stdin.isTTY) await prompt(client, found)
    else await runSql(client, await text(process.stdin))
  } finally {
    await client.end()
  }
}

const given = readArguments()
if (given === undefined) {
  console.error(USAGE)
  process.exitCode = MISUSED
} else {
  try {
    await run(given)
  } catch (cause) {
    console.error(explain(cause))
    process.exitCode = 1
  }
}
