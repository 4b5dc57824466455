// pause-status-webhook-handler/http: the program as routes of an HttpRouter, and as a fetch handler.

export * as WebhookRouter from "../layers/WebhookRouter.ts"
export * as ManagementApi from "../layers/ManagementApi.ts"
export * as OrchestratorHttp from "../layers/OrchestratorHttp.ts"
export { ManagementHttp } from "../layers/ManagementHttp.ts"
export * as WebHandler from "../layers/WebHandler.ts"
export { receive, type WebhookServices } from "../layers/WebhookHttp.ts"
export { expectPost, HttpLimits, readJson, type Route } from "../layers/Http.ts"
export { discardBody } from "../layers/RequestBody.ts"
export { Misconfigured } from "../layers/Config.ts"
export { type ReplyError, toProblem, toResponse } from "../layers/Problems.ts"
export { Api } from "../schema/Api.ts"
export { eventsPath, topicPath, webhooksPath } from "../schema/Paths.ts"
