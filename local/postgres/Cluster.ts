import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { once } from "node:events"
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { LOOPBACK } from "../ports.ts"
import type { Reaper } from "../Reaper.ts"
import { messageOf, StackError } from "../StackError.ts"
import { dataDirectory, userId } from "../temporary.ts"
import type { PostgresBinaries } from "./binaries.ts"

// PostgreSQL refuses to run as root. On every system this is the number of nobody; the user need not have a name.
const NOBODY = 65_534

const SETTINGS = {
  listen_addresses: LOOPBACK,
  unix_socket_directories: "",
  // Enough for all test files that run at once on many cores, each with some dozens of callers.
  max_connections: "500",
  // The data is thrown away at the end, so it need not survive the machine. It must survive the *process*: committed
  // rows have to be in the write-ahead log before the answer, hence no other setting is loosened.
  fsync: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // Compiling plans costs more than it saves on small tables.
  jit: "off",
  logging_collector: "off",
  log_line_prefix: ""
}

export interface ClusterOptions {
  readonly binaries: PostgresBinaries
  readonly password: string
  /** Server settings in addition to ours. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  readonly reaper: Reaper
}

export interface Cluster {
  /** Spawns the server on the given port. The caller waits until it is ready. */
  readonly spawn: (port: number) => ChildProcess
  readonly remove: () => Promise<void>
}

/** A new, empty database cluster in its own directory, whose superuser is supabase_admin. */
export const createCluster = async ({ binaries, password, reaper, settings }: ClusterOptions): Promise<Cluster> => {
  const directory = await mkdtemp(join(dataDirectory(), "pause-status-data-"))
  reaper.removeAtEnd(directory)
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true, maxRetries: 5 })
  const options: SpawnOptions = {
    cwd: directory,
    env: { PATH: "/usr/bin:/bin", HOME: directory, LC_ALL: "C", TZ: "UTC" },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    ...(userId() === 0 && { uid: NOBODY, gid: NOBODY })
  }
  const data = join(directory, "data")
  try {
    const passwordFile = join(directory, "password")
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
    if (userId() === 0) {
      await chown(directory, NOBODY, NOBODY)
      await chown(passwordFile, NOBODY, NOBODY)
    }
    const initdb = spawn(
      join(binaries.directory, "bin", "initdb"),
      initdbArguments(binaries, data, passwordFile),
      options
    )
    await finished(initdb, reaper)
    await rm(passwordFile)
    // The server's HOME is this directory, so only its own sessions find the password here.
    const ownPasswords = join(directory, ".pgpass")
    await writeFile(ownPasswords, `${LOOPBACK}:*:*:supabase_admin:${password}\n`, { mode: 0o600 })
    if (userId() === 0) await chown(ownPasswords, NOBODY, NOBODY)
  } catch (cause) {
    await remove()
    throw new StackError(`PostgreSQL could not create its data directory ${data}: ${messageOf(cause)}`)
  }
  return {
    remove,
    spawn: (port) =>
      spawn(
        join(binaries.directory, "bin", "postgres"),
        ["-D", data, "-p", `${port}`, ...settingArguments({ ...SETTINGS, ...settings })],
        options
      )
  }
}

const finished = async (program: ChildProcess, reaper: Reaper): Promise<void> => {
  let printed = ""
  program.stdout?.resume()
  program.stderr?.on("data", (part) => (printed += String(part)))
  if (program.pid !== undefined) reaper.watch(program.pid, "SIGKILL")
  const [code, signal]: Array<unknown> = await once(program, "close")
  if (program.pid !== undefined) reaper.forget(program.pid)
  if (code !== 0) throw new Error(`initdb ended with ${String(signal ?? code)}: ${printed.trim()}`)
}

const initdbArguments = ({ version }: PostgresBinaries, data: string, passwordFile: string): ReadonlyArray<string> => [
  `--pgdata=${data}`,
  "--username=supabase_admin",
  `--pwfile=${passwordFile}`,
  "--auth=scram-sha-256",
  "--encoding=UTF8",
  // Built into PostgreSQL, hence the same order and case rules on every system. Before 17 that is plain C.
  ...(version < "17" ? [] : ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]),
  "--locale=C",
  "--no-sync",
  "--no-instructions"
]

const settingArguments = (settings: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
