import { parseArgs } from "node:util"
import { HIGHEST_SEED, randomSeed, UsageError, wholeNumber } from "../../local/commandLine.ts"
import type { DenoVersion } from "../../local/programs.ts"
import { messageOf } from "../../local/StackError.ts"
import type { FuzzOptions } from "./fuzz.ts"

export const USAGE = `npm run fuzz                  says odd, wrong and hostile things to the running function; exits with 0 only if
                              each was answered as documented and nobody was told of what is no event

  --inputs <n>                how many (20000)
  --minutes <n>               for how long, instead
  --seed <n>                  the same inputs as an earlier run; a new one when absent
  --only <n>                  only the input at this index
  --deno <version>            2.1.4, which hosted Supabase is compatible with, or current (2.1.4)
  --write                     keeps the report in docs/benchmarks.md, in place of the one there
  --help                      prints this`

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        inputs: { type: "string" },
        minutes: { type: "string" },
        seed: { type: "string" },
        only: { type: "string" },
        deno: { type: "string" },
        write: { type: "boolean", default: false },
        help: { type: "boolean", default: false, short: "h" }
      }
    }).values
  } catch (cause) {
    throw new UsageError(messageOf(cause))
  }
}

const whole = (flag: string, given: string, lowest: number) => wholeNumber(flag, given, lowest, HIGHEST_SEED)

const denoOf = (given: string): DenoVersion => {
  if (given === "2.1.4" || given === "current") return given
  throw new UsageError("--deno takes 2.1.4 or current.")
}

export interface CommandLine extends FuzzOptions {
  /** Whether docs/benchmarks.md gets the table of this run. */
  readonly write: boolean
}

/** The command that says the same again, for as long. */
export const replayCommand = ({ deno, from, seed, until }: FuzzOptions): string => {
  const what =
    from > 0 ? `--only ${from}` : "minutes" in until ? `--minutes ${until.minutes}` : `--inputs ${until.inputs}`
  return `npm run fuzz -- ${what} --seed ${seed}${deno === "2.1.4" ? "" : ` --deno ${deno}`}`
}

/** Reads the command line; "help" when that is all it asks for. Throws UsageError. */
export const parseOptions = (args: ReadonlyArray<string>): CommandLine | "help" => {
  const { deno: version, help, inputs, minutes, only, seed: given, write } = parse(args)
  if (help) return "help"
  const seed = given === undefined ? randomSeed() : whole("--seed", given, 1)
  const deno = denoOf(version ?? "2.1.4")
  if (only !== undefined) return { seed, deno, write, from: whole("--only", only, 0), until: { inputs: 1 } }
  return {
    seed,
    deno,
    write,
    from: 0,
    until:
      minutes === undefined
        ? { inputs: whole("--inputs", inputs ?? "20000", 1) }
        : { minutes: whole("--minutes", minutes, 1) }
  }
}
