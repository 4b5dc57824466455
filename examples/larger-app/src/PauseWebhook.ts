import { Effect, Layer } from "effect"
import { pauseStatus } from "pause-status-webhook-handler"
import { HttpLimits, WebhookRouter } from "pause-status-webhook-handler/http"
import { DedupeStoreSupabase, SignatureVerifierWebCrypto, SupabaseRest } from "pause-status-webhook-handler/supabase"
import * as Orchestrator from "./Orchestrator.ts"
import { Supabase } from "./Supabase.ts"

/** What the handler needs: three layers of the package over the app's own client, and the app's own orchestrator. */
const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  DedupeStoreSupabase.layer,
  Orchestrator.layer
).pipe(Layer.provide(Layer.unwrap(Effect.map(Supabase, SupabaseRest.fromClient))))

/** POST /api/v1/webhooks/pause-status */
export const layer = Layer.provide(WebhookRouter.layer(pauseStatus), services)
