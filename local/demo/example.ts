import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type pg from "pg"
import { withClient } from "../postgres/connect.ts"
import type { Stack } from "../stack.ts"
import type { Lifetime } from "./lifetime.ts"
import { bold, dim, green, indent, print, red, screenWidth } from "./screen.ts"
import { table, wrap } from "./table.ts"
import { until } from "./until.ts"

/** One step of an example's tour. **Shape** `says` is empty if it belongs to the step before. */
interface Act {
  readonly says: string
  readonly sql: string
}

interface Ended {
  readonly event_id: string
  readonly key: string
  readonly status: string
  readonly claims: number
  readonly milliseconds: string
  readonly error: string | null
}

const CELL = 46
const folder = join(import.meta.dirname, "../../examples")

const isSaid = (line: string): boolean => line.startsWith("-- ")

/** Reads a tour.sql: statements separated by empty lines, each below its explanation. */
const readTour = (text: string): ReadonlyArray<Act> =>
  text
    .trim()
    .split(/\n\n+/)
    .map((block) => {
      const lines = block.split("\n")
      const says = lines.filter(isSaid).map((line) => line.slice("-- ".length))
      return { says: says.join(" "), sql: lines.filter((line) => !isSaid(line)).join("\n") }
    })

// As PostgreSQL prints it, because a float would invent digits and a Date would lose some.
const asText = { getTypeParser: () => (value: string | Buffer) => value.toString() }

const EVENTS = `
  select event_id, key, status, claim_token::int as claims, regexp_replace(last_error, '^permanent: ', '') as error,
    round(extract(epoch from completed_at - created_at) * 1000)::text as milliseconds
  from outbox.events where topic = $1 order by created_at, key`

const isSettled = ({ status }: Ended): boolean => status === "completed" || status === "failed"

const endOf = ({ claims, event_id, status }: Ended): string => `${event_id} ${status} ${claims}`

const describe = ({ error, key, milliseconds, status }: Ended): string =>
  status === "completed"
    ? `${green("✓")} ${key.slice(0, 8)} handled ${milliseconds} ms after the commit`
    : `${red("✗")} ${key.slice(0, 8)} is a dead letter:\n${indent(wrap(error ?? "", screenWidth() - 6).join("\n"))}`

/** Runs an example's tour on a stack that serves it. */
export const playExample = async (stack: Stack, name: string, lifetime: Lifetime): Promise<void> => {
  const acts = readTour(await readFile(join(folder, name, "tour.sql"), "utf8"))
  await withClient(stack.databaseUrl, async (client) => {
    const reported = new Set<string>()
    for (const act of acts) {
      if (act.says !== "") print(`\n${bold(wrap(act.says, screenWidth()).join("\n"))}`)
      print(`\n${dim(indent(act.sql))}`)
      await show(client, act.sql)
      await reportEnded(client, name, reported, lifetime)
      if (lifetime.signal.aborted) return
    }
  })
  print(`\nIn another terminal: npm run -s sql -- "select * from outbox.events"`)
  print(`Console: ${stack.apiUrl}/`)
  if (await hasMails(stack)) print(`Mails:   ${stack.resendUrl}`)
}

const hasMails = async ({ resendUrl }: Stack): Promise<boolean> =>
  (await (await fetch(`${resendUrl}/mails.json`)).text()) !== "[]"

const show = async (client: pg.Client, sql: string): Promise<void> => {
  const { fields, rows } = await client.query<Array<unknown>>({ text: sql, rowMode: "array", types: asText })
  if (fields.length === 0) return
  const cells = rows.map((row) => row.map((value) => (value === null ? "" : String(value))))
  const head = fields.map(({ name }) => name)
  print(`\n${indent(table(head, cells, { widths: head.map(() => CELL), styleHead: dim }))}`)
}

const reportEnded = async (
  client: pg.Client,
  topic: string,
  reported: Set<string>,
  { signal }: Lifetime
): Promise<void> => {
  const events = await until(
    "every event to be settled",
    signal,
    async () => (await client.query<Ended>(EVENTS, [topic])).rows,
    (found) => found.every(isSettled),
    (found) => JSON.stringify(found)
  )
  const fresh = events.filter((event) => !reported.has(endOf(event)))
  if (fresh.length > 0) print(`\n${indent(fresh.map(describe).join("\n"))}`)
  for (const event of fresh) reported.add(endOf(event))
}
