import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { request as send } from "node:http"
import type { PageFile } from "../../../cli/console/Page.ts"
import { Page } from "../../../cli/console/Page.ts"
import type { Project } from "../../../cli/console/Project.ts"
import { serve } from "../../../cli/console/serve.ts"
import { anEvent, type FakeProject, startProject } from "../../support/fakeProject.ts"

const page = new Map<string, PageFile>([
  ["index.html", { type: "text/html", text: "<!doctype html>" }],
  ["main.js", { type: "text/javascript", text: "1" }]
])

const base = "/api/v1/webhooks/pause-status"

interface Given {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

// fetch() would write Host and Origin itself, and tidy up the path.
const ask = (url: string, { body, headers = {}, method = "GET" }: Given = {}): Effect.Effect<Reply> =>
  Effect.callback((resume) => {
    const { hostname, origin, port } = new URL(url)
    const path = url.slice(origin.length)
    const outgoing = send({ hostname, port, path, method, headers, agent: false }, (incoming) => {
      let text = ""
      incoming.on("data", (part) => (text += part))
      incoming.on("end", () =>
        resume(Effect.succeed({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }))
      )
    })
    outgoing.end(body)
  })

const fakeProject = Effect.acquireRelease(
  Effect.promise(() => startProject()),
  (project) => Effect.promise(() => project[Symbol.asyncDispose]())
)

const projectOf = ({ apiUrl, serviceKey }: FakeProject): Project => ({
  url: `${apiUrl}/functions/v1/pause-status-webhook-handler`,
  key: Redacted.make(serviceKey),
  readOnly: false
})

/** A console of a project in memory, and how to ask it. */
const opened = Effect.fnUntraced(function* (options: Partial<Project> = {}) {
  const project = yield* fakeProject
  const url = yield* serve({ ...projectOf(project), ...options }, 0).pipe(Effect.provideService(Page, page))
  return { project, url, get: (path: string, given?: Given) => ask(url + path, given) }
})

const problemOf = ({ text }: Reply): unknown => JSON.parse(text).code

describe("the console's address", () => {
  it.effect("is on loopback, with a new path each time that nobody can guess", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* opened(), yield* opened()]
      assert.match(one.url, /^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/)
      assert.notStrictEqual(new URL(one.url).pathname, new URL(other.url).pathname)
    })
  )

  it.effect("serves the page with a policy that lets it load nothing from elsewhere and be framed by nobody", () =>
    Effect.gen(function* () {
      const { get } = yield* opened()
      const index = yield* get("")
      assert.deepInclude(index, { status: 200, text: "<!doctype html>" })
      assert.strictEqual(index.headers["content-type"], "text/html; charset=utf-8")
      const policy = String(index.headers["content-security-policy"])
      assert.match(policy, /^default-src 'none'; script-src 'self';.*frame-ancestors 'none'$/)
      assert.strictEqual(index.headers["referrer-policy"], "no-referrer")
      assert.strictEqual((yield* get("main.js")).headers["content-type"], "text/javascript; charset=utf-8")
      assert.strictEqual((yield* get("other.js")).status, 404)
      assert.strictEqual((yield* get("../../etc/passwd")).status, 404)
    })
  )

  it.effect("is refused without the right path, before the project is asked", () =>
    Effect.gen(function* () {
      const { project, url } = yield* opened()
      const { origin, pathname } = new URL(url)
      const other = pathname.replace(/[0-9a-f]/, (digit) => (digit === "0" ? "1" : "0"))
      const paths = [
        "/",
        "/api/health",
        `${other}api/health`,
        `${pathname.slice(0, -2)}/api/health`,
        `${pathname.slice(0, -1)}0/api/health`
      ]
      for (const path of paths) assert.strictEqual((yield* ask(origin + path)).status, 403, path)
      assert.deepStrictEqual(project.asked, [])
    })
  )

  it.effect("refuses other names of this machine, and other pages in the same browser", () =>
    Effect.gen(function* () {
      const { get, project, url } = yield* opened()
      const { host } = new URL(url)
      const refused = [
        { host: `evil.example:${new URL(url).port}` },
        { host, origin: "https://evil.example" },
        { host, origin: "null" },
        { host, "sec-fetch-site": "cross-site" },
        { host, "sec-fetch-site": "same-site" }
      ]
      for (const headers of refused) {
        const reply = yield* get("api/health", { headers })
        assert.deepStrictEqual([reply.status, problemOf(reply)], [403, "forbidden"], JSON.stringify(headers))
      }
      assert.deepStrictEqual(project.asked, [])
      const own = { host, origin: `http://${host}`, "sec-fetch-site": "same-origin" }
      assert.strictEqual((yield* get("api/health", { headers: own })).status, 200)
      const byName = { host: host.replace("127.0.0.1", "localhost") }
      assert.strictEqual((yield* get("api/health", { headers: byName })).status, 200)
    })
  )
})

