// pause-status-webhook-handler/supabase: the live layers, configured by the environment, and the deployed functions.

export * as Live from "../layers/Live.ts"
export * as ManagementLive from "../layers/ManagementLive.ts"
export * as OrchestratorLive from "../layers/OrchestratorLive.ts"

export * as SupabaseRest from "../layers/SupabaseRest.ts"
export * as DedupeStoreSupabase from "../layers/DedupeStoreSupabase.ts"
export * as EventStoreSupabase from "../layers/EventStoreSupabase.ts"
export * as NotificationStoreSupabase from "../layers/NotificationStoreSupabase.ts"
export * as AccessSupabase from "../layers/AccessSupabase.ts"
export * as SignatureVerifierWebCrypto from "../layers/SignatureVerifierWebCrypto.ts"
export * as OrchestratorClientHttp from "../layers/OrchestratorClientHttp.ts"
export * as MailerResend from "../layers/MailerResend.ts"
export * as SurroundingsHttp from "../layers/SurroundingsHttp.ts"

export { ProjectKey } from "../layers/ProjectKey.ts"
export { Environment, fromEnvironment, Misconfigured } from "../layers/Config.ts"
export { Fetch } from "../layers/Fetch.ts"

export { handler } from "../main.ts"
export { handler as orchestratorHandler } from "../orchestrator.ts"
