import type { Transition } from "./audit.ts"

/** A committed change of a profile. Those of a mentor are in the order of their commits. */
export interface Change {
  readonly mentorId: string
  readonly isInsert: boolean
  /** The mentor's earlier id, if this changed it. */
  readonly oldMentorId: string | null
  readonly oldStatus: string | null
  readonly newStatus: string
  readonly transaction: string
  /** Milliseconds since 1970. */
  readonly at: number
}

const isKnown = (status: string | null): status is "active" | "paused" => status === "active" || status === "paused"

/**
 * The transitions among all changes of profiles, in order. A status is compared with the mentor's last one that was
 * active or paused, which survives a change of the id.
 */
export const transitionsIn = (changes: ReadonlyArray<Change>): ReadonlyArray<Transition> => {
  const known = new Map<string, string | null>()
  return changes.flatMap(({ at, isInsert, mentorId, newStatus, oldMentorId, oldStatus, transaction }) => {
    if (oldMentorId !== null) known.set(mentorId, isKnown(oldStatus) ? oldStatus : (known.get(oldMentorId) ?? null))
    const before = known.has(mentorId) ? (known.get(mentorId) ?? null) : oldStatus
    if (isInsert || isKnown(newStatus)) known.set(mentorId, newStatus)
    if (isInsert || !isKnown(newStatus) || !isKnown(before) || before === newStatus) return []
    return [{ key: mentorId, expected: newStatus === "paused" ? "PAUSE" : "RESUME", transaction, at }]
  })
}
