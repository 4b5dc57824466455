import * as Layer from "effect/Layer"
import * as Config from "./Config.ts"
import * as DedupeStoreSupabase from "./DedupeStoreSupabase.ts"
import { HttpLimits } from "./Http.ts"
import * as Logging from "./Logging.ts"
import * as OrchestratorClientHttp from "./OrchestratorClientHttp.ts"
import * as SignatureVerifierWebCrypto from "./SignatureVerifierWebCrypto.ts"
import * as SupabaseRest from "./SupabaseRest.ts"

/** The webhook handler as it runs on Supabase, configured by the environment. */
export const layer = Layer.mergeAll(
  // It speaks while it is built.
  Layer.provide(SignatureVerifierWebCrypto.layer, Logging.layer),
  Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.layer),
  OrchestratorClientHttp.layer,
  HttpLimits.layer,
  Logging.layer
).pipe(Layer.provide(Config.fromEnvironment))
