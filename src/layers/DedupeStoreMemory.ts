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
 * **Units** `leaseSeconds` defaults to the database's 30.
 */
export const make = (options?: { readonly leaseSeconds?: number }) => {
  const state: State = new Map()
  const leaseSeconds = options?.leaseSeconds ?? 30

  const claim = (event: PauseEvent, now: number): Result.Result<Claim, ClaimRefused> => {
    const { eventId } = event
    const entry = state.get(eventId)
    if (entry !== undefined && entry.fingerprint !== fingerprint(event)) {
      return Result.fail(new PayloadMismatch({ eventId }))
    }
    if (entry?.state._tag === "Dead") return Result.fail(new EventDeadLettered({ eventId }))
    if (entry?.state._tag === "Completed") {
      return Result.fail(new AlreadyProcessed({ eventId, receipt: entry.state.receipt }))
    }
    if (entry?.state._tag === "Processing" && entry.state.leaseEndsAt > now) {
      const retryAfterSeconds = Math.ceil((entry.state.leaseEndsAt - now) / 1000)
      return Result.fail(new EventInFlight({ eventId, retryAfterSeconds }))
    }
    const token = (entry?.token ?? 0) + 1
    const leaseEndsAt = now + leaseSeconds * 1000
    state.set(eventId, { fingerprint: fingerprint(event), token, state: { _tag: "Processing", leaseEndsAt } })
    return Result.succeed({ event, token, attempt: token, leaseSeconds })
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

  const layer = Layer.succeed(DedupeStore, {
    claim: Effect.fn("DedupeStore.claim")((events: ReadonlyArray<PauseEvent>) =>
      Effect.map(Clock.currentTimeMillis, (now) => events.map((event) => claim(event, now)))
    ),
    settle: Effect.fn("DedupeStore.settle")((settlements: ReadonlyArray<Settlement>) =>
      Effect.sync(() => settlements.map(settle))
    )
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
