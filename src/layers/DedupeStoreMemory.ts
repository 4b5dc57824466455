import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { Receipt } from "../schema/Receipt.ts"
import {
  AlreadyProcessed,
  type Claim,
  type ClaimRefused,
  DedupeStore,
  EventDeadLettered,
  EventInFlight,
  EventNotInOutbox,
  EventOutOfOrder,
  type Next,
  type OutboxEvent,
  PayloadMismatch,
  type Settled,
  type Settlement
} from "../services/DedupeStore.ts"

interface Entry {
  readonly event: OutboxEvent
  readonly token: number
  readonly state:
    | { readonly _tag: "Pending" }
    | { readonly _tag: "Processing"; readonly leaseEndsAt: number }
    | { readonly _tag: "Completed"; readonly receipt: Receipt }
    | { readonly _tag: "Dead" }
}

/** The contents of a memory store, for tests to read. */
export type State = Map<EventId, Entry>

const isEqual = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

const identityOf = ({ key, occurredAt, source, topic, version }: OutboxEvent) => [
  topic,
  key,
  occurredAt,
  source === "outbox" ? version : null
]

const isSame = (known: OutboxEvent, event: OutboxEvent): boolean =>
  isEqual(identityOf(known), identityOf(event)) &&
  Object.entries(event.record).every(([column, value]) => isEqual(known.record[column], value)) &&
  (known.source === "outbox" || isEqual(known.oldRecord, event.oldRecord))

const lineOf = ({ key, topic }: OutboxEvent): string => JSON.stringify([topic, key])

/** The delivery of an event, as the outbox sends it. */
const payloadOf = ({ eventId, occurredAt, oldRecord, record, topic, version }: OutboxEvent) => ({
  topic,
  type: oldRecord === null ? "INSERT" : "UPDATE",
  event_id: eventId,
  ...(version !== undefined && { version }),
  timestamp: occurredAt,
  record,
  old_record: oldRecord
})

/**
 * Keeps claims in the process, with the semantics of the database: for tests and for apps that run as one process.
 *
 * With an `outbox`, whose events may be added while the store is used, it claims no other ones that say they are from an
 * outbox, keeps those of each topic and key in order, and hands out what was never claimed. Without one it cannot tell a
 * foreign event: it takes all of them, in any order, and has none to hand out.
 *
 * **Units** `leaseSeconds` defaults to the database's 30.
 */
export const make = (options: { readonly leaseSeconds?: number; readonly outbox?: ReadonlySet<OutboxEvent> } = {}) => {
  const state: State = new Map()
  const { leaseSeconds = 30, outbox } = options

  const isUnsettled = ({ eventId }: OutboxEvent): boolean => {
    const tag = state.get(eventId)?.state._tag
    return tag !== "Completed" && tag !== "Dead"
  }

  const isFirstInLine = (event: OutboxEvent): boolean => {
    const { source, version = 0 } = event
    const line = lineOf(event)
    return (
      source === "webhook" ||
      [...(outbox ?? [])].every(
        (other) => lineOf(other) !== line || (other.version ?? 0) >= version || !isUnsettled(other)
      )
    )
  }

  const grant = (event: OutboxEvent, now: number): Claim => {
    const { eventId } = event
    const token = (state.get(eventId)?.token ?? 0) + 1
    state.set(eventId, { event, token, state: { _tag: "Processing", leaseEndsAt: now + leaseSeconds * 1000 } })
    return { eventId, token, attempt: token, leaseSeconds }
  }

  const refusal = (event: OutboxEvent, now: number): ClaimRefused | undefined => {
    const { eventId } = event
    const entry = state.get(eventId)
    const known = entry?.event ?? [...(outbox ?? [])].find((other) => other.eventId === eventId)
    if (known === undefined && outbox !== undefined && event.source === "outbox")
      return new EventNotInOutbox({ eventId })
    if (known !== undefined && !isSame(known, event)) return new PayloadMismatch({ eventId })
    if (entry?.state._tag === "Dead") return new EventDeadLettered({ eventId })
    if (entry?.state._tag === "Completed") return new AlreadyProcessed({ eventId, receipt: entry.state.receipt })
    if (entry?.state._tag === "Processing" && entry.state.leaseEndsAt > now) {
      return new EventInFlight({ eventId, retryAfterSeconds: Math.ceil((entry.state.leaseEndsAt - now) / 1000) })
    }
    return isFirstInLine(event) ? undefined : new EventOutOfOrder({ eventId, retryAfterSeconds: 1 })
  }

  const claim = (event: OutboxEvent, now: number): Result.Result<Claim, ClaimRefused> => {
    const refused = refusal(event, now)
    return refused === undefined ? Result.succeed(grant(event, now)) : Result.fail(refused)
  }

  const settle = (settlement: Settlement): Settled => {
    const { eventId, token } = settlement.claim
    const entry = state.get(eventId)
    if (entry === undefined || entry.token !== token) return "stale"
    // Settled again, because the first answer was lost.
    if (entry.state._tag === "Completed") return "completed"
    if (entry.state._tag === "Dead") return "dead"
    if (entry.state._tag !== "Processing") return "stale"
    if (settlement.outcome === "completed") {
      state.set(eventId, { ...entry, state: { _tag: "Completed", receipt: settlement.receipt } })
      return "completed"
    }
    const dead = settlement.reason.kind === "permanent"
    state.set(eventId, { ...entry, state: { _tag: dead ? "Dead" : "Pending" } })
    return dead ? "dead" : "released"
  }

  const handOut = (
    settlements: ReadonlyArray<Settlement>,
    { take, topic }: { readonly topic: string; readonly take: number },
    now: number
  ): ReadonlyArray<Next> => {
    const settledKeys = new Set(settlements.map(({ claim }) => state.get(claim.eventId)?.event.key))
    const waited = ({ key }: OutboxEvent): number => (settledKeys.has(key) ? 0 : 1)
    return [...(outbox ?? [])]
      .filter((event) => event.topic === topic && !state.has(event.eventId) && isFirstInLine(event))
      .toSorted((one, other) => waited(one) - waited(other))
      .slice(0, take)
      .map((event) => {
        const { attempt, leaseSeconds, token } = grant(event, now)
        return { payload: payloadOf(event), token, attempt, leaseSeconds }
      })
  }

  const layer = Layer.succeed(DedupeStore, {
    claim: (events) => Effect.map(Clock.currentTimeMillis, (now) => events.map((event) => claim(event, now))),
    settle: (settlements, options) =>
      Effect.map(Clock.currentTimeMillis, (now) => ({
        settled: settlements.map(settle),
        next: handOut(settlements, options, now)
      }))
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
