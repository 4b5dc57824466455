import type { Event, History } from "./types.ts"

/** Dead letters that failed for the same reason, the newest first. */
export interface Group {
  readonly id: string
  readonly reason: string
  readonly error: string
  readonly httpStatus: number | null
  readonly events: ReadonlyArray<Event>
}

/** An error without what differs between events: ids, times, long numbers. */
export const pattern = (error: string): string =>
  error
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gi, "…")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z?/g, "…")
    .replaceAll(/\d{5,}/g, "…")

const REASONS: Readonly<Record<string, string>> = {
  rejected: "The handler rejected it",
  refused: "The receiver refused it",
  exhausted: "Every attempt failed",
  cancelled: "Cancelled by a person",
  nobody: "Nobody was notified"
}

export const reasonInWords = (reason: string): string => REASONS[reason] ?? reason

/** Groups by reason, status and pattern of the error, the largest group first. */
export const groupsOf = (
  events: ReadonlyArray<Event>,
  historyOf: (event: Event) => History | undefined
): ReadonlyArray<Group> => {
  const groups = new Map<string, Group & { events: Array<Event> }>()
  for (const event of events) {
    const history = historyOf(event)
    const isDead = event.status === "failed"
    const error = isDead
      ? (event.lastError ?? "No error was recorded")
      : "It was completed, but the receipt counts no recipient."
    const httpStatus = history?.attempts.at(-1)?.httpStatus ?? null
    const reason = isDead ? (history?.deadLetter?.reason ?? "failed") : "nobody"
    const id = [reason, isDead ? httpStatus : "", pattern(error)].join("\n")
    const group = groups.get(id)
    if (group === undefined)
      groups.set(id, { id, reason, error, httpStatus: isDead ? httpStatus : null, events: [event] })
    else group.events.push(event)
  }
  return [...groups.values()].toSorted((one, other) => other.events.length - one.events.length)
}
