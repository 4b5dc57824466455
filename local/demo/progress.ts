import { readdirSync } from "node:fs"
import { join } from "node:path"
import type { Log, LogSource, StackLog } from "../log.ts"
import { findPackage, packageVersion } from "../packages.ts"
import { HANDLER, ORCHESTRATOR, SEND_EMAIL, type StackFunction } from "../stack.ts"
import type { Options } from "./options.ts"
import { dim, green, isTerminal, print, showStatus } from "./screen.ts"

interface Milestone {
  readonly source: LogSource
  /** The log line in which a process says that it is ready. */
  readonly line: RegExp
  readonly text: string
}

const migrations = join(import.meta.dirname, "../../supabase/migrations")

const denoVersion = (deno: Options["stack"]["deno"]): string => {
  const directory = deno === "current" ? findPackage("deno") : undefined
  return directory === undefined ? deno : packageVersion(directory)
}

const milestones = (
  deno: Options["stack"]["deno"],
  functions: ReadonlyArray<StackFunction>
): ReadonlyArray<Milestone> => {
  const version = denoVersion(deno)
  const count = readdirSync(migrations).filter((name) => name.endsWith(".sql")).length
  return [
    { source: "handler", line: /Listening on/, text: `Edge Function ${HANDLER} on Deno ${version}` },
    { source: "orchestrator", line: /Listening on/, text: `Edge Function ${ORCHESTRATOR} on Deno ${version}` },
    { source: `functions/${SEND_EMAIL}`, line: /Listening on/, text: `Edge Function ${SEND_EMAIL} on Deno ${version}` },
    ...functions.map(({ name }) => {
      return { source: `functions/${name}`, line: /Listening on/, text: `Edge Function ${name}` } as const
    }),
    { source: "postgres", line: /listening on IPv4.* port (\d+)/, text: "PostgreSQL 17 on port $1" },
    // PostgREST is started after the migrations.
    { source: "postgrest", line: /Starting PostgREST/, text: `${count} migrations applied` },
    { source: "net", line: /^ready$/, text: "pg_net (a stand-in)" },
    { source: "http", line: /^ready$/, text: "pgsql-http (a stand-in)" },
    { source: "cron", line: /^ready$/, text: "pg_cron (a stand-in)" },
    { source: "postgrest", line: /Schema cache loaded/, text: "PostgREST" }
  ]
}

const secondsSinceStart = (): string => (performance.now() / 1_000).toFixed(1)

/** Shows what has been reached. On a terminal, the next step replaces it. */
export const reached = (text: string): void => {
  if (isTerminal) showStatus(`${secondsSinceStart().padStart(5)} s  ${text}`)
  else print(`  ✓ ${secondsSinceStart().padStart(5)} s  ${text}`)
}

/** Says that everything is up. On a terminal, this replaces the steps. */
export const ready = (apiUrl: string): void =>
  print(`${green("✓")} Ready on ${apiUrl} ${dim(`after ${secondsSinceStart()} s`)}`)

/** Reads the milestones of a start from the processes' logs. */
export const followStart = (deno: Options["stack"]["deno"], functions: ReadonlyArray<StackFunction> = []): Log => {
  const ahead = new Set(milestones(deno, functions))
  return ({ source, text }: StackLog) => {
    for (const milestone of ahead) {
      const found = milestone.source === source ? milestone.line.exec(text) : null
      if (found === null) continue
      ahead.delete(milestone)
      reached(milestone.text.replace("$1", found[1] ?? ""))
    }
  }
}
