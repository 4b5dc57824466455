// POST { order_id } with the project's key makes the invoice of an order.
import { WebHandler } from "pause-status-webhook-handler/http"
import { respond } from "../../../src/invoice/GeneratePdfHttp.ts"
import * as GeneratePdfLive from "../../../src/invoice/GeneratePdfLive.ts"

export default { fetch: WebHandler.make(GeneratePdfLive.layer, respond) }
