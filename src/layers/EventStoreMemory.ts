import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { reachedNobody, type Receipt } from "../schema/Receipt.ts"
import type { EventHistory, PagePosition, StoredEvent } from "../schema/Events.ts"
import type { EventId, MentorId } from "../schema/Identifiers.ts"
import {
  type Changed,
  EventNotFailed,
  EventNotSettled,
  EventProcessing,
  type EventSelection,
  EventStore,
  type EventStoreHealth,
  EventUnknown,
  RedriveSuperseded
} from "../services/EventStore.ts"

/** What a memory store holds, for tests to fill and to look at. */
export interface State {
  readonly events: Map<EventId, EventHistory>
  readonly erased: Set<EventId>
  /** The newest version that each mentor's coordinators know of. */
  readonly notified: Map<MentorId, number>
  /** Whom each coordinator is told about. */
  readonly mentorsOf: Map<string, ReadonlySet<MentorId>>
}

const withoutHistory = (history: EventHistory): StoredEvent => {
  const { attempts: _, deadLetter: __, ...event } = history
  return event
}

const changed = <const Outcome extends string>(outcome: Outcome, event: StoredEvent): Changed<Outcome> => ({
  outcome,
  event
})

// Beyond milliseconds by hand: two events that a Date cannot tell apart are two.
const microseconds = (time: string): number => {
  const [, seconds = "", fraction = "", zone = ""] = /^(.{19})(?:\.(\d+))?(.+)$/.exec(time) ?? []
  return Date.parse(seconds + zone) * 1000 + Number(fraction.padEnd(6, "0"))
}

const isSettled = ({ status }: StoredEvent): boolean => status === "completed" || status === "failed"

/** Completed, with somebody notified. */
const isDone = ({ receipt }: StoredEvent): boolean => receipt !== null && !reachedNobody(receipt)

/** A person has dealt with it. */
const isClosed = ({ deadLetter, receipt, status }: EventHistory): boolean =>
  receipt?.["acknowledged"] === true || (status === "failed" && deadLetter?.resolution === "resolved")

const acknowledged = (receipt: Receipt, notes: string | null): Receipt => ({
  ...receipt,
  acknowledged: true,
  ...(notes !== null && { notes })
})

const cancelled = (event: EventHistory, at: string, notes: string | null): EventHistory => {
  const lastError = "cancelled: a person withdrew it before it was processed"
  return {
    ...event,
    status: "failed",
    nextAttemptAt: null,
    lastError,
    deadLetter: {
      id: event.eventId,
      reason: "cancelled",
      attempts: event.attemptCount,
      firstFailedAt: at,
      lastFailedAt: at,
      lastError,
      createdAt: at,
      resolution: "resolved",
      resolvedAt: at,
      notes
    }
  }
}

const place = ({ createdAt, eventId }: PagePosition): string => `${createdAt} ${eventId.toLowerCase()}`

const newestFirst = (a: PagePosition, b: PagePosition): number =>
  place(a) === place(b) ? 0 : place(a) < place(b) ? 1 : -1

const now = Effect.map(Clock.currentTimeMillis, (millis) =>
  DateTime.formatIso(DateTime.makeUnsafe(millis)).replace("Z", "000Z")
)

const health = (events: ReadonlyArray<EventHistory>): EventStoreHealth => {
  const countOf = (status: StoredEvent["status"]) => events.filter((event) => event.status === status).length
  return {
    oldestUnnotifiedSeconds: 0,
    pending: countOf("pending"),
    processing: countOf("processing"),
    failed: countOf("failed"),
    deadLettersOpen: events.filter(({ deadLetter }) => deadLetter?.resolution === null).length,
    failureRatePercent: 0,
    expiredLeases: 0,
    lastSweepAt: null,
    alertsOpen: [],
    vault: { functionUrl: true, webhookSecret: true }
  }
}

