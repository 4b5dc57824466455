import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { PauseEvent } from "../schema/PauseEvent.ts"
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
  fingerprint,
  PayloadMismatch,
  type Settled,
  type Settlement
} from "../services/DedupeStore.ts"

interface Entry {
  readonly fingerprint: string
  readonly token: number
  readonly state:
    | { readonly _tag: "Pending" }
    | { readonly _tag: "Processing"; readonly leaseEndsAt: number }
    | { readonly _tag: "Completed"; readonly receipt: Receipt }
    | { readonly _tag: "Dead" }
}

/** What a memory store holds, for tests to look at. */
export type State = Map<string, Entry>

/**
 * Keeps claims in the process, with the semantics of the database: for tests and for apps that run as one process.
 *
 * With an `outbox`, whose events may be added while the store is used, it claims no other ones that say they are from an
 * outbox, keeps each mentor's in order, and hands out what was never claimed. Without one it cannot tell a foreign event:
 * it takes all of them, in any order, and has none to hand out.
 *
 * **Units** `leaseSeconds` defaults to the database's 30.
 */
export const make = (options: { readonly leaseSeconds?: number; readonly outbox?: ReadonlySet<PauseEvent> } = {}) => {
  const state: State = new Map()
  const { leaseSeconds = 30, outbox } = options

  const isUnsettled = ({ eventId }: PauseEvent): boolean => {
    const tag = state.get(eventId)?.state._tag
    return tag !== "Completed" && tag !== "Dead"
  }

  const isFirstInLine = ({ mentorId, source, version = 0 }: PauseEvent): boolean =>
    source === "webhook" ||
    [...(outbox ?? [])].every(
      (other) => other.mentorId !== mentorId || (other.version ?? 0) >= version || !isUnsettled(other)
    )

  const grant = (event: PauseEvent, now: number): Claim => {
    const token = (state.get(event.eventId)?.token ?? 0) + 1
    const leaseEndsAt = now + leaseSeconds * 1000
    state.set(event.eventId, { fingerprint: fingerprint(event), token, state: { _tag: "Processing", leaseEndsAt } })
    return { event, token, attempt: token, leaseSeconds }
  }

  const refusal = (event: PauseEvent, now: number): ClaimRefused | undefined => {
    const { eventId } = event
    const entry = state.get(eventId)
    const queued = [...(outbox ?? [])].find((other) => other.eventId === eventId)
    const known = entry?.fingerprint ?? (queued && fingerprint(queued))
    if (known === undefined && outbox !== undefined && event.source === "outbox")
      return new EventNotInOutbox({ eventId })
    if (known !== undefined && known !== fingerprint(event)) return new PayloadMismatch({ eventId })
    if (entry?.state._tag === "Dead") return new EventDeadLettered({ eventId })
    if (entry?.state._tag === "Completed") return new AlreadyProcessed({ eventId, receipt: entry.state.receipt })
    if (entry?.state._tag === "Processing" && entry.state.leaseEndsAt > now) {
      return new EventInFlight({ eventId, retryAfterSeconds: Math.ceil((entry.state.leaseEndsAt - now) / 1000) })
    }
    return isFirstInLine(event) ? undefined : new EventOutOfOrder({ eventId, retryAfterSeconds: 1 })
  }

  const claim = (event: PauseEvent, now: number): Result.Result<Claim, ClaimRefused> => {
    const refused = refusal(event, now)
    return refused === undefined ? Result.succeed(grant(event, now)) : Result.fail(refused)
  }

  const settle = (settlement: Settlement): Settled => {
    const { event, token } = settlement.claim
    const entry = state.get(event.eventId)
    if (entry === undefined || entry.token !== token) return "stale"
    // Settled again, because the first answer was lost.
    if (entry.state._tag === "Completed") return "completed"
    if (entry.state._tag === "Dead") return "dead"
    if (entry.state._tag !== "Processing") return "stale"
    if (settlement.outcome === "completed") {
      state.set(event.eventId, { ...entry, state: { _tag: "Completed", receipt: settlement.receipt } })
      return "completed"
    }
    const dead = settlement.reason.kind === "permanent"
    state.set(event.eventId, { ...entry, state: { _tag: dead ? "Dead" : "Pending" } })
    return dead ? "dead" : "released"
  }

  const handOut = (settlements: ReadonlyArray<Settlement>, take: number, now: number): ReadonlyArray<Claim> => {
    const mentorIds = new Set(settlements.map(({ claim }) => claim.event.mentorId))
    const waited = ({ mentorId }: PauseEvent): number => (mentorIds.has(mentorId) ? 0 : 1)
    return [...(outbox ?? [])]
      .filter((event) => !state.has(event.eventId) && isFirstInLine(event))
      .toSorted((one, other) => waited(one) - waited(other))
      .slice(0, take)
      .map((event) => grant(event, now))
  }

  const layer = Layer.succeed(DedupeStore, {
    claim: Effect.fn("DedupeStore.claim")((events: ReadonlyArray<PauseEvent>) =>
      Effect.map(Clock.currentTimeMillis, (now) => events.map((event) => claim(event, now)))
    ),
    settle: Effect.fn("DedupeStore.settle")(
      (settlements: ReadonlyArray<Settlement>, { take }: { readonly take: number }) =>
        Effect.map(Clock.currentTimeMillis, (now) => ({
          settled: settlements.map(settle),
          next: handOut(settlements, take, now)
        }))
    )
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
