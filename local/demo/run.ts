import { buildChangedFunctions } from "../../build.ts"
import { UsageError } from "../commandLine.ts"
import { messageOf } from "../StackError.ts"
import { type Stack, StackError, startStack } from "../stack.ts"
import { buildExample } from "../examples.ts"
import { choosePort } from "../ports.ts"
import { withClient } from "../postgres/connect.ts"
import { announce, newestRunning, runningStacks } from "../running.ts"
import { playExample } from "./example.ts"
import { type Lifetime, startLifetime } from "./lifetime.ts"
import { Logs } from "./Logs.ts"
import { type Options, parseOptions, USAGE } from "./options.ts"
import { followStart, reached, ready } from "./progress.ts"
import { recipes } from "./recipes.ts"
import { playScenarios } from "./scenarios.ts"
import { clearStatus, cyan, dim, print, showStatus } from "./screen.ts"
import { findMentors } from "./seed.ts"
import { tour } from "./tour.ts"

const FAILED = 1
const MISUSED = 2
const INTERRUPTED = 130

/** The whole program; returns its exit code. */
export const run = async (args: ReadonlyArray<string>): Promise<number> => {
  try {
    const options = parseOptions(args)
    if (options.mode === "help") print(USAGE)
    else if (options.mode === "recipes") await printRecipes()
    else return await runStack(options)
    return 0
  } catch (cause) {
    clearStatus()
    if (cause instanceof UsageError) console.error(`${cause.message}\n\n${USAGE}`)
    else console.error(cause instanceof StackError ? inFlags(cause.message) : cause)
    return cause instanceof UsageError ? MISUSED : FAILED
  }
}

// The stack's messages use the options' names in TypeScript.
const inFlags = (message: string): string =>
  message.replace(/\bapiPort\b/, "--port").replace(/\bdatabasePort\b/, "--db-port")

const printRecipes = async (): Promise<void> => {
  const running = await newestRunning()
  const mentors = await withClient(running.databaseUrl, findMentors)
  print(recipes(running, mentors).replace(/^#.*$/gm, cyan))
}

const runStack = async (options: Options): Promise<number> => {
  const lifetime = startLifetime()
  const logs = new Logs()
  if (options.verbose) logs.listen(({ source, text }) => void process.stderr.write(`${source.padEnd(12)} ${text}\n`))
  const isLoud = options.mode !== "json"
  if (isLoud) void lifetime.ended.then(() => print(dim("\nStopping …")))

  let code = options.mode === "exit" ? INTERRUPTED : 0
  let programs = ""
  {
    await using stack = await unlessEnding(lifetime, bringUp(options, logs))
    programs = stack?.programs ?? ""
    if (stack !== undefined && !lifetime.signal.aborted) {
      code = (await unlessEnding(lifetime, work(stack, options, logs, lifetime))) ?? code
    }
  }
  if (isLoud) print(programs === "" ? "Stopped." : `Stopped. For the next start, PostgreSQL stays in\n${programs}`)
  return code
}

// Ctrl-C also reaches the bundler, which then fails.
const unlessEnding = async <A>(lifetime: Lifetime, work: Promise<A>): Promise<A | undefined> => {
  try {
    return await work
  } catch (cause) {
    if (lifetime.signal.aborted) return undefined
    throw cause
  }
}

const bringUp = async ({ example, mode, stack: options }: Options, logs: Logs): Promise<Stack> => {
  await lookAtPorts(options)
  if (mode === "json") {
    await build()
    return startStack({ ...options, log: logs.log })
  }
  showStatus("Bundling the Edge Functions …")
  await build()
  reached("Edge Functions bundled")
  const parts = example === undefined ? undefined : await buildExample(example)
  const unfollow = logs.listen(followStart(options.deno, parts?.functions))
  const stack = await startStack({ ...options, ...parts, log: logs.log })
  unfollow()
  // The tour uses the whole screen.
  if (mode === "tour") reached(`Gateway on ${stack.apiUrl}`)
  else ready(stack.apiUrl)
  return stack
}

/** Fails before anything is done if a port is taken. */
const lookAtPorts = async ({ apiPort, databasePort }: Options["stack"]): Promise<void> => {
  const own = (await runningStacks()).find(({ apiUrl, databaseUrl }) =>
    [new URL(apiUrl).port === `${apiPort}`, new URL(databaseUrl).port === `${databasePort}`].includes(true)
  )
  if (own !== undefined) {
    throw new StackError(
      `npm start is already running in this folder, on ${own.apiUrl}.\n` +
        "Use that one, stop it with Ctrl-C, or start another one next to it:\n" +
        "npm start -- --port 0 --db-port 0"
    )
  }
  await choosePort(apiPort, "apiPort")
  await choosePort(databasePort, "databasePort")
}

const build = async () => {
  try {
    await buildChangedFunctions()
  } catch (cause) {
    // esbuild has already shown where.
    throw new StackError(`The Edge Functions cannot be bundled: ${messageOf(cause)}`)
  }
}

const work = async (
  stack: Stack,
  { example = "", isEnding, mode }: Options,
  logs: Logs,
  lifetime: Lifetime
): Promise<number> => {
  await using announced = isEnding ? undefined : await announce(stack)
  const unlisten = logs.listen(({ source }) => {
    if (source === "stack") void announced?.refresh()
  })
  using _ = { [Symbol.dispose]: unlisten }
  switch (mode) {
    case "exit": {
      const allOk = await playScenarios(stack, lifetime.signal)
      return lifetime.signal.aborted ? INTERRUPTED : allOk ? 0 : FAILED
    }
    case "example":
      await playExample(stack, example, lifetime)
      if (isEnding) return lifetime.signal.aborted ? INTERRUPTED : 0
      print(dim("\nCtrl-C stops everything and removes the data."))
      await lifetime.ended
      return 0
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
