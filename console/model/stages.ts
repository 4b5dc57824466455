import type { Event, History } from "./types.ts"
import { millisBetween, notifiedOf } from "./words.ts"

export const STAGES = ["Committed", "Dispatched", "Claimed", "Notified", "Settled"] as const

/**
 * One step of an event. `after` is milliseconds since the change, or undefined if the outbox keeps no time for the step.
 * `people` is how many were notified.
 */
export interface Stage {
  readonly name: (typeof STAGES)[number]
  readonly state: "done" | "now" | "waiting" | "failed"
  readonly after?: number
  readonly people?: number
}

// The time of the claim is the attempt's end minus the time that the handler worked on it.
const claimedAfter = (createdAt: string, { durationMs, endedAt }: History["attempts"][number]) =>
  durationMs === null ? undefined : Math.max(0, millisBetween(createdAt, endedAt) - durationMs)

const known = (name: Stage["name"], state: Stage["state"], after?: number, people?: number): Stage => ({
  name,
  state,
  ...(after !== undefined && { after }),
  ...(people !== undefined && { people })
})

/** How far an event is. The times between the first and the last step come from its history, if that was read. */
export const stagesOf = (event: Event, history?: History): ReadonlyArray<Stage> => {
  const { attemptCount, completedAt, createdAt, status } = event
  const first = history?.attempts[0]
  const last = history?.attempts.at(-1)
  const dispatched = first?.dispatchedAt ? millisBetween(createdAt, first.dispatchedAt) : undefined
  // For a failed event, the claim is that of the first attempt, and the end that of the last.
  const ended = status === "failed" ? first : last
  const claimed = ended === undefined ? undefined : claimedAfter(createdAt, ended)
  const people = notifiedOf(event)
  const committed = known("Committed", "done", 0)
  if (status === "completed" && completedAt !== null)
    return [
      committed,
      known("Dispatched", "done", dispatched),
      known("Claimed", "done", claimed),
      known("Notified", people === 0 ? "failed" : "done", undefined, people),
      known("Settled", "done", millisBetween(createdAt, completedAt))
    ]
  if (status === "failed") {
    const reached = attemptCount > 0 ? "done" : "waiting"
    return [
      committed,
      known("Dispatched", reached, dispatched),
      known("Claimed", claimed === undefined ? "waiting" : "done", claimed),
      known("Notified", "failed"),
      known("Settled", "failed", last && millisBetween(createdAt, last.endedAt))
    ]
  }
  const isClaimed = status === "processing"
  return [
    committed,
    known("Dispatched", isClaimed || attemptCount > 0 ? "done" : "now"),
    known("Claimed", isClaimed ? "done" : attemptCount > 0 ? "now" : "waiting"),
    known("Notified", isClaimed ? "now" : "waiting"),
    known("Settled", "waiting")
  ]
}
