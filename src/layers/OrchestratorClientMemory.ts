import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Receipt } from "../schema/Receipt.ts"
import {
  OrchestratorClient,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../topics/OrchestratorClient.ts"

/** What a memory orchestrator does when it is called. */
export type Behaviour = "accept" | "refuse" | "fail" | "hang" | "accept and lose the reply"

/**
 * What a memory orchestrator saw, and what it does next.
 *
 * **Shape** `calls` every call in order; `accepted` the receipts by event id, as an idempotent orchestrator keeps
 * them; `behaviours` is used up from the front, then it accepts.
 */
export interface State {
  readonly calls: Array<PauseEvent>
  readonly accepted: Map<string, Receipt>
  readonly behaviours: Array<Behaviour>
}

const lost = (event: PauseEvent) =>
  new OrchestratorUnavailable({ eventId: event.eventId, failure: "connection", detail: "the connection failed" })

/** An idempotent orchestrator in the process. It refuses, fails, hangs or loses its reply on demand. */
export const make = (...behaviours: ReadonlyArray<Behaviour>) => {
  const state: State = { calls: [], accepted: new Map(), behaviours: [...behaviours] }

  const accept = (event: PauseEvent): Receipt => {
    const receipt = state.accepted.get(event.eventId) ?? { eventId: event.eventId, notified: 1 }
    state.accepted.set(event.eventId, receipt)
    return receipt
  }
  const answer = Effect.fnUntraced(function* (event: PauseEvent): Effect.fn.Return<Receipt, OrchestratorError> {
    state.calls.push(event)
    switch (state.behaviours.shift() ?? "accept") {
      case "accept":
        return accept(event)
      case "refuse":
        return yield* new OrchestratorRefused({ eventId: event.eventId, status: 400 })
      case "fail":
        return yield* lost(event)
      case "hang":
        return yield* Effect.never
      case "accept and lose the reply":
        accept(event)
        return yield* lost(event)
    }
  })

  const layer = Layer.succeed(OrchestratorClient, {
    atOnce: 100,
    notify: Effect.fn("OrchestratorClient.notify")((events: ReadonlyArray<PauseEvent>) =>
      Effect.forEach(events, (event) => Effect.result(answer(event)))
    )
  })
  return { layer, state }
}

export const layer = Layer.suspend(() => make().layer)
