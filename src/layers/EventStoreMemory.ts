import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EventHistory, PagePosition, StoredEvent } from "../schema/Events.ts"
import type { EventId } from "../schema/Identifiers.ts"
import { EventInFlight } from "../services/DedupeStore.ts"
import {
  type Changed,
  EventNotFailed,
  EventNotSettled,
  type EventSelection,
  EventStore,
  type EventStoreHealth,
  EventUnknown,
  RedriveSuperseded
} from "../services/EventStore.ts"

/** The contents of a memory store, for tests to fill and to read. */
export interface State {
  readonly events: Map<EventId, EventHistory>
  readonly erased: Set<EventId>
  /** The newest version of each key that was handled. */
  readonly handled: Map<string, number>
  /** The keys whose events each user may look at. */
  readonly visibleTo: Map<string, ReadonlySet<string>>
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

const place = ({ createdAt, eventId }: PagePosition): string => `${createdAt} ${eventId.toLowerCase()}`

const newestFirst = (a: PagePosition, b: PagePosition): number =>
  place(a) === place(b) ? 0 : place(a) < place(b) ? 1 : -1

const now = Effect.map(Clock.currentTimeMillis, (millis) =>
  DateTime.formatIso(DateTime.makeUnsafe(millis)).replace("Z", "000Z")
)

const cancelled = ({ attemptCount, eventId }: EventHistory, at: string, notes: string | null) => ({
  id: eventId,
  reason: "cancelled",
  attempts: attemptCount,
  firstFailedAt: at,
  lastFailedAt: at,
  lastError: "cancelled: a person withdrew it before it was processed",
  createdAt: at,
  resolution: "resolved" as const,
  resolvedAt: at,
  notes
})

const health = (topics: ReadonlyArray<string>, events: ReadonlyArray<EventHistory>): EventStoreHealth => {
  const countOf = (status: StoredEvent["status"]) => events.filter((event) => event.status === status).length
  return {
    oldestUnnotifiedSeconds: 0,
    oldestUnnotifiedThreshold: 300,
    pending: countOf("pending"),
    processing: countOf("processing"),
    failed: countOf("failed"),
    deadLettersOpen: events.filter(({ deadLetter }) => deadLetter?.resolution === null).length,
    withoutRecipients: events.filter(
      ({ reachedNobody, receipt }) => reachedNobody && receipt?.["acknowledged"] !== true
    ).length,
    failureRatePercent: 0,
    expiredLeases: 0,
    lastSweepAt: null,
    alertsOpen: [],
    topics: topics.map((topic) => ({ topic, attached: true, enabled: true })),
    jobs: [],
    vault: { functionUrl: true, webhookSecret: true }
  }
}

/** Keeps events of some topics in the process, with the semantics of the database: for tests. */
export const make = (...topics: ReadonlyArray<string>) => {
  const state: State = { events: new Map(), erased: new Set(), handled: new Map(), visibleTo: new Map() }

  const mayKnow = ({ key }: EventHistory, userId: string | undefined) =>
    userId === undefined || (state.visibleTo.get(userId)?.has(key) ?? false)

  const selects = ({ cursor, key, occurredFrom, occurredTo, record = {}, status, topic, userId }: EventSelection) => {
    const from = occurredFrom === undefined ? Number.NEGATIVE_INFINITY : microseconds(occurredFrom)
    const to = occurredTo === undefined ? Number.POSITIVE_INFINITY : microseconds(occurredTo)
    const unbounded = occurredFrom === undefined && occurredTo === undefined
    return (event: EventHistory): boolean => {
      const occurred = event.occurredAt === null ? Number.NaN : microseconds(event.occurredAt)
      return (
        event.topic === topic &&
        mayKnow(event, userId) &&
        (status ?? event.status) === event.status &&
        (key ?? event.key) === event.key &&
        Object.entries(record).every(([name, value]) => event.record[name] === value) &&
        (unbounded || (from <= occurred && occurred < to)) &&
        (cursor === undefined || newestFirst(cursor, event) < 0)
      )
    }
  }

  const find = Effect.fnUntraced(function* (topic: string, eventId: EventId) {
    const found = [...state.events.values()].find(
      (event) => event.topic === topic && event.eventId === eventId.toLowerCase()
    )
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
    get: Effect.fn("EventStore.get")(function* (topic, eventId, userId) {
      const event = yield* find(topic, eventId)
      return mayKnow(event, userId) ? event : yield* new EventUnknown({ eventId })
    }),
    redrive: Effect.fn("EventStore.redrive")(function* (topic, eventId, { dryRun = false, force = false }) {
      const event = yield* find(topic, eventId)
      if (event.status === "completed" && !event.reachedNobody) return yield* new EventNotFailed({ eventId })
      if (event.status === "pending" || event.status === "processing") {
        return changed("already_pending", withoutHistory(event))
      }
      const handled = state.handled.get(event.key) ?? 0
      if (!force && handled > (event.version ?? handled)) return yield* new RedriveSuperseded({ eventId })
      if (dryRun) return changed("would_redrive", withoutHistory(event))
      const deadLetter = yield* close(event, "redriven", null)
      const unsettled = { status: "pending", completedAt: null, receipt: null, reachedNobody: false } as const
      return changed("redriven", put({ ...event, ...unsettled, failures: 0, nextAttemptAt: yield* now, deadLetter }))
    }),
    resolve: Effect.fn("EventStore.resolve")(function* (topic, eventId, { dryRun = false, notes = null }) {
      const event = yield* find(topic, eventId)
      const same = withoutHistory(event)
      if (event.status === "processing") return yield* new EventInFlight({ eventId, retryAfterSeconds: 30 })
      if (event.status === "pending") {
        if (dryRun) return changed("would_cancel", same)
        const deadLetter = cancelled(event, yield* now, notes)
        return changed("cancelled", put({ ...event, status: "failed", nextAttemptAt: null, deadLetter }))
      }
      if (event.status === "completed" && !event.reachedNobody) return yield* new EventNotFailed({ eventId })
      if (event.deadLetter?.resolution === "resolved" || event.receipt?.["acknowledged"] === true) {
        return changed("already_resolved", same)
      }
      if (dryRun) return changed("would_resolve", same)
      if (event.status === "completed") {
        const receipt = { ...event.receipt, acknowledged: true, ...(notes !== null && { notes }) }
        return changed("resolved", put({ ...event, receipt }))
      }
      state.handled.set(event.key, Math.max(state.handled.get(event.key) ?? 0, event.version ?? 0))
      return changed("resolved", put({ ...event, deadLetter: yield* close(event, "resolved", notes) }))
    }),
    erase: Effect.fn("EventStore.erase")(function* (topic, eventId) {
      if (state.erased.has(eventId)) return
      const { deadLetter, status } = yield* find(topic, eventId)
      const isSettled = status === "completed" || (status === "failed" && deadLetter?.resolution === "resolved")
      if (!isSettled) return yield* new EventNotSettled({ eventId })
      state.erased.add(eventId)
      state.events.delete(eventId)
    }),
    health: Effect.fn("EventStore.health")(() => Effect.sync(() => health(topics, [...state.events.values()]))),
    figures: Effect.fn("EventStore.figures")(() =>
      Effect.sync(() =>
        topics.map((topic) => {
          const of = [...state.events.values()].filter((event) => event.topic === topic)
          const completed = of.filter(({ status }) => status === "completed").length
          return { topic, completed, p50: null, p95: null, p99: null }
        })
      )
    )
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
