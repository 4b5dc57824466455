// npm run chaos: exits with 0 only if nothing was lost, doubled or out of order.
import { buildFunctions } from "../build.ts"
import { UsageError } from "../local/commandLine.ts"
import { keepFigures } from "../local/benchmarksPage.ts"
import { environment } from "../local/environment.ts"
import { messageOf } from "../local/StackError.ts"
import { type Progress, runChaos } from "./chaos.ts"
import { type ChaosOptions, parseOptions, replayCommand, USAGE } from "./options.ts"
import { printable, section } from "./report.ts"

const [BROKEN, MISUSED] = [1, 2]

const progressLine = (isTerminal: boolean) => {
  const everySeconds = isTerminal ? 1 : 5
  let due = 0
  return ({ changes, deadLetters, faults, kills, phase, seconds, unsettled }: Progress): void => {
    if (seconds < due) return
    due = seconds + everySeconds
    const counts = `${changes.toFixed(0)} committed, ${unsettled} unsettled, ${deadLetters} dead, ${faults} faults, ${kills} kills`
    process.stderr.write(`${seconds.toFixed(0).padStart(4)} s  ${phase.padEnd(7)}  ${counts}\n`)
  }
}

/** Where docs/benchmarks.md has the report of such a run. */
const placeOf = ({ examples, noNet }: Pick<ChaosOptions, "examples" | "noNet">): string => {
  if (noNet) return "chaos: pg_net off"
  return examples ? "chaos: examples" : "chaos"
}

const run = async (args: ReadonlyArray<string>): Promise<number> => {
  const options = parseOptions(args)
  if (options.output === "help") {
    console.log(USAGE)
    return 0
  }
  console.error(`seed ${options.seed}; to repeat: ${replayCommand(options)}`)
  try {
    const where = await environment()
    await buildFunctions()
    const report = await runChaos(options, {
      progress: progressLine(process.stderr.isTTY),
      log: ({ source, text }) =>
        options.verbose ? void process.stderr.write(`${source.padEnd(12)} ${text}\n`) : undefined
    })
    console.log(options.output === "json" ? JSON.stringify(report) : printable(report))
    if (options.write) await keepFigures(placeOf(options), section(report, where))
    return report.passed ? 0 : BROKEN
  } catch (cause) {
    console.error(`${messageOf(cause)}\nReplay: ${replayCommand(options)}`)
    if (options.verbose) console.error(cause)
    return BROKEN
  }
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (cause) {
  if (!(cause instanceof UsageError)) throw cause
  console.error(`${cause.message}\n\n${USAGE}`)
  process.exitCode = MISUSED
}
