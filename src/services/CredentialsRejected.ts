import * as Data from "effect/Data"

/**
 * The caller is nobody we know: no credentials, or none that are valid. What a token claims is looked at only after its
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
