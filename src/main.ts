import * as Layer from "effect/Layer"
import { deliveries, isPostTo } from "./layers/Http.ts"
import * as Live from "./layers/Live.ts"
import * as Logging from "./layers/Logging.ts"
import * as WebHandler from "./layers/WebHandler.ts"
import { receive } from "./layers/WebhookHttp.ts"
import { pauseStatus } from "./topics/PauseStatus.ts"

const webhook = WebHandler.make(Layer.provideMerge(Live.layer, Logging.layer), receive(pauseStatus))
const management = WebHandler.lazy("management.mjs", () => import("./management.ts"))

/** The pause-status-webhook-handler as a fetch handler. Builds and loads nothing before the first request. */
export const handler: WebHandler.WebHandler = (request) =>
  isPostTo(request, deliveries) ? webhook(request) : management(request)
