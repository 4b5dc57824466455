import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { setTimeout as wait } from "node:timers/promises"
import { eachLine, type Log, type LogSource } from "./log.ts"
import type { Reaper } from "./Reaper.ts"
import { messageOf, StackError } from "./StackError.ts"

export interface Service {
  readonly name: string
  readonly pid: number | undefined
  readonly running: boolean
  /**
   * Sends the signal and waits until that process is gone (SIGSTOP and SIGCONT: sends only). The supervisor then starts
   * a new one, unless `stop()` was called.
   */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Down, and stays down. */
  stop(): Promise<void>
  /** Up again, and ready. */
  start(): Promise<void>
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ServiceSpec {
  readonly name: LogSource
  readonly spawn: () => Promise<ChildProcess>
  /** Resolves when the new process is ready; `line` receives each line that the process prints. */
  readonly ready: (process: ChildProcess, line: (listener: (text: string) => void) => void) => Promise<void>
  readonly stopSignal?: NodeJS.Signals
  /** The signal that ends the process when nobody waits for it. */
  readonly lastSignal?: NodeJS.Signals
  readonly stopTimeoutMilliseconds?: number
  /** Runs before the next start when the last process died without being asked to. */
  readonly afterCrash?: (exit: Exit) => Promise<void>
  readonly log: Log
  readonly reaper: Reaper
}

const FIRST_RESTART_MILLISECONDS = 50
const LONGEST_RESTART_MILLISECONDS = 1_000
const READY_TIMEOUT_MILLISECONDS = 60_000
const CLEARED_TIMEOUT_MILLISECONDS = 30_000
const LINES_KEPT = 20

const hasExited = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const exited = async (child: ChildProcess): Promise<void> => {
  if (!hasExited(child)) await once(child, "exit")
}

const signal = (target: ChildProcess, name: NodeJS.Signals): void => {
  if (!hasExited(target)) target.kill(name)
}

/** Keeps one process alive like the platform, until a test or a person stops it. */
export const supervise = (spec: ServiceSpec): Service => {
  let wanted = false
  let isReady = false
  let child: ChildProcess | undefined
  let starting: Promise<void> | undefined
  let crash: Exit | undefined
  // The last process's pipes close when its own children are gone too. PostgreSQL's outlive it for a moment, and a new
  // server refuses to start beside them.
  let cleared: Promise<unknown> = Promise.resolve()

  const say = (text: string): void => spec.log({ source: "stack", text: `${spec.name}: ${text}` })

  const launch = async (): Promise<void> => {
    await Promise.race([cleared, wait(CLEARED_TIMEOUT_MILLISECONDS, undefined, { ref: false })])
    if (crash !== undefined) await spec.afterCrash?.(crash)
    crash = undefined
    const lastLines: Array<string> = []
    const listeners: Array<(text: string) => void> = []
    const spawned = await spec.spawn()
    const use = (text: string): void => {
      if (lastLines.push(text) > LINES_KEPT) lastLines.shift()
      for (const listener of listeners) listener(text)
      spec.log({ source: spec.name, text })
    }
    eachLine(spawned.stdout, use)
    eachLine(spawned.stderr, use)
    const failed = new Promise<never>((_, reject) => {
      spawned.once("error", (cause) => reject(new StackError(`${spec.name} cannot be run: ${messageOf(cause)}`)))
      // "close" comes after the last line of output, which usually says why.
      spawned.once("close", (code, signal) =>
        reject(new StackError(`${spec.name} ended before it was ready (${signal ?? code}): ${lastLines.join(" | ")}`))
      )
    })
    const timeout = new AbortController()
    const late = wait(READY_TIMEOUT_MILLISECONDS, undefined, { signal: timeout.signal }).then(() => {
      throw new StackError(
        `${spec.name} was not ready after ${READY_TIMEOUT_MILLISECONDS} ms: ${lastLines.join(" | ")}`
      )
    })
    late.catch(() => {})
    failed.catch(() => {})
    if (spawned.pid !== undefined) watch(spawned, spawned.pid)
    try {
      if (!wanted) throw new StackError(`${spec.name} was stopped while it started`)
      await Promise.race([spec.ready(spawned, (listener) => void listeners.push(listener)), failed, late])
      isReady = child === spawned
    } catch (cause) {
      signal(spawned, "SIGKILL")
      throw cause
    } finally {
      timeout.abort()
      listeners.length = 0
    }
  }

  const watch = (spawned: ChildProcess, pid: number): void => {
    child = spawned
    cleared = once(spawned, "close")
    spec.reaper.watch(pid, spec.lastSignal ?? "SIGKILL")
    spawned.once("exit", (code, reason) => {
      spec.reaper.forget(pid)
      const wasReady = isReady
      isReady = false
      child = undefined
      if (!wanted) return
      crash = { code, signal: reason }
      if (!wasReady) return
      say(`ended (${reason ?? code}), starting it again`)
      void revive()
    })
  }

  const bringUp = (): Promise<void> => {
    starting ??= launch().finally(() => {
      starting = undefined
    })
    return starting
  }

  const revive = async (): Promise<void> => {
    for (let delay = FIRST_RESTART_MILLISECONDS; ; delay = Math.min(delay * 2, LONGEST_RESTART_MILLISECONDS)) {
      await wait(delay)
      if (!wanted || isReady) return
      try {
        await bringUp()
        return
      } catch (cause) {
        if (wanted) say(`not back yet: ${messageOf(cause)}`)
      }
    }
  }

  const service: Service = {
    name: spec.name,
    get pid() {
      return child?.pid
    },
    get running() {
      return isReady
    },
    kill: async (name) => {
      const target = child
      if (target === undefined) return
      signal(target, name)
      if (name !== "SIGSTOP" && name !== "SIGCONT") await exited(target)
    },
    stop: async () => {
      wanted = false
      const target = child
      if (target !== undefined) {
        // A process stopped by SIGSTOP ends only after SIGCONT.
        signal(target, "SIGCONT")
        signal(target, spec.stopSignal ?? "SIGTERM")
        const kill = setTimeout(() => signal(target, "SIGKILL"), spec.stopTimeoutMilliseconds ?? 5_000)
        await exited(target)
        clearTimeout(kill)
      }
      await starting?.catch(() => {})
    },
    start: async () => {
      wanted = true
      if (isReady) return
      try {
        await bringUp()
      } catch (cause) {
        wanted = false
        throw cause
      }
    }
  }
  return service
}
