import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdir, readFile } from "node:fs/promises"
import * as http from "node:http"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { LOOPBACK } from "../../local/ports.ts"
import { BenchError } from "../harness/question.ts"
import { type Call, SECRET } from "./requests.ts"

/** The project's secret key. */
export const PROJECT_KEY = "a key that nobody else has"

/** One run of a variant in a Deno of its own. */
export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly port: number
}

export interface Start {
  readonly deno: string
  readonly bundle: string
  /** The directory of Deno's caches, including V8's code cache. */
  readonly home: string
  readonly codeCache: boolean
  readonly stubPort: number
}

const firstMatch = (child: ChildProcess, pattern: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    const printed: Array<string> = []
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on("line", (line) => {
        printed.push(line)
        const found = pattern.exec(line)?.[1]
        if (found !== undefined) resolve(found)
      })
    }
    child.once("exit", () => reject(new BenchError(`${child.spawnfile} ended: ${printed.join(" | ")}`)))
  })

const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, "exit")
  child.kill(signal)
  await exit
}

/** Starts a variant as the embedded stack starts the handler. Resolves when it listens. */
export const startVariant = async ({ bundle, codeCache, deno, home, stubPort }: Start): Promise<Running> => {
  const stub = `http://${LOOPBACK}:${stubPort}`
  const child = spawn(
    deno,
    [
      "serve",
      `--host=${LOOPBACK}`,
      "--port=0",
      `--allow-net=${LOOPBACK}`,
      "--allow-env",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      "--no-remote",
      "--no-npm",
      ...(codeCache ? [] : ["--no-code-cache"]),
      bundle
    ],
    {
      cwd: dirname(bundle),
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: home,
        DENO_DIR: home,
        DENO_NO_UPDATE_CHECK: "1",
        NO_COLOR: "1",
        LOG_LEVEL: "None",
        SUPABASE_URL: stub,
        SUPABASE_SERVICE_ROLE_KEY: PROJECT_KEY,
        RESEND_BASE_URL: stub,
        RESEND_API_KEY: "re_key",
        MAIL_FROM: "mail@example.com",
        ORCHESTRATOR_URL: `${stub}/orchestrator`,
        ORCHESTRATOR_RETRIES: "0",
        WEBHOOK_SECRETS: SECRET
      }
    }
  )
  const port = Number(await firstMatch(child, /Listening on http:\/\/[^:]+:(\d+)\//))
  return { pid: child.pid ?? 0, port, [Symbol.asyncDispose]: () => ended(child, "SIGKILL") }
}

/** What all variants call. */
export const startStub = async (): Promise<Pick<Running, "port"> & AsyncDisposable> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "stub.ts")], {
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  const port = Number(await firstMatch(child, /^(\d+)$/))
  return { port, [Symbol.asyncDispose]: () => ended(child, "SIGKILL") }
}

export interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** One request on its own connection. */
export const send = (port: number, { body, headers, method, path }: Call): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const request = http.request({ host: LOOPBACK, port, method, path, headers, agent: false }, (response) => {
      const parts: Array<Buffer> = []
      response.on("data", (part) => parts.push(part))
      response.on("error", reject)
      response.on("end", () => {
        const text = Buffer.concat(parts).toString()
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text })
      })
    })
    request.on("error", reject)
    request.end(body)
  })

const NANOSECONDS = 1e6

/** CPU milliseconds that the living threads of a process have used so far. Exact, so good for short times. */
export const cpuOf = async (pid: number): Promise<number> => {
  const threads = await readdir(`/proc/${pid}/task`)
  const times = await Promise.all(
    threads.map(async (thread) => {
      const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8").catch(() => "0")
      return Number(text.split(" ")[0]) / NANOSECONDS
    })
  )
  return times.reduce((sum, time) => sum + time, 0)
}

const MILLISECONDS_PER_TICK = 10

/** CPU milliseconds that a process has used so far, including ended threads, in steps of a clock tick. */
export const totalCpuOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, "utf8")
  // The 12th and 13th fields after the name, which may contain spaces.
  const [user, system] = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13)
  return (Number(user) + Number(system)) * MILLISECONDS_PER_TICK
}

/** Resident memory of a process, in megabytes. */
export const memoryOf = async (pid: number): Promise<number> =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]) / 1_024
