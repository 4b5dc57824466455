import * as Layer from "effect/Layer"
import * as Logging from "./layers/Logging.ts"
import { ManagementHttp } from "./layers/ManagementHttp.ts"
import * as ManagementLive from "./layers/ManagementLive.ts"
import * as WebHandler from "./layers/WebHandler.ts"
import { notificationMailEvents } from "./topics/NotificationMailEvents.ts"
import { pauseStatusEvents } from "./topics/PauseStatusEvents.ts"

/** Everything but deliveries, as a fetch handler. A separate bundle, which main.ts loads on demand. */
export const handler: WebHandler.WebHandler = WebHandler.make(
  Layer.provideMerge(ManagementLive.layerOf(pauseStatusEvents, notificationMailEvents), Logging.layer),
  (request) => ManagementHttp.use(({ respond }) => respond(request))
)
