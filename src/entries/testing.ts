// pause-status-webhook-handler/testing: layers that keep everything in the process, and signed deliveries.

export * as DedupeStoreMemory from "../layers/DedupeStoreMemory.ts"
export * as EventStoreMemory from "../layers/EventStoreMemory.ts"
export * as OrchestratorClientMemory from "../layers/OrchestratorClientMemory.ts"
export * as MailerMemory from "../layers/MailerMemory.ts"
export { type DeliveryToSign, signDelivery } from "../layers/DeliverySigner.ts"
