import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Check } from "../schema/Health.ts"

/**
 * What the handler depends on besides the database. Only read.
 *
 * **Shape** `orchestrator` whether it answers; `secrets` whether the handler has one to check deliveries with; `topics`
 * whether the functions of other topics, by name, have their settings, which count once the topic is captured.
 */
export class Surroundings extends Context.Service<
  Surroundings,
  {
    readonly orchestrator: Effect.Effect<Check>
    readonly secrets: Check
    readonly topics?: Readonly<Record<string, Check>>
  }
>()("pause-status-webhook-handler/services/Surroundings") {}
