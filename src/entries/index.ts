// pause-status-webhook-handler: the topic pause-status, its data, its errors, and the services that it needs.

export {
  extractPauseEvent,
  handleWebhookEvent,
  type NoPauseEvent,
  pauseStatus,
  validatePayload
} from "../topics/PauseStatus.ts"
export { detectTransitionDirection, type Transition } from "../topics/Transition.ts"
export { notifyCoordinators, type Orchestrated, type OrchestrationError } from "../topics/PauseOrchestrator.ts"
export { pauseStatusEvents } from "../topics/PauseStatusEvents.ts"

export { notificationMail, type NotificationMailError } from "../topics/NotificationMail.ts"
export { notificationMailEvents } from "../topics/NotificationMailEvents.ts"
export {
  CoordinatorUnreachable,
  type MailEnd,
  MailFacts,
  MailReceipts,
  MailReceiptsUnavailable,
  type NotificationToMail,
  PerhapsMailed,
  Prepared
} from "../topics/MailReceipts.ts"
export { Html, html } from "../services/MailHtml.ts"
export { inTimeZone, MailTemplate, type MailText, type Told } from "../topics/MailTemplate.ts"

export { PauseEvent, PauseEvents } from "../schema/PauseEvent.ts"
export { InsertPayload, UpdatePayload, WebhookPayload } from "../schema/WebhookPayload.ts"
export { Direction, NoChangeReason, TransitionType } from "../schema/Transition.ts"
export { CoordinatorId, MentorId } from "../schema/Identifiers.ts"
export { packageVersion } from "../schema/PackageVersion.ts"

export {
  OrchestratorCircuitOpen,
  OrchestratorClient,
  type OrchestratorError,
  OrchestratorRefused,
  OrchestratorUnavailable
} from "../topics/OrchestratorClient.ts"
export {
  EventSuperseded,
  NotificationStore,
  NotificationStoreUnavailable,
  type WriteRefused,
  type Written
} from "../topics/NotificationStore.ts"

// What every topic needs, and what looks after events, is in ./topic.
export * from "./topic.ts"
