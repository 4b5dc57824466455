/** What is put on a connection: bytes, a pause, or an end. */
export type Piece = Buffer | number | "half-close" | "hang up"

/**
 * What one reply may be, in words: `400 malformed_json` for a problem, `200 no_change`, `200 notified`, `200 batch`.
 * `server` is the HTTP server's own refusal of what is no HTTP, `closed` a connection that ended without a reply.
 */
export interface Expected {
  readonly words: ReadonlyArray<string>
  readonly method: string
  /** What was asked for, where the document is to be consulted. */
  readonly target?: string
  /** The signed webhook-id, when it must come back. */
  readonly webhookId?: string
  /** For `200 batch`: what each result may be. */
  readonly items?: ReadonlyArray<ReadonlyArray<string>>
}

/** One conversation with the function: what is said, and what may be answered. */
export interface Input {
  readonly kind: string
  readonly pieces: ReadonlyArray<Piece>
  readonly replies: ReadonlyArray<Expected>
  /** On a connection of its own, which must be closed at the end. */
  readonly alone: boolean
  /** The event that this is really a delivery of: the only inputs that may reach the orchestrator. */
  readonly genuine?: { readonly eventId: string; readonly mentorId: string }
}

/** What inputs are made of besides their seed. */
export interface World {
  readonly secret: string
  /** Mentors with coordinators, who would be told if anything of a bad input came through. */
  readonly mentorIds: ReadonlyArray<string>
  /** Events of theirs that were told before. */
  readonly eventIds: ReadonlyArray<string>
  readonly jwt: { readonly issuer: string; readonly secret: string }
  readonly serviceKey: string
  readonly publishableKey: string
  readonly bodyTimeoutMillis: number
  readonly maxBodyBytes: number
}

/** In every value that a reply or a log line must not repeat. */
export const CANARY = "canary-5e1f"
