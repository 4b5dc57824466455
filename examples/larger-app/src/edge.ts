import { Layer } from "effect"
import { HttpLimits, receive, WebHandler } from "pause-status-webhook-handler/http"
import { DedupeStoreSupabase, SignatureVerifierWebCrypto, SupabaseRest } from "pause-status-webhook-handler/supabase"
import { Mailer } from "./Mailer.ts"
import { orderCreated } from "./OrderCreated.ts"

const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.layer),
  Mailer.layer
)

/** The topic as a fetch handler, for its own Edge Function. */
export default { fetch: WebHandler.make(services, receive(orderCreated)) }
