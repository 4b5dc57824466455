import { problem } from "./problem.ts"
import { echoId, receive, type Rpc } from "./receive.ts"
import type { Validate } from "./webhook.ts"

export const PATH = "/api/v1/webhooks/pause-status"
export const FUNCTION = "/pause-status-webhook-handler"

/** Serves the one route without a router. */
export const serveOne =
  (validate: Validate, rpc: Rpc) =>
  async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    if (pathname !== PATH && pathname !== `${FUNCTION}${PATH}`) {
      return echoId(request, problem(404, "not_found", "There is nothing at this path"))
    }
    if (request.method !== "POST") {
      return echoId(request, problem(405, "method_not_allowed", "This path answers POST", {}, { allow: "POST" }))
    }
    return echoId(request, await receive(request, validate, rpc))
  }