describe("what the page asks of the project", () => {
  it.effect("gets the key on its way, and no answer contains it", () =>
    Effect.gen(function* () {
      const { get, project } = yield* opened()
      project.add(anEvent())
      const replies = [
        yield* get("api/health"),
        yield* get(`api${base}?limit=1`),
        yield* get("config.json"),
        yield* get("")
      ]
      for (const { headers, status, text } of replies) {
        assert.strictEqual(status, 200)
        assert.notInclude(JSON.stringify(headers) + text, project.serviceKey)
      }
      assert.lengthOf(JSON.parse(replies[1]?.text ?? "").events, 1)
      const path = "/functions/v1/pause-status-webhook-handler"
      assert.deepStrictEqual(project.asked, [`GET ${path}/health`, `GET ${path}${base}?limit=1`])
    })
  )

  it.effect("is a list, an event, a change of one event, or the health, and nothing else", () =>
    Effect.gen(function* () {
      const { get, project } = yield* opened()
      const event = anEvent({ status: "pending", receipt: null })
      project.add(event)
      const body = JSON.stringify({ status: "resolved", dryRun: true })
      const changed = yield* get(`api${base}/${event.eventId}`, { method: "PUT", body })
      assert.strictEqual(JSON.parse(changed.text).outcome, "would_cancel")
      const before = project.asked.length
      const refused: ReadonlyArray<readonly [string, string]> = [
        ["DELETE", `api${base}/${event.eventId}`],
        ["POST", `api${base}`],
        ["PUT", `api${base}`],
        ["GET", "api/openapi.json"],
        ["GET", `api${base}/../../../rest/v1/mentors`],
        ["GET", `api${base}/%2e%2e/x`],
        ["POST", ""]
      ]
      for (const [method, path] of refused)
        assert.include([403, 405], (yield* get(path, { method })).status, `${method} ${path}`)
      assert.lengthOf(project.asked, before)
      assert.strictEqual(project.state.events.size, 1)
    })
  )

  it.effect("changes nothing with --read-only", () =>
    Effect.gen(function* () {
      const { get, project } = yield* opened({ readOnly: true })
      const event = anEvent({ status: "pending", receipt: null })
      project.add(event)
      const reply = yield* get(`api${base}/${event.eventId}`, { method: "PUT", body: '{"status":"resolved"}' })
      assert.strictEqual(reply.status, 405)
      assert.strictEqual(JSON.parse((yield* get("config.json")).text).readOnly, true)
      assert.strictEqual(project.state.events.get(event.eventId)?.status, "pending")
    })
  )

  it.effect("gets the project's answer, with its problem and its Retry-After", () =>
    Effect.gen(function* () {
      const { get, project } = yield* opened()
      project.instead.answer = () =>
        Response.json({ code: "store_unavailable" }, { status: 503, headers: { "retry-after": "5" } })
      const reply = yield* get("api/health")
      assert.deepStrictEqual([reply.status, problemOf(reply)], [503, "store_unavailable"])
      assert.strictEqual(reply.headers["retry-after"], "5")
    })
  )

  it.effect("does not follow a redirect, which would take the key elsewhere", () =>
    Effect.gen(function* () {
      const elsewhere = yield* fakeProject
      const { get, project } = yield* opened()
      project.instead.answer = () =>
        new Response(null, { status: 307, headers: { location: `${elsewhere.apiUrl}/health` } })
      const reply = yield* get("api/health")
      assert.deepStrictEqual([reply.status, problemOf(reply)], [502, "project_unreachable"])
      assert.deepStrictEqual(elsewhere.asked, [])
    })
  )

  it.effect("is answered 502 while the project does not answer", () =>
    Effect.gen(function* () {
      const { get, project } = yield* opened()
      yield* Effect.promise(() => project[Symbol.asyncDispose]())
      const reply = yield* get("api/health")
      assert.deepStrictEqual([reply.status, problemOf(reply)], [502, "project_unreachable"])
    })
  )
})

describe("an answer of the project", () => {
  it.effect("that is a page runs and loads nothing if somebody opens it by itself", () =>
    Effect.gen(function* () {
      const project = yield* fakeProject
      project.instead.answer = () =>
        new Response("<script>0</script>", { status: 500, headers: { "content-type": "text/html" } })
      const { headers } = yield* (yield* opened({ url: project.apiUrl })).get("api/health")
      assert.match(String(headers["content-security-policy"]), /^default-src 'none'; sandbox;/)
    })
  )

  it.effect("that is a page and says 200 is no answer of the function", () =>
    Effect.gen(function* () {
      const project = yield* fakeProject
      project.instead.answer = () => new Response("<h1>Welcome</h1>", { headers: { "content-type": "text/html" } })
      const { status, text } = yield* (yield* opened({ url: project.apiUrl })).get("api/health")
      assert.strictEqual(status, 502)
      assert.include(text, "The project answered with text/html. Check --url.")
    })
  )
})

describe("mails", () => {
  it.effect("are shown in a frame that runs and loads nothing, if there is a stand-in", () =>
    Effect.gen(function* () {
      const mails = yield* fakeProject
      mails.instead.answer = () => new Response("<b>Paused</b>", { headers: { "content-type": "text/html" } })
      const { get } = yield* opened({ mailsUrl: mails.apiUrl })
      const mail = yield* get("mails/1.html")
      assert.deepInclude(mail, { status: 200, text: "<b>Paused</b>" })
      assert.match(String(mail.headers["content-security-policy"]), /^default-src 'none';.*; sandbox;/)
      assert.strictEqual((yield* get("mails/../faults/500")).status, 404)
      const without = yield* opened()
      assert.strictEqual((yield* without.get("mails/1.html")).status, 404)
    })
  )
})
