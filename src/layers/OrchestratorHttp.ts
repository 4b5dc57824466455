import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Receipt } from "../schema/Receipt.ts"
import { OrchestratorBatchReply } from "../schema/OrchestratorReplies.ts"
import type { NotificationStore, Written } from "../topics/NotificationStore.ts"
import { notifyCoordinators, type Orchestrated } from "../topics/PauseOrchestrator.ts"
import * as Http from "./Http.ts"
import { table } from "./Problems.ts"
import { ProjectKey } from "./ProjectKey.ts"

/** Where events are posted: at the function itself, with or without a slash. */
const route: Http.Route = { functionName: "pause-notification-orchestrator", path: "/" }

/** What the orchestrator's POST needs. */
export type OrchestratorServices = NotificationStore | ProjectKey | Http.HttpLimits

const encodeReply = Schema.encodeSync(Schema.fromJsonString(Schema.Union([OrchestratorBatchReply, Receipt])))

const toResult = ({ event: { eventId }, result }: Orchestrated) =>
  Result.isSuccess(result)
    ? { eventId, status: 200, receipt: result.success.receipt }
    : { eventId, status: table[result.failure._tag].status }

const toJson = (told: Written | ReadonlyArray<Orchestrated>): string =>
  encodeReply("receipt" in told ? told.receipt : { results: told.map(toResult) })

const order = Effect.fnUntraced(function* (request: Request) {
  yield* Http.expectPost(request, route)
  const projectKey = yield* ProjectKey
  yield* projectKey.check(request.headers)
  const body = yield* Http.readJson(request)
  return yield* notifyCoordinators(body, request.headers.get("idempotency-key") ?? undefined)
}, Http.logFailure)

/**
 * The reply to any request: 200 with the receipt, which is the first one's if the event was notified before; for an
 * array 200 with each event's own status and receipt.
 */
export const respond = (request: Request): Effect.Effect<Response, never, OrchestratorServices> =>
  Http.reply(request, order(request), toJson)
