import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { HttpLimits, receive, WebHandler } from "pause-status-webhook-handler/http"
import { DedupeStoreSupabase, SignatureVerifierWebCrypto, SupabaseRest } from "pause-status-webhook-handler/supabase"
import { opportunityStage } from "../../../src/OpportunityStage.ts"

const services = Layer.mergeAll(SignatureVerifierWebCrypto.layer, HttpLimits.layer, DedupeStoreSupabase.layer).pipe(
  Layer.provideMerge(SupabaseRest.layer),
  Layer.provideMerge(Logger.layer([Logger.consoleJson]))
)

export default { fetch: WebHandler.make(services, receive(opportunityStage)) }
