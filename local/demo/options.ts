import { parseArgs } from "node:util"
import { examples } from "../examples.ts"
import { UsageError } from "../commandLine.ts"
import { messageOf } from "../StackError.ts"
import type { StackOptions } from "../stack.ts"

export interface Options {
  readonly mode: "tour" | "exit" | "json" | "help" | "example" | "recipes"
  /** The example to serve and run. */
  readonly example: string | undefined
  /** Whether the program ends by itself. */
  readonly isEnding: boolean
  readonly verbose: boolean
  readonly stack: Required<Pick<StackOptions, "apiPort" | "databasePort" | "deno" | "pacing">>
}

export const USAGE = `npm start                  starts everything, pauses a mentor, and stays up
npm start -- --recipes     prints more commands to try while it is up
npm start -- --exit        plays every scenario, prints a table, and exits
                           with 0 if all is as expected
npm start -- --example <name>
                           plays an example, and stays up without --exit;
                           ${examples.join(", ")}
npm start -- --json        prints one line of JSON with the addresses and keys,
                           and stays up

  --port <n>               port of the API: 54321, or with --exit or --json a
                           free one
  --db-port <n>            port of PostgreSQL: 54322, or a free one likewise
  --deno 2.1.4|current     Deno for the Edge Functions; hosted Supabase is
                           compatible with 2.1.4
  --pacing real|fast       fast leaves out pg_net's second between two batches
  --verbose                prints what each process logs, on stderr
  --help                   prints this

Times are milliseconds since the commit by PostgreSQL's clock, taken in triggers
that only npm start installs; those with ~ are from the handler's log.
Ctrl-C stops everything and removes the data; a second one does not wait.`

const SUPABASE_API_PORT = 54_321
const SUPABASE_DATABASE_PORT = 54_322
const HIGHEST_PORT = 65_535

/** Reads the command line. Throws UsageError. */
export const parseOptions = (args: ReadonlyArray<string>): Options => {
  const values = parse(args)
  if (values.exit && values.json) throw new UsageError("--exit and --json exclude each other.")
  if (values.example !== undefined && values.json) throw new UsageError("--example and --json exclude each other.")
  const example = values.example === undefined ? undefined : oneOf("--example", values.example, examples)
  const played = example !== undefined ? "example" : values.exit ? "exit" : values.json ? "json" : "tour"
  const mode = values.help ? "help" : values.recipes ? "recipes" : played
  const isTour = mode === "tour" || (mode === "example" && !values.exit)
  return {
    mode,
    example,
    isEnding: values.exit,
    verbose: values.verbose,
    stack: {
      apiPort: portOf("--port", values.port, isTour ? SUPABASE_API_PORT : 0),
      databasePort: portOf("--db-port", values["db-port"], isTour ? SUPABASE_DATABASE_PORT : 0),
      deno: oneOf("--deno", values.deno, ["2.1.4", "current"]),
      pacing: oneOf("--pacing", values.pacing, ["real", "fast"])
    }
  }
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        exit: { type: "boolean", default: false },
        example: { type: "string" },
        json: { type: "boolean", default: false },
        recipes: { type: "boolean", default: false },
        help: { type: "boolean", default: false, short: "h" },
        verbose: { type: "boolean", default: false },
        port: { type: "string" },
        "db-port": { type: "string" },
        deno: { type: "string" },
        pacing: { type: "string" }
      }
    }).values
  } catch (cause) {
    throw new UsageError(messageOf(cause))
  }
}

const portOf = (flag: string, given: string | undefined, fallback: number): number => {
  if (given === undefined) return fallback
  if (/^\d{1,5}$/.test(given) && Number(given) <= HIGHEST_PORT) return Number(given)
  throw new UsageError(`${flag} takes a port, a number from 0 (any free one) to ${HIGHEST_PORT}.`)
}

const oneOf = <const A extends string>(flag: string, given: string | undefined, words: ReadonlyArray<A>): A => {
  const found = words.find((word) => word === (given ?? words[0]))
  if (found === undefined) throw new UsageError(`${flag} takes one of: ${words.join(", ")}.`)
  return found
}
