import { setTimeout as wait } from "node:timers/promises"
import { parseSchedule } from "../cron/schedule.ts"
import { isFinal, type Run, type Runs } from "./Runs.ts"
import type { Worker } from "./Worker.ts"

export interface QueueOptions {
  readonly runs: Runs
  readonly worker: Worker
  /** Maps the pause before a retry. Default: unchanged. */
  readonly retryPause?: (milliseconds: number) => number
}

/**
 * Executes queued runs in the order in which they became due, with no more per task and concurrency key at a time than
 * the task allows. A retry queues behind newer runs, so runs have no order, as in the cloud.
 */
export const startQueue = ({ retryPause = (milliseconds) => milliseconds, runs, worker }: QueueOptions) => {
  const executing = new Map<string, { readonly ended: Promise<void>; readonly aborter: AbortController }>()
  const limits = new Map(worker.tasks.map(({ concurrencyLimit = Infinity, id }) => [id, concurrencyLimit]))
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  const hasPlace = ({ concurrencyKey, task }: Run): boolean => {
    const limit = limits.get(task)
    if (limit === undefined) return false
    const beside = [...executing.keys()].filter((id) => {
      const other = runs.get(id)
      return other?.task === task && other.concurrencyKey === concurrencyKey
    })
    return beside.length < limit
  }

  const execute = async (queued: Run, signal: AbortSignal): Promise<void> => {
    const startedAt = queued.startedAt ?? Date.now()
    const run = runs.change(queued.id, { status: "EXECUTING", attempts: queued.attempts + 1, startedAt })
    const result = await worker.execute(run, signal)
    // It may have been cancelled, or the deployment may be gone.
    if (stopped || runs.get(run.id)?.status !== "EXECUTING") return
    const finishedAt = Date.now()
    if (result.ok) {
      runs.change(run.id, { status: "COMPLETED", finishedAt, output: result.output })
    } else if (result.retryInMilliseconds === undefined) {
      runs.change(run.id, { status: "FAILED", finishedAt, error: result.error })
    } else {
      const dueAt = Date.now() + retryPause(result.retryInMilliseconds)
      runs.change(run.id, { status: "QUEUED", dueAt, error: result.error })
    }
  }

  const start = (run: Run): void => {
    const aborter = new AbortController()
    const ended = execute(run, aborter.signal)
      .catch((cause: unknown) => {
        runs.change(run.id, { status: "CRASHED", finishedAt: Date.now(), error: { message: String(cause) } })
      })
      .then(() => {
        executing.delete(run.id)
        wake()
      })
    executing.set(run.id, { ended, aborter })
  }

  const wake = (): void => {
    if (stopped) return
    const queued = runs
      .all()
      .filter(({ status }) => status === "QUEUED")
      .toSorted((a, b) => a.dueAt - b.dueAt)
    for (const run of queued) if (run.dueAt <= Date.now() && hasPlace(run)) start(run)
    clearTimeout(timer)
    const next = queued.find(({ dueAt }) => dueAt > Date.now())
    if (next !== undefined) timer = setTimeout(wake, Math.max(1, next.dueAt - Date.now()))
  }

  const schedules = worker.tasks.flatMap(({ cron, id }) => (cron === undefined ? [] : [{ id, cron }]))

  return {
    wake,
    cancel: (id: string): void => {
      runs.change(id, { status: "CANCELED", finishedAt: Date.now() })
      executing.get(id)?.aborter.abort()
    },
    /** Queues the scheduled tasks that are due between two minutes. Returns their ids. */
    tick: (from: Date, until: Date): ReadonlyArray<string> => {
      const due = schedules.filter(({ cron }) => parseSchedule(cron, from)?.isDue(until))
      for (const { id } of due) {
        const scheduled = {
          type: "DECLARATIVE",
          scheduleId: `sched_${id}`,
          timestamp: until,
          timezone: "UTC",
          upcoming: []
        }
        // superjson, like the cloud, so that the task gets a Date.
        const payload = JSON.stringify({ json: scheduled, meta: { values: { timestamp: ["Date"] } } })
        runs.trigger({ task: id, payload, payloadType: "application/super+json", tags: [], status: "QUEUED" })
      }
      wake()
      return due.map(({ id }) => id)
    },
    /** Resolves when every run has ended. */
    idle: async (): Promise<void> => {
      while (runs.all().some(({ status }) => !isFinal(status) && status !== "PENDING_VERSION")) {
        wake()
        await Promise.race([wait(20), ...[...executing.values()].map(({ ended }) => ended)])
      }
    },
    stop: (): void => {
      stopped = true
      clearTimeout(timer)
      for (const { aborter } of executing.values()) aborter.abort()
    }
  }
}
