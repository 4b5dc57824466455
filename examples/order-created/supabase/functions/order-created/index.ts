import * as Layer from "effect/Layer"
import { HttpLimits, receive, WebHandler } from "pause-status-webhook-handler/http"
import {
  DedupeStoreSupabase,
  fromEnvironment,
  Logging,
  MailerResend,
  SignatureVerifierWebCrypto,
  SupabaseRest
} from "pause-status-webhook-handler/supabase"
import * as Invoices from "../../../src/Invoices.ts"
import { orderCreated } from "../../../src/OrderCreated.ts"

const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  DedupeStoreSupabase.layer,
  MailerResend.layer,
  Invoices.layer
).pipe(Layer.provideMerge(SupabaseRest.layer), Layer.provide(fromEnvironment), Layer.provideMerge(Logging.layer))

export default { fetch: WebHandler.make(services, receive(orderCreated)) }
