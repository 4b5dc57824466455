import * as Cron from "effect/Cron"
import * as Result from "effect/Result"

// Ticks come about once a second. A tick that is a millisecond early must not delay a run to the next one.
const TOLERANCE_MILLISECONDS = 100

/** Decides at each tick whether a job is due. */
export interface Schedule {
  readonly isDue: (now: Date) => boolean
}

/** Reads `N seconds` or a five-field expression in UTC; undefined if it is neither. */
export const parseSchedule = (text: string, learntAt: Date): Schedule | undefined => {
  const seconds = /^\s*([1-9]|[1-5]\d)\s+seconds?\s*$/i.exec(text)?.[1]
  if (seconds !== undefined) return everySeconds(Number(seconds), learntAt)
  const cron = Cron.parse(text.trim(), "UTC")
  return Result.isSuccess(cron) && text.trim().split(/\s+/).length === 5 ? calendar(cron.success, learntAt) : undefined
}

// The first run comes one interval after the job became known, as with pg_cron.
const everySeconds = (seconds: number, learntAt: Date): Schedule => {
  let last = learntAt.getTime()
  return {
    isDue: (now) => {
      if (now.getTime() - last < seconds * 1_000 - TOLERANCE_MILLISECONDS) return false
      last = now.getTime()
      return true
    }
  }
}

// One run per tick, however many minutes were missed: a laptop that wakes up must not run a job fifty times.
const calendar = (cron: Cron.Cron, learntAt: Date): Schedule => {
  let next = Cron.next(cron, learntAt)
  return {
    isDue: (now) => {
      if (now < next) return false
      next = Cron.next(cron, now)
      return true
    }
  }
}
