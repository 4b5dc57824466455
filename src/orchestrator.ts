import * as Layer from "effect/Layer"
import * as Logging from "./layers/Logging.ts"
import * as OrchestratorHttp from "./layers/OrchestratorHttp.ts"
import * as OrchestratorLive from "./layers/OrchestratorLive.ts"
import * as WebHandler from "./layers/WebHandler.ts"

/** The pause-notification-orchestrator as a fetch handler. Builds nothing before the first request. */
export const handler: WebHandler.WebHandler = WebHandler.make(
  Layer.provideMerge(OrchestratorLive.layer, Logging.layer),
  OrchestratorHttp.respond
)
