/** What the handler logs about one delivery. */
export interface DeliveryLog {
  readonly outcome: string
  /** When the handler started it, in whole milliseconds since 1970. */
  readonly startedAt: number
  readonly eventId: string | undefined
  readonly key: string | undefined
  readonly detail: string | undefined
  /** How many events it had, if it was a batch. */
  readonly events: number | undefined
}

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** Reads a line of the handler's log; undefined if it is not about a delivery. */
export const readDeliveryLog = (line: string): DeliveryLog | undefined => {
  const entry = parse(line)
  const message = member(entry, "message")
  const outcome = member(message, "outcome")
  const durationMs = member(message, "durationMs")
  const timestamp = member(entry, "timestamp")
  if (typeof outcome !== "string" || typeof durationMs !== "number" || typeof timestamp !== "string") return undefined
  const events = member(message, "events")
  return {
    outcome,
    startedAt: Date.parse(timestamp) - durationMs,
    eventId: textOf(member(message, "eventId")),
    key: textOf(member(message, "key")),
    detail: textOf(member(message, "detail")) ?? textOf(member(message, "reason")),
    events: typeof events === "number" ? events : undefined
  }
}
