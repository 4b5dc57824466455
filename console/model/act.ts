import { changeEvent, Refused } from "./api.ts"
import type { Event, EventChangeReply } from "./types.ts"
import { stateOf } from "./words.ts"

/** What a person can do about an event. */
export type Action = "redrive" | "resolve" | "cancel"

export interface Choice {
  /** Redrive even if a newer event of the key was handled. */
  readonly force: boolean
  readonly notes: string
}

/** The body of the PUT. */
export const changeFor = (action: Action, { force, notes }: Choice, dryRun: boolean): object =>
  action === "redrive"
    ? { status: "pending", ...(force && { force }), ...(dryRun && { dryRun }) }
    : { status: "resolved", ...(notes !== "" && { notes }), ...(dryRun && { dryRun }) }

/** The actions that an event's state allows. The server decides. */
export const actionsFor = (event: Event): ReadonlyArray<Action> => {
  const state = stateOf(event)
  if (state === "dead letter" || state === "reached nobody") return ["redrive", "resolve"]
  return state === "pending" ? ["cancel"] : []
}

/** The result for one event, real or from a dry run. `isDone` is false if nothing changes. */
export interface Result {
  readonly event: Event
  readonly outcome: string
  readonly detail?: string
  readonly isDone: boolean
}

const OUTCOMES: Readonly<Record<EventChangeReply["outcome"] | "superseded" | "not_failed" | "in_flight", string>> = {
  would_redrive: "Will be sent again",
  would_resolve: "Will be resolved",
  would_cancel: "Will be cancelled and never sent",
  redriven: "Sent again",
  resolved: "Resolved",
  cancelled: "Cancelled",
  already_pending: "Already waiting to be sent",
  already_resolved: "Already resolved",
  superseded: "A newer event of the key was handled",
  not_failed: "Did not fail",
  in_flight: "Is being processed"
}

/** The result for one event, as text. Problems that are not about its state show their own detail. */
export const outcomeInWords = ({ detail, outcome }: Pick<Result, "detail" | "outcome">): string =>
  Object.entries(OUTCOMES).find(([name]) => name === outcome)?.[1] ?? detail ?? outcome

const DONE = /^would_|^redriven$|^resolved$|^cancelled$/

const AT_ONCE = 4

// Per key, one event at a time, the oldest first. If a newer one were sent first, it would supersede the older ones.
const byKey = (events: ReadonlyArray<Event>): Array<ReadonlyArray<Event>> => {
  const keys = new Map<string, Array<Event>>()
  for (const event of events.toSorted((one, other) => (one.createdAt < other.createdAt ? -1 : 1))) {
    const same = keys.get(event.key)
    if (same === undefined) keys.set(event.key, [event])
    else same.push(event)
  }
  return [...keys.values()]
}

/** Sends the change of each event, a few keys at a time, and reports each result. */
export const changeAll = async (
  events: ReadonlyArray<Event>,
  action: Action,
  choice: Choice & { readonly dryRun: boolean },
  seen: (result: Result) => void,
  signal: AbortSignal
): Promise<void> => {
  const queue = byKey(events)
  const change = async (event: Event) => {
    try {
      const { outcome } = await changeEvent(event.topic, event.eventId, changeFor(action, choice, choice.dryRun))
      seen({ event, outcome, isDone: DONE.test(outcome) })
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause
      seen({ event, outcome: cause.code, detail: cause.message, isDone: false })
    }
  }
  const work = async () => {
    for (let same = queue.shift(); same !== undefined; same = queue.shift()) {
      for (const event of same) if (!signal.aborted) await change(event)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
