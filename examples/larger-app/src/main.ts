import { createServer } from "node:http"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import * as Mentors from "./Mentors.ts"
import * as Observability from "./Observability.ts"
import { Supabase } from "./Supabase.ts"
import * as Webhooks from "./Webhooks.ts"

const server = Layer.unwrap(
  Effect.map(Config.Int("PORT").pipe(Config.withDefault(3000)), (port) => NodeHttpServer.layer(createServer, { port }))
)

const app = HttpRouter.serve(Layer.merge(Mentors.layer, Webhooks.layer)).pipe(
  Layer.provide([server, Supabase.layer]),
  Layer.provide(Observability.layer)
)

// On SIGTERM, the server stops accepting connections and answers deliveries in progress before the process ends.
NodeRuntime.runMain(Layer.launch(app))
