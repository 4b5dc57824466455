import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Caller } from "../schema/Caller.ts"
import type { CredentialsRejected } from "./CredentialsRejected.ts"

/** The caller is known but may not do this. **Shape** `needs` is what would be enough. */
export class NotAllowed extends Data.TaggedError("NotAllowed")<{
  readonly needs: "role" | "admin" | "project"
}> {
  override get message(): string {
    switch (this.needs) {
      case "role":
        return "The user needs app_metadata.role admin or coordinator"
      case "admin":
        return "Coordinators may only read the events visible to them; anything else needs app_metadata.role admin"
      case "project":
        return "HEALTH_TOKEN is for GET /health and METRICS_TOKEN for GET /metrics; use the project's secret key"
    }
  }
}

/**
 * A token could not be checked, because the project's signing keys could not be had.
 *
 * **Units** `retryAfterSeconds` until they are asked for again.
 */
export class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{
  readonly detail: string
  readonly retryAfterSeconds: number
}> {
  override get message(): string {
    return `The project's signing keys are unavailable: ${this.detail}`
  }
}

/** Why a caller is not let in. */
export type AccessError = CredentialsRejected | NotAllowed | KeysUnavailable

/**
 * Identifies the caller from the request's headers alone, before anything is read or written.
 *
 * **Fails with** AccessError.
 */
export class Access extends Context.Service<
  Access,
  {
    readonly identify: (headers: {
      readonly get: (name: string) => string | null
    }) => Effect.Effect<Caller["Service"], AccessError>
  }
>()("pause-status-webhook-handler/services/Access") {}
