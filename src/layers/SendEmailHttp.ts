import * as Effect from "effect/Effect"
import type { Mailer } from "../services/Mailer.ts"
import { sendMail } from "../services/SendMail.ts"
import type { MailReceipts } from "../topics/MailReceipts.ts"
import { notificationMail } from "../topics/NotificationMail.ts"
import * as Http from "./Http.ts"
import { ProjectKey } from "./ProjectKey.ts"
import { receive, type WebhookServices } from "./WebhookHttp.ts"

/** Where a program of the project's own asks for a mail: at the function itself, with or without a slash. */
const route: Http.Route = { functionName: "send-email", path: "/" }

/** What the function send-email needs. */
export type SendEmailServices = WebhookServices | Mailer | MailReceipts | ProjectKey

const receiveNotification = receive(notificationMail)

const send = Effect.fnUntraced(function* (request: Request) {
  yield* Http.expectPost(request, route)
  const projectKey = yield* ProjectKey
  yield* projectKey.check(request.headers)
  const body = yield* Http.readJson(request)
  return yield* sendMail(body, request.headers.get("idempotency-key") ?? undefined)
}, Http.logFailure)

const toJson = (message_id: string): string => JSON.stringify({ success: true, message_id })

/**
 * The reply to any request. A POST with the header webhook-id is a delivery of the topic notification-mail, whatever its
 * path; any other POST asks for one mail, with the project's key.
 */
export const respond = (request: Request): Effect.Effect<Response, never, SendEmailServices> =>
  request.method === "POST" && request.headers.has("webhook-id")
    ? receiveNotification(request)
    : Http.reply(request, send(request), toJson)