/** Keeps events in the process, with the semantics of the database: for tests. */
export const make = () => {
  const state: State = { events: new Map(), erased: new Set(), notified: new Map(), mentorsOf: new Map() }

  const mayKnow = ({ mentorId }: EventHistory, coordinatorId: string | undefined) =>
    coordinatorId === undefined || (state.mentorsOf.get(coordinatorId)?.has(mentorId) ?? false)

  const selects = ({
    coordinatorId,
    cursor,
    mentorId,
    occurredFrom,
    occurredTo,
    status,
    transition
  }: EventSelection) => {
    const from = occurredFrom === undefined ? Number.NEGATIVE_INFINITY : microseconds(occurredFrom)
    const to = occurredTo === undefined ? Number.POSITIVE_INFINITY : microseconds(occurredTo)
    const unbounded = occurredFrom === undefined && occurredTo === undefined
    return (event: EventHistory): boolean => {
      const occurred = event.occurredAt === null ? Number.NaN : microseconds(event.occurredAt)
      return (
        mayKnow(event, coordinatorId) &&
        (status ?? event.status) === event.status &&
        (mentorId ?? event.mentorId).toLowerCase() === event.mentorId &&
        (transition ?? event.transition) === event.transition &&
        (unbounded || (from <= occurred && occurred < to)) &&
        (cursor === undefined || newestFirst(cursor, event) < 0)
      )
    }
  }

  const find = Effect.fnUntraced(function* (eventId: EventId) {
    const found = [...state.events.values()].find((event) => event.eventId === eventId.toLowerCase())
    return found ?? (yield* new EventUnknown({ eventId }))
  })

  const close = Effect.fnUntraced(function* (
    event: EventHistory,
    resolution: "redriven" | "resolved",
    notes: string | null
  ) {
    const { deadLetter } = event
    return deadLetter === null || deadLetter.resolution !== null
      ? deadLetter
      : { ...deadLetter, resolution, resolvedAt: yield* now, notes }
  })

  const put = (event: EventHistory): StoredEvent => {
    state.events.set(event.eventId, event)
    return withoutHistory(event)
  }

  const layer = Layer.succeed(EventStore, {
    list: Effect.fn("EventStore.list")(({ limit, ...selection }: EventSelection) =>
      Effect.sync(() => {
        const found = [...state.events.values()].filter(selects({ limit, ...selection })).toSorted(newestFirst)
        const events = found.slice(0, limit).map(withoutHistory)
        const last = found.length > limit ? events.at(-1) : undefined
        return { events, next: last === undefined ? null : { createdAt: last.createdAt, eventId: last.eventId } }
      })
    ),
    get: Effect.fn("EventStore.get")(function* (eventId, coordinatorId) {
      const event = yield* find(eventId)
      return mayKnow(event, coordinatorId) ? event : yield* new EventUnknown({ eventId })
    }),
    redrive: Effect.fn("EventStore.redrive")(function* (eventId, { dryRun = false, force = false }) {
      const event = yield* find(eventId)
      if (isDone(event)) return yield* new EventNotFailed({ eventId })
      if (!isSettled(event)) return changed("already_pending", withoutHistory(event))
      const told = state.notified.get(event.mentorId) ?? 0
      if (!force && told > (event.version ?? told)) return yield* new RedriveSuperseded({ eventId })
      if (dryRun) return changed("would_redrive", withoutHistory(event))
      const deadLetter = yield* close(event, "redriven", null)
      const again = { status: "pending", failures: 0, completedAt: null, receipt: null } as const
      return changed("redriven", put({ ...event, ...again, nextAttemptAt: yield* now, deadLetter }))
    }),
    resolve: Effect.fn("EventStore.resolve")(function* (eventId, { dryRun = false, notes = null }) {
      const event = yield* find(eventId)
      const same = withoutHistory(event)
      if (event.status === "processing") return yield* new EventProcessing({ eventId })
      if (isDone(event)) return yield* new EventNotFailed({ eventId })
      if (isClosed(event)) return changed("already_resolved", same)
      const isPending = event.status === "pending"
      if (dryRun) return changed(isPending ? "would_cancel" : "would_resolve", same)
      state.notified.set(event.mentorId, Math.max(state.notified.get(event.mentorId) ?? 0, event.version ?? 0))
      if (isPending) return changed("cancelled", put(cancelled(event, yield* now, notes)))
      return event.receipt === null
        ? changed("resolved", put({ ...event, deadLetter: yield* close(event, "resolved", notes) }))
        : changed("resolved", put({ ...event, receipt: acknowledged(event.receipt, notes) }))
    }),
    erase: Effect.fn("EventStore.erase")(function* (eventId) {
      if (state.erased.has(eventId)) return
      const event = yield* find(eventId)
      if (event.status !== "completed" && !isClosed(event)) return yield* new EventNotSettled({ eventId })
      state.erased.add(eventId)
      state.events.delete(eventId)
    }),
    health: Effect.fn("EventStore.health")(() => Effect.sync(() => health([...state.events.values()])))
  })
  return { layer, state }
}
