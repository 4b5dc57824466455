import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import type { Project } from "./Project.ts"

/** An error of this process, in the form of the project's errors. */
export const problem = (status: number, code: string, detail: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ status, code, detail }, { status, contentType: "application/problem+json" })

const unreachable = (detail: string) => problem(502, "project_unreachable", detail)

const LIMIT = "15 seconds"

/**
 * Forwards a request and its answer, whose type must be this one. Follows no redirect, which would send the key elsewhere.
 */
const ask = Effect.fnUntraced(
  function* (request: HttpClientRequest.HttpClientRequest, type: RegExp) {
    const response = yield* HttpClient.execute(request)
    if (response.status >= 300 && response.status < 400)
      return unreachable("The project answered with a redirect, which is not followed. Check --url.")
    const { "content-type": contentType = "application/json", "retry-after": retryAfter } = response.headers
    if (response.status === 200 && !type.test(contentType))
      return unreachable(`The project answered with ${contentType.slice(0, 40)}. Check --url.`)
    return HttpServerResponse.text(yield* response.text, {
      status: response.status,
      contentType,
      headers: retryAfter === undefined ? {} : { "retry-after": retryAfter }
    })
  },
  (effect) =>
    effect.pipe(
      Effect.catchTag("HttpClientError", () => Effect.succeed(unreachable("The project does not answer."))),
      Effect.timeoutOrElse({
        duration: LIMIT,
        orElse: () => Effect.succeed(unreachable(`The project did not answer within ${LIMIT}.`))
      }),
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
    )
)

const READS = /^\/(?:health|api\/v1\/webhooks\/[a-z0-9-]+(?:\/[\w-]+)?)$/
const CHANGES = /^\/api\/v1\/webhooks\/[a-z0-9-]+\/[\w-]+$/

/** What the page may ask of the project: to read, and to redrive, resolve or cancel one event. */
export const isAllowed = (method: string, path: string, readOnly: boolean): boolean =>
  method === "GET" ? READS.test(path) : method === "PUT" && !readOnly && CHANGES.test(path)

/** Asks the project, with the key, which only this process has. */
export const askProject = (
  { key, url }: Project,
  request: { readonly method: "GET" | "PUT"; readonly path: string; readonly body?: string }
) =>
  ask(
    HttpClientRequest.make(request.method)(url + request.path).pipe(
      HttpClientRequest.setHeader("apikey", Redacted.value(key)),
      HttpClientRequest.acceptJson,
      request.body === undefined ? (same) => same : HttpClientRequest.bodyText(request.body, "application/json")
    ),
    /json/
  )

/** A mail is foreign HTML, so its frame may run and load nothing. */
export const MAIL_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"

export const askMails = (url: string, path: string) => ask(HttpClientRequest.get(url + path), /json|text/)
