import type { Direction, NoChangeReason } from "../schema/Transition.ts"

/** What a change of status means. **Shape** tagged by the TransitionType; NO_CHANGE says why. */
export type Transition = { readonly type: Direction } | { readonly type: "NO_CHANGE"; readonly reason: NoChangeReason }

const noChange = (reason: NoChangeReason): Transition => ({ type: "NO_CHANGE", reason })

/**
 * Says what a change from one status to another means. Statuses are compared as they are written: `Paused` is not
 * `paused`.
 *
 * **Shape** `oldStatus` is null for a profile that was just inserted.
 *
 * @example
 * detectTransitionDirection("active", "paused") // { type: "PAUSE" }
 * detectTransitionDirection("paused", "retired") // { type: "NO_CHANGE", reason: "unrecognised" }
 */
export const detectTransitionDirection = (oldStatus: string | null, newStatus: string): Transition => {
  if (oldStatus === null) return noChange("inserted")
  if (oldStatus === newStatus) return noChange("unchanged")
  if (oldStatus === "active" && newStatus === "paused") return { type: "PAUSE" }
  if (oldStatus === "paused" && newStatus === "active") return { type: "RESUME" }
  return noChange("unrecognised")
}
