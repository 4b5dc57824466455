import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { StackError } from "./StackError.ts"
import type { Stack } from "./stack.ts"

type Announced = Pick<Stack, "apiUrl" | "databaseUrl" | "functionUrl" | "serviceKey" | "webhookSecret"> & {
  readonly services: { readonly orchestrator: { readonly pid: number | undefined } }
}

/** What a command in another terminal needs to know about a stack of `npm start`. */
export interface Running {
  readonly startedAt: number
  readonly databaseUrl: string
  readonly apiUrl: string
  readonly functionUrl: string
  readonly serviceKey: string
  readonly webhookSecret: string
  readonly orchestratorPid: number | undefined
}

const FOLDER = join(import.meta.dirname, "../node_modules/.cache/pause-status-webhook-handler/running")
const OWNER_ONLY = 0o600

const NOTHING_RUNS = "Nothing is running. Run npm start in another terminal, in this folder."

/** Lets other terminals find the stack. **Shape** `refresh` is for when one of its processes was replaced. */
export const announce = async (
  stack: Announced
): Promise<AsyncDisposable & { readonly refresh: () => Promise<void> }> => {
  const path = join(FOLDER, `${process.pid}.json`)
  const startedAt = Date.now()
  const refresh = async (): Promise<void> => {
    const { apiUrl, databaseUrl, functionUrl, serviceKey, services, webhookSecret } = stack
    const orchestratorPid = services.orchestrator.pid
    const running: Running = {
      startedAt,
      databaseUrl,
      apiUrl,
      functionUrl,
      serviceKey,
      webhookSecret,
      orchestratorPid
    }
    await writeFile(`${path}.draft`, JSON.stringify(running), { mode: OWNER_ONLY })
    await rename(`${path}.draft`, path)
  }
  await mkdir(FOLDER, { recursive: true })
  await refresh()
  return { refresh, [Symbol.asyncDispose]: () => rm(path, { force: true }) }
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const read = async (name: string): Promise<Running | undefined> => {
  const path = join(FOLDER, name)
  // A killed launcher leaves its file behind.
  if (!isAlive(Number.parseInt(name, 10))) return void (await rm(path, { force: true }))
  return JSON.parse(await readFile(path, "utf8"))
}

/** The stacks that were started from this folder and are still up, the newest first. */
export const runningStacks = async (): Promise<ReadonlyArray<Running>> => {
  const names = (await readdir(FOLDER).catch(() => [])).filter((name) => /^\d+\.json$/.test(name))
  const found = await Promise.all(names.map(read))
  return found.filter((running) => running !== undefined).toSorted((one, other) => other.startedAt - one.startedAt)
}

/** The newest of them. Throws StackError. */
export const newestRunning = async (): Promise<Running> => {
  const [running] = await runningStacks()
  if (running === undefined) throw new StackError(NOTHING_RUNS)
  return running
}
