import { spawn } from "node:child_process"
import { rm } from "node:fs/promises"
import * as http from "node:http"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"
import type { Upstream } from "./gateway.ts"
import type { Log } from "./log.ts"
import type { Reaper } from "./Reaper.ts"
import { type Service, supervise } from "./Service.ts"

export interface PostgrestOptions {
  readonly program: string
  /** The database, as the role authenticator. */
  readonly databaseUrl: string
  readonly jwtSecret: string
  /** The schemas that are served, the default one first. Default: public. */
  readonly schemas?: string | undefined
  readonly home: string
  readonly log: Log
  readonly reaper: Reaper
}

const POLL_MILLISECONDS = 20

/** PostgREST on a Unix socket: no port to find, and no way around the gateway's exchange of keys. */
export const postgrest = (options: PostgrestOptions): { service: Service; upstream: () => Upstream | undefined } => {
  const socketPath = join(options.home, "postgrest.sock")
  const service = supervise({
    name: "postgrest",
    log: options.log,
    reaper: options.reaper,
    spawn: async () => {
      await rm(socketPath, { force: true })
      return spawn(options.program, [], {
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        cwd: options.home,
        env: {
          HOME: options.home,
          PGRST_SERVER_UNIX_SOCKET: socketPath,
          PGRST_DB_URI: options.databaseUrl,
          PGRST_DB_SCHEMAS: options.schemas ?? "public",
          PGRST_DB_EXTRA_SEARCH_PATH: "public, extensions",
          PGRST_DB_ANON_ROLE: "anon",
          PGRST_DB_CHANNEL_ENABLED: "true",
          // The same number as in the CLI's own stack. The pool uses them in turn, so each makes its own plans.
          PGRST_DB_POOL: "10",
          // Like hosted PostgREST, which is newer: a token is checked once.
          PGRST_JWT_CACHE_MAX_LIFETIME: "3600",
          PGRST_JWT_SECRET: options.jwtSecret
        }
      })
    },
    ready: async (child) => {
      // 503 until the schema is read.
      while (child.exitCode === null && (await statusOf(socketPath)) !== 200) await wait(POLL_MILLISECONDS)
    }
  })
  return { service, upstream: () => (service.running ? { socketPath } : undefined) }
}

const statusOf = (socketPath: string): Promise<number | undefined> =>
  new Promise((resolve) => {
    const request = http.get({ socketPath, path: "/", agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on("error", () => resolve(undefined))
  })
