import * as Live from "./layers/Live.ts"
import * as WebHandler from "./layers/WebHandler.ts"
import { respond } from "./layers/WebhookHttp.ts"

/** The pause-status-webhook-handler as a fetch handler. Builds nothing before the first request. */
export const handler: WebHandler.WebHandler = WebHandler.make(Live.layer, respond)
