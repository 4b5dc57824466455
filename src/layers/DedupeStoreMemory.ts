import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Receipt } from "../schema/PauseEvent.ts"
import {
  AlreadyProcessed,
  type Claim,
  DedupeStore,
  EventInFlight,
  fingerprint,
  PayloadMismatch,
  type Settlement
} from "../services/DedupeStore.ts"

interface Entry {
  readonly fingerprint: string
  readonly token: number
  readonly state:
    | { readonly _tag: "Pending" }
    | { readonly _tag: "Processing"; readonly leaseEndsAt: number }
    | { readonly _tag: "Completed"; readonly receipt: Receipt }
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

  const settle = (claim: Claim, next: Entry["state"]) =>
    Effect.sync((): Settlement => {
      const entry = state.get(claim.event.eventId)
      if (entry === undefined || entry.token !== claim.token) return "stale"
      // Completed again, because the first answer was lost.
      if (entry.state._tag === "Completed" && next._tag === "Completed") return "settled"
      if (entry.state._tag !== "Processing") return "stale"
      state.set(claim.event.eventId, { ...entry, state: next })
      return "settled"
    })

  const layer = Layer.succeed(DedupeStore, {
    claim: Effect.fn("DedupeStore.claim")(function* (event) {
      const now = yield* Clock.currentTimeMillis
      const { eventId } = event
      const entry = state.get(eventId)
      if (entry !== undefined && entry.fingerprint !== fingerprint(event))
        return yield* new PayloadMismatch({ eventId })
      if (entry?.state._tag === "Completed")
        return yield* new AlreadyProcessed({ eventId, receipt: entry.state.receipt })
      if (entry?.state._tag === "Processing" && entry.state.leaseEndsAt > now) {
        const retryAfterSeconds = Math.ceil((entry.state.leaseEndsAt - now) / 1000)
        return yield* new EventInFlight({ eventId, retryAfterSeconds })
      }
      const token = (entry?.token ?? 0) + 1
      const leaseEndsAt = now + leaseSeconds * 1000
      state.set(eventId, {
        fingerprint: fingerprint(event),
        token,
        state: { _tag: "Processing", leaseEndsAt }
      })
      return { event, token, attempt: token, leaseSeconds }
    }),
    complete: (claim, receipt) => settle(claim, { _tag: "Completed", receipt }),
    release: (claim) => settle(claim, { _tag: "Pending" })
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
