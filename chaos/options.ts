import { parseArgs } from "node:util"
import { HIGHEST_SEED, randomSeed, UsageError, wholeNumber } from "../local/commandLine.ts"
import { messageOf } from "../local/StackError.ts"

/** Kinds of fault that you can switch on separately. */
export const FAULTS = ["delivery", "order", "store", "kill", "rotation", "clock", "net"] as const
type FaultKind = (typeof FAULTS)[number]

export interface ChaosOptions {
  /** Approximate number of committed transitions. */
  readonly events: number
  readonly mentors: number
  readonly seed: number
  readonly faults: ReadonlyArray<FaultKind>
  /** Mails to coordinators and the three examples, instead of the second topic. */
  readonly examples?: boolean
  /** pg_net's worker stays down from the first change to the verdict. */
  readonly noNet: boolean
}

export interface CommandLine extends ChaosOptions {
  readonly output: "text" | "json" | "help"
  /** Whether to write this run's table to docs/benchmarks.md. */
  readonly write: boolean
  readonly verbose: boolean
}

export const USAGE = `npm run chaos                 random changes and injected faults; exits with 0 only if nothing is lost,
                              doubled or out of order

  --examples                  runs mails to coordinators and the examples order-created, inventory-low and
                              opportunity-stage
                              in place of the second topic
  --events <n>                approximate number of committed changes, all topics together (2000)
  --mentors <n>               number of mentors, and of orders, items or opportunities (100)
  --seed <n>                  repeats every decision of an earlier run (default: a new seed)
  --faults <kinds>            all, none, or a list of ${FAULTS.join(",")} (all)
  --no-net                    keeps pg_net's worker down to the end
  --write                     writes the report to docs/benchmarks.md, replacing the one there
  --json                      prints the report as one line of JSON
  --verbose                   prints the output of every process of the stack on stderr
  --help                      prints this help`

/** Reads the command line. Throws UsageError. */
export const parseOptions = (args: ReadonlyArray<string>): CommandLine => {
  const values = parse(args)
  return {
    events: wholeNumber("--events", values.events ?? "2000", 1, 1_000_000),
    mentors: wholeNumber("--mentors", values.mentors ?? "100", 1, 100_000),
    seed: values.seed === undefined ? randomSeed() : wholeNumber("--seed", values.seed, 1, HIGHEST_SEED),
    faults: kinds(values.faults ?? "all"),
    examples: values.examples,
    noNet: values["no-net"],
    output: values.help ? "help" : values.json ? "json" : "text",
    write: values.write,
    verbose: values.verbose
  }
}

/** The command that makes the same decisions again. */
export const replayCommand = ({ events, examples, faults, mentors, noNet, seed }: ChaosOptions): string => {
  const which = faults.length === FAULTS.length ? "" : ` --faults ${faults.length === 0 ? "none" : faults.join(",")}`
  return `npm run chaos --${examples ? " --examples" : ""} --events ${events} --mentors ${mentors} --seed ${seed}${which}${noNet ? " --no-net" : ""}`
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      options: {
        events: { type: "string" },
        mentors: { type: "string" },
        seed: { type: "string" },
        faults: { type: "string" },
        examples: { type: "boolean", default: false },
        "no-net": { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false, short: "h" },
        verbose: { type: "boolean", default: false }
      }
    }).values
  } catch (cause) {
    throw new UsageError(messageOf(cause))
  }
}

const kinds = (given: string): ReadonlyArray<FaultKind> => {
  if (given === "all") return FAULTS
  if (given === "none") return []
  const words = given.split(",")
  const unknown = words.filter((word) => !FAULTS.some((kind) => kind === word))
  if (unknown.length === 0) return FAULTS.filter((kind) => words.includes(kind))
  throw new UsageError(`--faults takes all, none, or a list of ${FAULTS.join(",")}; not ${unknown.join(",")}.`)
}
