// npm run fuzz: exits with 0 only when every answer was a documented one.
import { buildFunctions } from "../../build.ts"
import { keepFigures } from "../../local/benchmarksPage.ts"
import { UsageError } from "../../local/commandLine.ts"
import { environment } from "../../local/environment.ts"
import { messageOf } from "../../local/StackError.ts"
import { runFuzz } from "./fuzz.ts"
import { parseOptions, replayCommand, USAGE } from "./options.ts"
import { printable, section } from "./report.ts"

const [BROKEN, MISUSED] = [1, 2]
const PROGRESS_EVERY = 5_000

const run = async (args: ReadonlyArray<string>): Promise<number> => {
  const options = parseOptions(args)
  if (options === "help") {
    console.log(USAGE)
    return 0
  }
  console.error(`seed ${options.seed}`)
  const where = await environment()
  await buildFunctions()
  const report = await runFuzz(options, (inputs) => {
    if (inputs % PROGRESS_EVERY < 500 && inputs > 500) console.error(`${inputs} inputs`)
  })
  console.log(printable(report))
  if (options.write) await keepFigures("fuzz", section(report, replayCommand(options), where))
  return report.faults.length === 0 ? 0 : BROKEN
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (cause) {
  console.error(cause instanceof UsageError ? `${cause.message}\n\n${USAGE}` : messageOf(cause))
  process.exitCode = cause instanceof UsageError ? MISUSED : BROKEN
}
