import { randomBytes } from "node:crypto"
import { appendFileSync, existsSync, readFileSync } from "node:fs"
import type { RunError } from "./Worker.ts"

export type RunStatus =
  | "PENDING_VERSION"
  | "QUEUED"
  | "EXECUTING"
  | "COMPLETED"
  | "CANCELED"
  | "FAILED"
  | "CRASHED"
  | "SYSTEM_FAILURE"
  | "TIMED_OUT"
  | "EXPIRED"

/** **Units** times are milliseconds of the Unix epoch. `dueAt` is when its next attempt may start. */
export interface Run {
  readonly id: string
  readonly task: string
  readonly payload: string
  readonly payloadType: string
  readonly status: RunStatus
  readonly attempts: number
  readonly maxAttempts?: number
  readonly idempotencyKey?: string
  readonly keyEndsAt?: number
  readonly concurrencyKey?: string
  readonly tags: ReadonlyArray<string>
  readonly createdAt: number
  readonly updatedAt: number
  readonly startedAt?: number
  readonly finishedAt?: number
  readonly dueAt: number
  readonly output?: unknown
  readonly error?: RunError
}

const THIRTY_DAYS = 30 * 86_400_000

// A run that ended like this gives its key to the next trigger; one that succeeded or was cancelled keeps it.
const givesKeyBack: ReadonlySet<RunStatus> = new Set(["FAILED", "CRASHED", "SYSTEM_FAILURE", "TIMED_OUT", "EXPIRED"])

export type NewRun = Pick<Run, "task" | "payload" | "payloadType" | "tags"> &
  Partial<Pick<Run, "idempotencyKey" | "keyEndsAt" | "concurrencyKey" | "maxAttempts">> & {
    readonly status: "QUEUED" | "PENDING_VERSION"
  }

/**
 * All runs. With a journal they outlive the process; what was executing when it died has crashed then: no hook
 * of its task is called any more.
 */
export const openRuns = (journal?: string) => {
  const runs = new Map<string, Run>()

  const save = (run: Run): Run => {
    runs.set(run.id, run)
    if (journal !== undefined) appendFileSync(journal, `${JSON.stringify(run)}\n`)
    return run
  }

  const change = (id: string, changes: Partial<Run>): Run => {
    const run = runs.get(id)
    if (run === undefined) throw new Error(`there is no run ${id}`)
    return save({ ...run, ...changes, updatedAt: Date.now() })
  }

  const holderOf = (task: string, key: string): Run | undefined => {
    const now = Date.now()
    return [...runs.values()].find(
      (run) =>
        run.task === task && run.idempotencyKey === key && (run.keyEndsAt ?? 0) > now && !givesKeyBack.has(run.status)
    )
  }

  const trigger = (wanted: NewRun): { readonly run: Run; readonly isCached: boolean } => {
    const held = wanted.idempotencyKey === undefined ? undefined : holderOf(wanted.task, wanted.idempotencyKey)
    if (held !== undefined) return { run: held, isCached: true }
    const now = Date.now()
    const times = { createdAt: now, updatedAt: now, dueAt: now, keyEndsAt: wanted.keyEndsAt ?? now + THIRTY_DAYS }
    const id = `run_${randomBytes(13).toString("hex").slice(0, 25)}`
    return { run: save({ ...wanted, ...times, id, attempts: 0 }), isCached: false }
  }

  /** Frees a key. Returns false if no run had it. */
  const resetKey = (task: string, key: string): boolean => {
    const holders = [...runs.values()].filter((run) => run.task === task && run.idempotencyKey === key)
    for (const { idempotencyKey: _, ...run } of holders) save(run)
    return holders.length > 0
  }

  if (journal !== undefined && existsSync(journal)) {
    const lines = readFileSync(journal, "utf8").split("\n")
    // The last line may be incomplete if the process died.
    for (const line of lines.slice(0, -1)) {
      const run: Run = JSON.parse(line)
      runs.set(run.id, run)
    }
    for (const { id, status } of runs.values()) {
      if (status !== "EXECUTING") continue
      change(id, { status: "CRASHED", finishedAt: Date.now(), error: { message: "The worker process died" } })
    }
  }

  return { trigger, change, resetKey, get: (id: string) => runs.get(id), all: () => [...runs.values()] }
}

export type Runs = ReturnType<typeof openRuns>

export const isFinal = (status: RunStatus): boolean =>
  status !== "PENDING_VERSION" && status !== "QUEUED" && status !== "EXECUTING"
