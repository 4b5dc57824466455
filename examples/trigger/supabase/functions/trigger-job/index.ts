// POST a database payload with the project's key to trigger the task for its table, once per event.
import * as Layer from "effect/Layer"
import { WebHandler } from "pause-status-webhook-handler/http"
import { fromEnvironment, ProjectKey } from "pause-status-webhook-handler/supabase"
import { respond } from "../../../src/TriggerJob.ts"

const services = Layer.provideMerge(ProjectKey.layer, fromEnvironment)

export default { fetch: WebHandler.make(services, respond) }
