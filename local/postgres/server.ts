import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Log } from "../log.ts"
import { choosePort, freePort, LOOPBACK } from "../ports.ts"
import type { Reaper } from "../Reaper.ts"
import { type Service, supervise } from "../Service.ts"
import { StackError } from "../StackError.ts"
import type { PostgresBinaries } from "./binaries.ts"
import { createCluster } from "./Cluster.ts"
import { answers, withClient } from "./connect.ts"

export interface PostgresOptions {
  readonly binaries: PostgresBinaries
  readonly port: number | undefined
  readonly password: string
  readonly settings?: Readonly<Record<string, string>>
  readonly log: Log
  readonly reaper: Reaper
}

export interface Postgres extends AsyncDisposable {
  readonly service: Service
  readonly urlOf: (role: string) => string
}

const BOOTSTRAP = join(import.meta.dirname, "bootstrap")
const ATTEMPTS = 3

/** A new PostgreSQL that looks like a new hosted Supabase project to a migration. */
export const startPostgres = async (options: PostgresOptions): Promise<Postgres> => {
  let port = await choosePort(options.port, "databasePort")
  await using started = new AsyncDisposableStack()
  const cluster = await createCluster(options)
  started.defer(cluster.remove)

  const urlOf = (role: string): string =>
    `postgresql://${role}:${encodeURIComponent(options.password)}@${LOOPBACK}:${port}/postgres`

  const service = supervise({
    name: "postgres",
    log: options.log,
    reaper: options.reaper,
    spawn: async () => cluster.spawn(port),
    ready: async (child) => {
      const gone = new AbortController()
      child.once("exit", () => gone.abort())
      await answers(urlOf("supabase_admin"), gone.signal)
    },
    // "Fast": disconnects clients and writes everything.
    stopSignal: "SIGINT",
    // "Immediate": unlike SIGKILL, it also ends the server's children and its shared memory.
    lastSignal: "SIGQUIT"
  })
  started.defer(() => service.stop())

  for (let attempt = 1; ; attempt++) {
    try {
      await service.start()
      break
    } catch (cause) {
      const portWasTaken = cause instanceof StackError && cause.message.includes("could not bind")
      if (!portWasTaken || options.port || attempt === ATTEMPTS) throw cause
      port = await freePort()
    }
  }
  await bootstrap(urlOf("supabase_admin"), options.password)

  const kept = started.move()
  return { service, urlOf, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const bootstrap = async (adminUrl: string, password: string): Promise<void> => {
  const [roles, database] = await Promise.all(
    ["roles.sql", "database.sql"].map((name) => readFile(join(BOOTSTRAP, name), "utf8"))
  )
  const template = new URL(adminUrl)
  template.pathname = "/template1"
  await withClient(adminUrl, (client) => client.query((roles ?? "").replaceAll("__PASSWORD__", password)))
  await Promise.all([adminUrl, template.href].map((url) => withClient(url, (client) => client.query(database ?? ""))))
}
