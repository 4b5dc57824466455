import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ContinueMillis } from "../services/Continue.ts"
import * as Config from "./Config.ts"
import * as DedupeStoreSupabase from "./DedupeStoreSupabase.ts"
import { HttpLimits } from "./Http.ts"
import * as OrchestratorClientHttp from "./OrchestratorClientHttp.ts"
import * as OrchestratorClientTriggerDev from "./OrchestratorClientTriggerDev.ts"
import * as SignatureVerifierWebCrypto from "./SignatureVerifierWebCrypto.ts"
import * as SupabaseRest from "./SupabaseRest.ts"
import { OrchestratorClient } from "../topics/OrchestratorClient.ts"

const orchestratorClient = Layer.effect(
  OrchestratorClient,
  Effect.flatMap(Config.orchestrator, (name) =>
    name === "http" ? OrchestratorClientHttp.make : OrchestratorClientTriggerDev.make
  )
)

/**
 * The services of the webhook handler as it runs on Supabase, configured by the environment. They log through whatever
 * logger the program has. Built one after the other from below, each
 * with what is below it: to build them side by side takes a fiber for each, and none of them waits for anything long.
 */
export const layer = HttpLimits.layer.pipe(
  Layer.provideMerge(orchestratorClient),
  Layer.provideMerge(Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.layer)),
  Layer.provideMerge(SignatureVerifierWebCrypto.layer),
  Layer.provideMerge(Layer.effect(ContinueMillis, Config.continueMillis)),
  Layer.provide(Config.fromEnvironment)
)
