import type { DeliveryLog } from "./handlerLog.ts"
import type { Observation, QueueStep } from "./observer.ts"

export interface Step {
  readonly kind:
    | "committed"
    | "sent"
    | "delivered"
    | "claimed"
    | "accepted"
    | "notified"
    | "released"
    | "failed"
    | "completed"
    | "note"
  /** Milliseconds since 1970. */
  readonly at: number
  /** Known only to the millisecond. */
  readonly isRough?: boolean
  /** Details that the kind does not give: whom, why. */
  readonly detail?: string
}

/** What is known about one event. */
export interface Change {
  readonly eventId: string
  mentor: string
  transition: string
  version: number | undefined
  /** Zero on its timeline: the commit, or the first step if the event came from elsewhere. */
  zero: number | undefined
  /** Whether a part of its timeline was already reported. */
  isContinued: boolean
}

interface Entry {
  readonly change: Change
  fresh: Array<Step>
  /** Whether its own transaction tried to send it. */
  wasTried: boolean
  wasDelivered: boolean
  timer: NodeJS.Timeout | undefined
}

// PostgreSQL's announcements and the handler's log arrive separately. Soon after the delivery, both are here. An event
// that nobody handles is reported as it is.
const AFTER_DELIVERY_MILLISECONDS = 60
const WITHOUT_DELIVERY_MILLISECONDS = 1_000

const WAITS = "waits for an earlier event"

/** Collects what is seen of each event, and reports its steps in the order in which they happened. */
export class Timeline {
  readonly #entries = new Map<string, Entry>()
  readonly #report: (change: Change, steps: ReadonlyArray<Step>) => void

  constructor(report: (change: Change, steps: ReadonlyArray<Step>) => void) {
    this.#report = report
  }

  observe(seen: Observation): void {
    const entry = this.#entry(seen.eventId)
    const { at } = seen
    switch (seen.kind) {
      case "committed":
        entry.change.zero = at
        return this.#add(entry, { kind: "committed", at, ...(!entry.wasTried && { detail: WAITS }) })
      case "accepted":
        return this.#add(entry, { kind: "accepted", at })
      case "notified":
        return this.#add(entry, { kind: "notified", at, detail: seen.coordinator })
      case "queue": {
        Object.assign(entry.change, {
          mentor: seen.mentor,
          transition: seen.transition,
          version: seen.version ?? undefined
        })
        entry.wasTried ||= seen.sent || seen.error !== null
        const step = queueStep(seen, entry.change.zero !== undefined)
        if (step !== undefined) this.#add(entry, { ...step, at })
      }
    }
  }

  /** Adds the handler's log line about an event. */
  delivered({ detail, eventId, outcome, startedAt }: DeliveryLog): void {
    if (eventId === undefined) return
    const entry = this.#entry(eventId)
    entry.wasDelivered = true
    this.#add(entry, { at: startedAt, isRough: true, ...deliveryStep(outcome, detail) })
  }

  #entry(eventId: string): Entry {
    const known = this.#entries.get(eventId)
    if (known !== undefined) return known
    const change = { eventId, mentor: "", transition: "", version: undefined, zero: undefined, isContinued: false }
    const entry = { change, fresh: [], wasTried: false, wasDelivered: false, timer: undefined }
    this.#entries.set(eventId, entry)
    return entry
  }

  #add(entry: Entry, step: Step): void {
    entry.fresh.push(step)
    clearTimeout(entry.timer)
    const delay = entry.wasDelivered ? AFTER_DELIVERY_MILLISECONDS : WITHOUT_DELIVERY_MILLISECONDS
    entry.timer = setTimeout(() => this.#flush(entry), delay).unref()
  }

  #flush(entry: Entry): void {
    const { zero } = entry.change
    const steps = entry.fresh
      .map((step) => (step.isRough === true && zero !== undefined ? { ...step, at: Math.max(zero, step.at) } : step))
      .toSorted((one, other) => one.at - other.at)
    entry.change.zero ??= steps[0]?.at
    entry.fresh = []
    entry.wasDelivered = false
    this.#report(entry.change, steps)
    entry.change.isContinued = true
  }
}

const queueStep = (seen: QueueStep, isCommitted: boolean): Omit<Step, "at"> | undefined => {
  const { attempts, before, error, sent, status } = seen
  if (status === "processing") return { kind: "claimed" }
  if (status === "completed") return { kind: "completed" }
  if (status === "failed") return { kind: "failed", detail: error ?? "" }
  if (before === "processing") return { kind: "released", detail: `${error ?? ""}${waiting(seen)}` }
  // The first request is part of the commit.
  if (sent) return isCommitted ? { kind: "sent", detail: `attempt ${attempts}` } : undefined
  return before === "pending" && error !== null
    ? { kind: "note", detail: `not sent: ${error}${waiting(seen)}` }
    : undefined
}

const waiting = ({ waitSeconds }: QueueStep): string =>
  waitSeconds === null || waitSeconds <= 0 ? "" : `, due again in ${waitSeconds.toFixed(1)} s`

const deliveryStep = (outcome: string, detail: string | undefined): Pick<Step, "kind" | "detail"> => {
  if (outcome === "AlreadyProcessed")
    return { kind: "note", detail: "a duplicate, answered 409: nobody is notified again" }
  if (outcome === "EventInFlight") return { kind: "note", detail: "a duplicate, answered 409: it is being processed" }
  if (outcome === "no_recipients") return { kind: "note", detail: "reached nobody: the mentor has no coordinator" }
  // If the orchestrator failed, the reason is in the outbox's own step.
  if (outcome === "notified" || outcome.startsWith("Orchestrator")) return { kind: "delivered" }
  return { kind: "delivered", detail: `${outcome}: ${detail ?? ""}` }
}
