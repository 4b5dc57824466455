// pause-status-webhook-handler/topic: the engine, for topics of your own.

export { each, make, type Options, receive, type Topic } from "../services/Topic.ts"
export type { Handler } from "../services/Handler.ts"
export { type EventMeta, type Extracted, type NoChange, NoEventTime, type Reading } from "../services/Extract.ts"
export * as Traced from "../layers/Traced.ts"
export { EventId, EventTime, Version } from "../schema/Identifiers.ts"
export { type AnyPayload, envelope } from "../schema/Envelope.ts"
export { reachedNobody, Receipt } from "../schema/Receipt.ts"
export { Issue } from "../schema/Replies.ts"

export type {
  BatchItem,
  Ended,
  EventError,
  Handled,
  HandledBatch,
  PayloadError,
  Seen,
  TopicError,
  WebhookError
} from "../services/Outcome.ts"
export { InvalidPayload, MalformedBody, parseBody, type StockTable, toIssues } from "../services/Payload.ts"
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
  type Next,
  type OutboxEvent,
  PayloadMismatch,
  type Release,
  type ReleaseReason,
  type Settled,
  type SettledBatch,
  type Settlement
} from "../services/DedupeStore.ts"

export { Caller } from "../schema/Caller.ts"
export { Access, type AccessError, KeysUnavailable, NotAllowed } from "../services/Access.ts"
export { CredentialsRejected } from "../services/CredentialsRejected.ts"
export { type ManagedTopic, ManagedTopics, plain, TopicUnknown } from "../services/ManagedTopics.ts"
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

export {
  Mail,
  MailAddress,
  type MailError,
  Mailer,
  MailRejected,
  MailSender,
  MailUnavailable
} from "../services/Mailer.ts"
