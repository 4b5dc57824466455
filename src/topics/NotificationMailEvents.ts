import { type ManagedTopic, plain } from "../services/ManagedTopics.ts"

/** How people manage the mails to coordinators, which are off until outbox.mail_notifications(true). */
export const notificationMailEvents: ManagedTopic = { ...plain("notification-mail"), isOptional: true }
