import * as Layer from "effect/Layer"
import { HttpLimits, receive, WebHandler } from "pause-status-webhook-handler/http"
import {
  DedupeStoreSupabase,
  Logging,
  SignatureVerifierWebCrypto,
  SupabaseRest
} from "pause-status-webhook-handler/supabase"
import { opportunityStage } from "../../../src/OpportunityStage.ts"

const services = Layer.mergeAll(SignatureVerifierWebCrypto.layer, HttpLimits.layer, DedupeStoreSupabase.layer).pipe(
  Layer.provideMerge(SupabaseRest.layer),
  Layer.provideMerge(Logging.layer)
)

export default { fetch: WebHandler.make(services, receive(opportunityStage)) }
