import * as Layer from "effect/Layer"
import { type ManagedTopic, ManagedTopics } from "../services/ManagedTopics.ts"
import * as AccessSupabase from "./AccessSupabase.ts"
import * as Config from "./Config.ts"
import * as EventStoreSupabase from "./EventStoreSupabase.ts"
import { HttpLimits } from "./Http.ts"
import { ManagementHttp } from "./ManagementHttp.ts"
import * as SupabaseRest from "./SupabaseRest.ts"
import * as SurroundingsHttp from "./SurroundingsHttp.ts"

/** The management routes of some topics as they run on Supabase, configured by the environment. */
export const layerOf = (...topics: ReadonlyArray<ManagedTopic>) =>
  ManagementHttp.layer.pipe(
    Layer.provide(
      Layer.mergeAll(
        AccessSupabase.layer,
        Layer.provide(EventStoreSupabase.layer, SupabaseRest.layer),
        Layer.succeed(ManagedTopics, topics),
        SurroundingsHttp.layer,
        HttpLimits.layer
      )
    ),
    Layer.provide(Config.fromEnvironment)
  )
