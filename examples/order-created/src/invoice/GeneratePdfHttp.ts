import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  discardBody,
  expectPost,
  readJson,
  type ReplyError,
  type Route,
  toResponse
} from "pause-status-webhook-handler/http"
import { ProjectKey } from "pause-status-webhook-handler/supabase"
import { InvalidPayload, parseBody, toIssues } from "pause-status-webhook-handler/topic"
import { generatePdf, type NoInvoice } from "./GeneratePdf.ts"

const route: Route = { functionName: "generate-pdf", path: "/" }

const decodeRequest = Schema.decodeUnknownEffect(Schema.Struct({ order_id: Schema.String.check(Schema.isUUID()) }), {
  errors: "all"
})

interface Problem {
  readonly status: number
  readonly [member: string]: unknown
}

const rows: { readonly [Tag in NoInvoice["_tag"]]: readonly [status: number, title: string, code: string] } = {
  OrderUnknown: [404, "Not Found", "order_unknown"],
  OrderInvalid: [422, "Unprocessable Content", "order_invalid"],
  TotalMismatch: [422, "Unprocessable Content", "total_mismatch"],
  InvoiceUnprintable: [422, "Unprocessable Content", "unprintable_characters"],
  OrdersUnavailable: [502, "Bad Gateway", "orders_unavailable"],
  InvoiceStoreFailed: [502, "Bad Gateway", "storage_failed"]
}

// RFC 9457, like every other error of this project.
const problemOf = (error: NoInvoice): Problem => {
  const [status, title, code] = rows[error._tag]
  return {
    type: "about:blank",
    title,
    status,
    code,
    detail: error._tag === "OrderInvalid" ? "No invoice can be made for this order; issues says why" : error.message,
    ...("issues" in error && { issues: error.issues }),
    ...("characters" in error && { characters: error.characters }),
    ...(status === 502 && { retryable: error.release.kind === "transient" })
  }
}

const internal: Problem = {
  type: "about:blank",
  title: "Internal Server Error",
  status: 500,
  code: "internal",
  detail: "Something went wrong on our side; it has been logged"
}

const toReply = (problem: Problem): Response =>
  new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { "content-type": "application/problem+json" }
  })

const isNoInvoice = (error: NoInvoice | ReplyError): error is NoInvoice => Object.hasOwn(rows, error._tag)

const respondOnce = Effect.fnUntraced(function* (request: Request) {
  yield* expectPost(request, route)
  const projectKey = yield* ProjectKey
  yield* projectKey.check(request.headers)
  const body = yield* parseBody(yield* readJson(request))
  const { order_id: orderId } = yield* Effect.mapError(
    decodeRequest(body),
    (error) => new InvalidPayload({ issues: toIssues(error) })
  )
  const url = yield* generatePdf(orderId)
  yield* Effect.logInfo({ outcome: "invoiced", orderId })
  return Response.json({ success: true, pdf_url: url })
})

/**
 * The reply to any request: `{ success: true, pdf_url }`, or a problem. Takes `POST { order_id }` with the project's key.
 */
export const respond = (request: Request) =>
  respondOnce(request).pipe(
    Effect.catch((error) =>
      Effect.as(
        Effect.logWarning({ outcome: error._tag, detail: error.message }),
        isNoInvoice(error) ? toReply(problemOf(error)) : toResponse(error)
      )
    ),
    Effect.catchDefect((defect) => Effect.as(Effect.logError({ outcome: "defect" }, defect), toReply(internal))),
    Effect.tap(() => discardBody(request))
  )
