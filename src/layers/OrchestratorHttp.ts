import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Receipt } from "../schema/PauseEvent.ts"
import type { NotificationStore } from "../services/NotificationStore.ts"
import { notifyCoordinators } from "../services/PauseOrchestrator.ts"
import * as Http from "./Http.ts"
import { ProjectKey } from "./ProjectKey.ts"

/** Where events are posted: at the function itself, with or without a slash. */
const route: Http.Route = { functionName: "pause-notification-orchestrator", path: "/" }

/** What the orchestrator's POST needs. */
export type OrchestratorServices = NotificationStore | ProjectKey | Http.HttpLimits

const encodeReceipt = Schema.encodeSync(Schema.fromJsonString(Receipt))

const order = Effect.fnUntraced(function* (request: Request) {
  yield* Http.expectPost(request, route)
  const projectKey = yield* ProjectKey
  yield* projectKey.check(request.headers)
  const body = yield* Http.readJson(request)
  return yield* notifyCoordinators(body, request.headers.get("idempotency-key") ?? undefined)
}, Http.logFailure)

/** The reply to any request: 200 with the receipt, which is the first one's for an event that was told before. */
export const respond = (request: Request): Effect.Effect<Response, never, OrchestratorServices> =>
  Http.reply(request, order(request), ({ receipt }) => encodeReceipt(receipt))
