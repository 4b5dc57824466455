import { Effect, Layer } from "effect"
import { pauseStatus } from "pause-status-webhook-handler"
import { HttpLimits, WebhookRouter } from "pause-status-webhook-handler/http"
import { DedupeStoreSupabase, SignatureVerifierWebCrypto, SupabaseRest } from "pause-status-webhook-handler/supabase"
import { Traced } from "pause-status-webhook-handler/topic"
import { Mailer } from "./Mailer.ts"
import * as Orchestrator from "./Orchestrator.ts"
import { orderCreated } from "./OrderCreated.ts"
import { Supabase } from "./Supabase.ts"

/** The outbox on the app's own client, shared by all topics. Each claim and settlement is a span. */
const store = Traced.layer.pipe(
  Layer.provide(DedupeStoreSupabase.layer),
  Layer.provide(Layer.unwrap(Effect.map(Supabase, SupabaseRest.fromClient)))
)

/** What the engine needs, and what the topics need from the app. */
const services = Layer.mergeAll(
  SignatureVerifierWebCrypto.layer,
  HttpLimits.layer,
  store,
  Orchestrator.layer,
  Mailer.layer
)

/** POST /api/v1/webhooks/pause-status and POST /api/v1/webhooks/order-created */
export const layer = Layer.mergeAll(
  WebhookRouter.layer(Traced.topic(pauseStatus)),
  WebhookRouter.layer(Traced.topic(orderCreated))
).pipe(Layer.provide(services))
