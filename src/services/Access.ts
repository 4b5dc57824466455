import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Caller } from "../schema/Caller.ts"

/**
 * The caller is unknown: no valid credentials. What a token claims is looked at only after its
 * signature, so a reason never helps to forge one.
 */
export class CredentialsRejected extends Data.TaggedError("CredentialsRejected")<{
  readonly reason:
    | "missing"
    | "unknown"
    | "malformed"
    | "signature"
    | "expired"
    | "not_yet_valid"
    | "issuer"
    | "audience"
    | "subject"
}> {
  override get message(): string {
    switch (this.reason) {
      case "missing":
        return "Send the project's secret key in the apikey header, or a user's token as Authorization: Bearer"
      case "unknown":
        return "The key is none of the project's secret keys"
      case "malformed":
        return "The bearer token is neither a secret key of the project nor a token that this function takes"
      case "signature":
        return "None of the project's signing keys made this token"
      case "expired":
        return "The token has expired: sign in again"
      case "not_yet_valid":
        return "The token is not valid yet: its nbf is in the future"
      case "issuer":
        return "The token is from another issuer than this project"
      case "audience":
        return "The token is for another audience than authenticated"
      case "subject":
        return "The token has no sub that is a uuid"
    }
  }
}

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
