import { buildFunctions } from "../../build.ts"
import { UsageError } from "../commandLine.ts"
import { messageOf } from "../StackError.ts"
import { type Stack, StackError, startStack } from "../stack.ts"
import { type Lifetime, startLifetime } from "./lifetime.ts"
import { Logs } from "./Logs.ts"
import { type Options, parseOptions, USAGE } from "./options.ts"
import { followStart, reached } from "./progress.ts"
import { playScenarios } from "./scenarios.ts"
import { bold, dim, print } from "./screen.ts"
import { tour } from "./tour.ts"

const FAILED = 1
const MISUSED = 2
const INTERRUPTED = 130

/** The whole program; returns its exit code. */
export const run = async (args: ReadonlyArray<string>): Promise<number> => {
  try {
    const options = parseOptions(args)
    if (options.mode !== "help") return await runStack(options)
    print(USAGE)
    return 0
  } catch (cause) {
    if (cause instanceof UsageError) console.error(`${cause.message}\n\n${USAGE}`)
    else console.error(cause instanceof StackError ? inFlags(cause.message) : cause)
    return cause instanceof UsageError ? MISUSED : FAILED
  }
}

// The stack speaks of its options by their names in TypeScript.
const inFlags = (message: string): string =>
  message.replace(/\bapiPort\b/, "--port").replace(/\bdatabasePort\b/, "--db-port")

const runStack = async (options: Options): Promise<number> => {
  const lifetime = startLifetime()
  const logs = new Logs()
  if (options.verbose) logs.listen(({ source, text }) => void process.stderr.write(`${source.padEnd(12)} ${text}\n`))
  const isLoud = options.mode !== "json"
  if (isLoud) void lifetime.ended.then(() => print(dim("\nStopping …")))

  let code = options.mode === "exit" ? INTERRUPTED : 0
  {
    await using stack = await unlessEnding(lifetime, bringUp(options, logs))
    if (stack !== undefined && !lifetime.signal.aborted) code = await work(stack, options, logs, lifetime)
  }
  if (isLoud) print("Stopped. Nothing is left behind.")
  return code
}

// A Ctrl-C reaches the bundler too, which then fails.
const unlessEnding = async <A>(lifetime: Lifetime, work: Promise<A>): Promise<A | undefined> => {
  try {
    return await work
  } catch (cause) {
    if (lifetime.signal.aborted) return undefined
    throw cause
  }
}

const bringUp = async ({ mode, stack: options }: Options, logs: Logs): Promise<Stack> => {
  if (mode === "json") {
    await build()
    return startStack({ ...options, log: logs.log })
  }
  print(bold("Starting a Supabase of this project's own, without Docker and without an account:\n"))
  for (const { bytes, gzipBytes, name } of await build()) {
    reached(`${name} bundled: ${kilobytes(bytes)}, ${kilobytes(gzipBytes)} gzip`)
  }
  const unfollow = logs.listen(followStart(options.deno))
  const stack = await startStack({ ...options, log: logs.log })
  unfollow()
  reached(`Gateway on ${stack.apiUrl}`)
  return stack
}

const build = async () => {
  try {
    return await buildFunctions()
  } catch (cause) {
    // esbuild has already shown where.
    throw new StackError(`The Edge Functions cannot be bundled: ${messageOf(cause)}`)
  }
}

const kilobytes = (bytes: number): string => `${(bytes / 1_000).toFixed(1)} KB`

const work = async (stack: Stack, { mode }: Options, logs: Logs, lifetime: Lifetime): Promise<number> => {
  switch (mode) {
    case "exit": {
      const allOk = await playScenarios(stack, lifetime.signal)
      return lifetime.signal.aborted ? INTERRUPTED : allOk ? 0 : FAILED
    }
    case "json":
      print(JSON.stringify(factsOf(stack)))
      await lifetime.ended
      return 0
    default:
      await tour(stack, logs, lifetime)
      return 0
  }
}

const factsOf = (stack: Stack) => ({
  ready: true,
  databaseUrl: stack.databaseUrl,
  apiUrl: stack.apiUrl,
  functionUrl: stack.functionUrl,
  orchestratorUrl: stack.orchestratorUrl,
  resendUrl: stack.resendUrl,
  serviceKey: stack.serviceKey,
  webhookSecret: stack.webhookSecret
})
