import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { timingSafeEqual } from "node:crypto"
import { askMails, askProject, isAllowed, MAIL_POLICY, problem } from "./forward.ts"
import type { PageFile } from "./Page.ts"
import { isLocal, type Project } from "./Project.ts"

/** What a console serves, and its secret path. */
export interface Served {
  readonly project: Project
  readonly page: ReadonlyMap<string, PageFile>
  readonly token: string
  readonly port: number
}

const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

// Answers of the project are data, whatever type it gives them: opened by themselves, they run and load nothing.
const DATA_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"

const guarded = HttpServerResponse.setHeaders({
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff"
})

const isSame = (given: string, token: string): boolean =>
  given.length === token.length && timingSafeEqual(Buffer.from(given), Buffer.from(token))

/** Whether the request comes from the console's own page, and not from another page in the same browser. */
const isOwn = ({ headers, url }: HttpServerRequest.HttpServerRequest, { port, token }: Served): boolean => {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`]
  const { host = "", origin, "sec-fetch-site": site = "none" } = headers
  return (
    // A foreign name may resolve to this machine (DNS rebinding).
    hosts.includes(host) &&
    (origin === undefined || origin === `http://${host}`) &&
    (site === "none" || site === "same-origin") &&
    isSame(url.slice(1, 1 + token.length), token) &&
    /^[/?]?$/.test(url.charAt(1 + token.length))
  )
}

const configOf = ({ project }: Served) => ({
  project: new URL(project.url).host,
  url: project.url,
  readOnly: project.readOnly,
  mails: project.mailsUrl !== undefined,
  everyMs: isLocal(project) ? 1_000 : 3_000
})

const respond = Effect.fnUntraced(function* (served: Served, request: HttpServerRequest.HttpServerRequest) {
  const { page, project, token } = served
  const { method, url } = request
  const [path = "", query] = url.slice(1 + token.length).split("?")
  if (path.startsWith("/api/")) {
    const asked = path.slice("/api".length)
    if (!isAllowed(method, asked, project.readOnly))
      return problem(405, "method_not_allowed", "The console does not do this.")
    const target = query === undefined ? asked : `${asked}?${query}`
    const data = yield* method === "GET"
      ? askProject(project, { method, path: target })
      : askProject(project, { method: "PUT", path: target, body: yield* request.text })
    return HttpServerResponse.setHeader(data, "content-security-policy", DATA_POLICY)
  }
  if (method !== "GET") return problem(405, "method_not_allowed", "The console does not do this.")
  if (path === "") return HttpServerResponse.redirect(`/${token}/`)
  if (path === "/config.json") return HttpServerResponse.jsonUnsafe(configOf(served))
  if (project.mailsUrl !== undefined && /^\/mails(?:\.json|\/[\w-]+\.(?:html|txt))$/.test(path)) {
    const mails = yield* askMails(project.mailsUrl, path)
    return HttpServerResponse.setHeader(mails, "content-security-policy", MAIL_POLICY)
  }
  const file = page.get(path === "/" ? "index.html" : path.slice(1))
  if (file === undefined) return problem(404, "not_found", "There is nothing at this path.")
  return HttpServerResponse.text(file.text, {
    contentType: `${file.type}; charset=utf-8`,
    headers: { "content-security-policy": PAGE_POLICY }
  })
})

/** Answers one request. */
export const answer = Effect.fnUntraced(function* (served: Served) {
  const request = yield* HttpServerRequest.HttpServerRequest
  if (!isOwn(request, served))
    return guarded(problem(403, "forbidden", "Open the address that the console printed when it started."))
  return guarded(yield* respond(served, request))
})
