import type { Event } from "./types.ts"
import { millisBetween } from "./words.ts"

export const MINUTES = 15
const MINUTE = 60_000

/** The events that were completed in one minute. **Units** `at` its start, p50 and p99 milliseconds. */
export interface Minute {
  readonly at: number
  readonly count: number
  readonly p50: number
  readonly p99: number
}

/** The nearest rank: the median of 1, 2, 3, 4 is 2. 0 if there are no values. */
export const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0

const summary = (millis: ReadonlyArray<number>) => {
  const sorted = millis.toSorted((one, other) => one - other)
  return { count: sorted.length, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
}

/** What was completed in the last quarter of an hour, in total and per minute, the oldest first. */
export const figuresOf = (events: Iterable<Event>, now: number) => {
  const until = Math.floor(now / MINUTE) + 1
  const since = until - MINUTES
  const perMinute = Array.from({ length: MINUTES }, (): Array<number> => [])
  for (const { completedAt, createdAt } of events) {
    if (completedAt === null) continue
    perMinute[Math.floor(Date.parse(completedAt) / MINUTE) - since]?.push(millisBetween(createdAt, completedAt))
  }
  const minutes = perMinute.map((millis, at): Minute => ({ at: (since + at) * MINUTE, ...summary(millis) }))
  return { ...summary(perMinute.flat()), minutes }
}
