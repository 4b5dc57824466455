import * as Layer from "effect/Layer"
import * as Logging from "./layers/Logging.ts"
import * as SendEmailHttp from "./layers/SendEmailHttp.ts"
import * as SendEmailLive from "./layers/SendEmailLive.ts"
import * as WebHandler from "./layers/WebHandler.ts"

/** The function send-email as a fetch handler. Builds nothing before the first request. */
export const handler: WebHandler.WebHandler = WebHandler.make(
  Layer.provideMerge(SendEmailLive.layer, Logging.layer),
  SendEmailHttp.respond
)
