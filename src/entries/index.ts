// pause-status-webhook-handler: the program, its data, its errors, and the services that it needs.

export { handleWebhookEvent } from "../services/PauseWebhook.ts"
export { parseBody, validatePayload } from "../services/Payload.ts"
export { extractPauseEvent, type NoChange } from "../services/PauseEvents.ts"
export { detectTransitionDirection, type Transition } from "../services/Transition.ts"
export { notifyCoordinators, type Orchestrated, type OrchestrationError } from "../services/PauseOrchestrator.ts"

export { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
export { InsertPayload, UpdatePayload, WebhookBatch, WebhookPayload } from "../schema/WebhookPayload.ts"
export { Direction, NoChangeReason, TransitionType } from "../schema/Transition.ts"
export { EventId, EventTime, MentorId, Version } from "../schema/Identifiers.ts"
export { reachedNobody, Receipt } from "../schema/Receipt.ts"
export { Issue } from "../schema/Replies.ts"
export { packageVersion } from "../schema/PackageVersion.ts"

export type {
  BatchItem,
  EventError,
  Handled,
  HandledBatch,
  PayloadError,
  Seen,
  WebhookError
} from "../services/Outcome.ts"
export type { Notified } from "../services/Round.ts"
export { InvalidPayload, MalformedBody } from "../services/Payload.ts"
export { NoEventTime } from "../services/PauseEvents.ts"

export { ContinueMillis } from "../services/Continue.ts"
export {
  type Delivery,
  SignatureRejected,
  SignatureStale,
  SignatureVerifier,
  type Verified
} from "../services/SignatureVerifier.ts"
export {
  AlreadyProcessed,
  type Claim,
  type ClaimError,
  type ClaimRefused,
  DedupeStore,
  DedupeStoreUnavailable,
  EventDeadLettered,
  EventInFlight,
  EventNotInOutbox,
  EventOutOfOrder,
  EventUnstorable,
  fingerprint,
  PayloadMismatch,
  type ReleaseReason,
  type Settled,
  type SettledBatch,
  type Settlement
} from "../services/DedupeStore.ts"
export {
  OrchestratorCircuitOpen,
  OrchestratorClient,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../services/OrchestratorClient.ts"
export {
  EventSuperseded,
  NotificationStore,
  NotificationStoreUnavailable,
  type WriteRefused,
  type Written
} from "../services/NotificationStore.ts"

export { Caller } from "../schema/Caller.ts"
export { Access, type AccessError, CredentialsRejected, KeysUnavailable, NotAllowed } from "../services/Access.ts"
export {
  type Changed,
  EventNotFailed,
  EventNotSettled,
  type EventPage,
  type EventSelection,
  EventStore,
  type EventStoreHealth,
  EventStoreUnavailable,
  EventUnknown,
  type Redriven,
  RedriveSuperseded,
  type Resolved
} from "../services/EventStore.ts"
export { Surroundings } from "../services/Surroundings.ts"
