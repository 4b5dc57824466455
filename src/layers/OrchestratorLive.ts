import * as Layer from "effect/Layer"
import * as Config from "./Config.ts"
import { HttpLimits } from "./Http.ts"
import * as NotificationStoreSupabase from "./NotificationStoreSupabase.ts"
import { ProjectKey } from "./ProjectKey.ts"
import * as SupabaseRest from "./SupabaseRest.ts"

/** The services of the orchestrator as it runs on Supabase, configured by the environment. */
export const layer = Layer.mergeAll(
  Layer.provide(NotificationStoreSupabase.layer, SupabaseRest.layer),
  ProjectKey.layer,
  HttpLimits.layer
).pipe(Layer.provide(Config.fromEnvironment))
