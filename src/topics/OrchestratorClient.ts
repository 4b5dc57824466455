import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type { EventId } from "../schema/Identifiers.ts"
import type { PauseEvent } from "../schema/PauseEvent.ts"
import type { Receipt } from "../schema/Receipt.ts"
import type { Release } from "../services/DedupeStore.ts"

/** The orchestrator will answer the same however often it is asked: a 4xx other than 408, 425 and 429. */
export class OrchestratorRefused extends Data.TaggedError("OrchestratorRefused")<{
  readonly eventId: EventId
  readonly status: number
}> {
  override get message(): string {
    return `The orchestrator refused the event with status ${this.status}`
  }
  get release(): Release {
    return { kind: "permanent", status: this.status }
  }
}

/**
 * The orchestrator could not be reached, was too slow, or asked for another try; it may have accepted the event all
 * the same, which its idempotency by event id makes harmless.
 *
 * **Units** `retryAfterSeconds` is its own Retry-After.
 */
export class OrchestratorUnavailable extends Data.TaggedError("OrchestratorUnavailable")<{
  readonly eventId: EventId
  readonly failure: "connection" | "timeout" | "status" | "receipt"
  readonly detail: string
  readonly status?: number
  readonly retryAfterSeconds?: number
}> {
  override get message(): string {
    return `The orchestrator is unavailable: ${this.detail}`
  }
  get release(): Release {
    return { kind: "transient", status: this.status, retryAfterSeconds: this.retryAfterSeconds }
  }
}

/**
 * Too many calls failed in a row, so this one was not made. The event is parked and loses no attempt.
 *
 * **Units** `retryAfterSeconds` until a call is made again.
 */
export class OrchestratorCircuitOpen extends Data.TaggedError("OrchestratorCircuitOpen")<{
  readonly eventId: EventId
  readonly retryAfterSeconds: number
}> {
  override readonly message = "Too many calls of the orchestrator failed in a row, so none is made for now"
  get release(): Release {
    return { kind: "parked", retryAfterSeconds: this.retryAfterSeconds }
  }
}

/** Permanent, transient or not tried: what the sender does next depends on nothing else. */
export type OrchestratorError = OrchestratorRefused | OrchestratorUnavailable | OrchestratorCircuitOpen

/**
 * Hands events to the pause-notification-orchestrator. Calling twice with one event is safe: the event id travels as
 * the idempotency key and the second call gets the first one's receipt. Each event is answered on its own, in the order
 * given.
 *
 * **Shape** `atOnce` is how many events it handles about as fast as one.
 */
export class OrchestratorClient extends Context.Service<
  OrchestratorClient,
  {
    readonly atOnce: number
    readonly notify: (
      events: ReadonlyArray<PauseEvent>
    ) => Effect.Effect<ReadonlyArray<Result.Result<Receipt, OrchestratorError>>>
  }
>()("pause-status-webhook-handler/topics/OrchestratorClient") {}
