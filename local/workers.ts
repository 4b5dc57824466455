import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Log } from "./log.ts"
import { withClient } from "./postgres/connect.ts"
import type { Reaper } from "./Reaper.ts"
import { type Service, supervise } from "./Service.ts"

export interface WorkerOptions {
  /** The database, as superuser. */
  readonly databaseUrl: string
  readonly home: string
  readonly log: Log
  readonly reaper: Reaper
}

/** The stand-in for pg_net's background worker. */
export const netWorker = (options: WorkerOptions & { readonly pacing: "real" | "fast" }): Service =>
  supervise({
    name: "net",
    log: options.log,
    reaper: options.reaper,
    spawn: async () =>
      spawnNode(options, new URL("./net/worker.ts", import.meta.url), {
        NET_DATABASE_URL: options.databaseUrl,
        NET_PACING: options.pacing
      }),
    ready: printsReady,
    // It finishes its batch, whose slowest request may take its whole time limit.
    stopTimeoutMilliseconds: 30_000,
    // A worker that exits by itself is simply restarted. The queue is lost only if it is killed.
    afterCrash: ({ signal }) => (signal === null ? Promise.resolve() : forgetRequests(options.databaseUrl))
  })

/** Makes the calls of the stand-in for pgsql-http. */
export const httpWorker = (options: WorkerOptions): Service =>
  supervise({
    name: "http",
    log: options.log,
    reaper: options.reaper,
    spawn: async () =>
      spawnNode(options, new URL("./http/worker.ts", import.meta.url), { HTTP_DATABASE_URL: options.databaseUrl }),
    ready: printsReady
  })

/** The stand-in for pg_cron's scheduler. */
export const cronTicker = (options: WorkerOptions): Service =>
  supervise({
    name: "cron",
    log: options.log,
    reaper: options.reaper,
    spawn: async () =>
      spawnNode(options, new URL("./cron/ticker.ts", import.meta.url), { CRON_DATABASE_URL: options.databaseUrl }),
    ready: printsReady
  })

/** The stand-in for Resend, which keeps its mails in a folder. */
export const resendServer = (
  options: Omit<WorkerOptions, "databaseUrl"> & {
    readonly port: number
    readonly apiKey: string
    readonly requestsPerSecond: number
  }
): Service =>
  supervise({
    name: "resend",
    log: options.log,
    reaper: options.reaper,
    spawn: async () =>
      spawnNode(options, new URL("./resend/worker.ts", import.meta.url), {
        RESEND_API_KEY: options.apiKey,
        RESEND_FOLDER: join(options.home, "mails"),
        RESEND_PORT: `${options.port}`,
        RESEND_REQUESTS_PER_SECOND: `${options.requestsPerSecond}`
      }),
    ready: printsReady
  })

const spawnNode = (options: Pick<WorkerOptions, "home">, script: URL, env: Readonly<Record<string, string>>) =>
  spawn(process.execPath, [fileURLToPath(script)], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.home,
    env
  })

const printsReady = (_: unknown, line: (listener: (text: string) => void) => void): Promise<void> =>
  new Promise((resolve) => line((text) => (text === "ready" ? resolve() : undefined)))

// When the real worker is killed, PostgreSQL restarts itself and empties its unlogged tables: what was queued is lost,
// and request ids start at 1 again. The stand-in's worker is not a child of PostgreSQL, so this code does it.
const forgetRequests = (databaseUrl: string): Promise<void> =>
  withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ yes: boolean }>("select to_regclass('net._http_response') is not null as yes")
    if (rows[0]?.yes !== true) return
    await client.query("set lock_timeout = '5s'; truncate net.http_request_queue, net._http_response restart identity")
  })
