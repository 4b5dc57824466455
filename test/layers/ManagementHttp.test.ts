import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Deferred, Effect, Layer } from "effect"
import * as EventStoreMemory from "../../src/layers/EventStoreMemory.ts"
import { Access, KeysUnavailable } from "../../src/services/Access.ts"
import { EventStore, EventStoreUnavailable } from "../../src/services/EventStore.ts"
import { observe, openContract } from "../support/contract.ts"
import { seedMemory, seedOf } from "../support/events.ts"
import { problemOf, verdict } from "../support/deliveries.ts"
import { base, managementWorld, secretKey, user } from "./managementWorld.ts"

const root = "http://localhost"
const name = "/pause-status-webhook-handler"
const eventPath = `${base}/${randomUUID()}`

const issuesOf = async (response: Response) =>
  ((await problemOf(response)).issues ?? []).map(({ message, path }) => `${path.join(".")}: ${message}`)

describe("places", () => {
  const { ask, handler } = managementWorld()

  it.each([`${root}${base}`, `${root}${name}${base}`, `https://any.host:8443${base}?limit=1`])(
    "events are listed at %s",
    async (url) => {
      assert.strictEqual((await handler(new Request(url, { headers: secretKey }))).status, 200)
    }
  )

  it.each([
    "",
    "/",
    "/api",
    `${base}/`,
    `${base}//`,
    `${base}/${randomUUID()}/attempts`,
    `${base}s`,
    base.toUpperCase(),
    `${name}${base}`,
    "/health/",
    "/openapi_json",
    `${base}/%E0%A4%A`
  ])("there is nothing at %o, for any caller", async (path) => {
    for (const headers of [{}, secretKey])
      assert.strictEqual(await verdict(await ask("GET", path, headers)), "404 not_found")
  })

  it.each([
    [base, "PUT", "GET, POST"],
    [base, "HEAD", "GET, POST"],
    [base, "OPTIONS", "GET, POST"],
    [eventPath, "POST", "DELETE, GET, PUT"],
    [eventPath, "PATCH", "DELETE, GET, PUT"],
    ["/health", "POST", "GET"],
    ["/openapi.json", "DELETE", "GET"]
  ])("at %s, %s is answered with what is allowed, for any caller", async (path, method, allow) => {
    const response = await ask(method, path, {})
    assert.strictEqual(response.headers.get("allow"), allow)
    assert.strictEqual(await verdict(response), "405 method_not_allowed")
  })

  it("an unneeded body is read to its end, so that the sender sees the answer", async () => {
    const request = new Request(`${root}${eventPath}`, { method: "POST", body: "x".repeat(100_000) })
    assert.strictEqual((await handler(request)).status, 405)
    assert.isTrue(request.bodyUsed)
    const refused = new Request(`${root}${eventPath}`, { method: "PUT", body: "x".repeat(100_000) })
    assert.strictEqual((await handler(refused)).status, 401)
    assert.isTrue(refused.bodyUsed)
  })

  it("a misdirected delivery is answered with its webhook-id, so that the outbox recognises it", async () => {
    const response = await ask("POST", "/api/v2", { "webhook-id": "msg_1" }, "{}")
    assert.strictEqual(response.headers.get("webhook-id"), "msg_1")
  })
})

describe("a query", () => {
  const { ask } = managementWorld()

  it.each([
    ["limit=0", "limit: Expected a whole number from 1 to 100"],
    ["limit=101", "limit: Expected a whole number from 1 to 100"],
    ["limit=1e1", "limit: Expected a whole number from 1 to 100"],
    ["limit=", "limit: Expected a whole number from 1 to 100"],
    ["limit=1&limit=2", "limit: Expected string"],
    ["status=done", 'status: Expected "pending" | "processing" | "completed" | "failed"'],
    ["transition=NO_CHANGE", 'transition: Expected "PAUSE" | "RESUME"'],
    ["transition=PAUSE&record={}", "transition: Expected either transition or record"],
    ["mentorId=42", "mentorId: Expected no excess property"],
    ["key=", "key: "],
    [`key=${"k".repeat(201)}`, "key: "],
    ["key=a%00b", "key: Expected text without NUL and lone surrogates"],
    ["record=paused", "record: "],
    ["record=[]", "record: Expected object"],
    ['record={"status":{"a":1}}', "record.status: "],
    ['record={"status":"\\u0000"}', "record.status: "],
    ['record={"status":"\\ud800"}', "record.status: "],
    ['record={"n":1e999}', "record.n: "],
    ['record={"a\\u0000":1}', "record.a"],
    ["occurredFrom=2026-02-29T00:00:00Z", "occurredFrom: Expected a day that is in the calendar"],
    ["cursor=a", "cursor: "],
    [`cursor=${Buffer.from("{}").toString("base64url")}`, "cursor.createdAt: Missing key"],
    [
      `cursor=${Buffer.from(`{"createdAt":"2026-99-99T09:30:00.123456Z","eventId":"${randomUUID()}"}`).toString("base64url")}`,
      "cursor.createdAt: Expected a time"
    ],
    ["page=2", "page: Expected no excess property"],
    ["__proto__=1", "__proto__: Expected no excess property"]
  ])("%s is refused with the reason", async (query, issue) => {
    const issues = await issuesOf(await ask("GET", `${base}?${query}`))
    assert.isTrue(
      issues.some((found) => found.startsWith(issue)),
      issues.join("; ")
    )
  })

  it.each([
    "yesterday",
    "2026-11-22",
    "2026-11-22T09:30:00",
    "2026-11-22T24:00:00Z",
    "0000-01-01T00:00:00Z",
    "infinity"
  ])("a time is never %s", async (time) => {
    const [issue = ""] = await issuesOf(await ask("GET", `${base}?occurredTo=${time}`))
    assert.include(issue, "occurredTo: Expected a time such as")
  })

  it.each(["2026-11-22T09:30:00Z", "2024-02-29T23:59:59.123456-03:30", "9999-12-31T23:59:59%2B14:00"])(
    "a time may be %s",
    async (time) => {
      assert.strictEqual((await ask("GET", `${base}?occurredTo=${time}`)).status, 200)
    }
  )

  it("is refused with every error at once", async () => {
    const response = await ask("GET", `${base}?limit=0&status=x&page=2`)
    assert.lengthOf(await issuesOf(response.clone()), 3)
    assert.strictEqual(await verdict(response), "400 invalid_query")
  })

  it("is not read before the caller is known", async () => {
    assert.strictEqual(await verdict(await ask("GET", `${base}?limit=0`, {})), "401 unauthorized")
  })

  it("leads from page to page with its filters, by default with 50 events per page", async () => {
    const { ask, state } = managementWorld()
    const events = Array.from({ length: 60 }, (_, index) =>
      seedOf({ createdAt: `2026-11-22T09:30:00.0000${index + 10}Z`, transition: index % 2 === 0 ? "PAUSE" : "RESUME" })
    )
    await Effect.runPromise(seedMemory(state)(...events))
    const first = await (await ask("GET", base)).json()
    assert.lengthOf(first.events, 50)
    const second = await (await ask("GET", `${base}?cursor=${first.nextCursor}`)).json()
    assert.lengthOf(second.events, 10)
    assert.isNull(second.nextCursor)
    assert.strictEqual(new Set([...first.events, ...second.events].map(({ eventId }) => eventId)).size, 60)
    const pauses = await (await ask("GET", `${base}?transition=PAUSE&limit=20`)).json()
    const rest = await (await ask("GET", `${base}?transition=PAUSE&cursor=${pauses.nextCursor}`)).json()
    assert.lengthOf(rest.events, 10)
  })
})

describe("a change", () => {
  const { ask, state } = managementWorld()
  const put = (body: string, headers: Readonly<Record<string, string>> = secretKey) =>
    ask("PUT", eventPath, headers, body)

  it.each([
    ["{}", "status: Missing key"],
    ["null", ": Expected object"],
    ['{"status":"completed"}', 'status: Expected "pending" | "resolved"'],
    ['{"status":"pending","dryrun":true}', "dryrun: Expected no excess property"],
    ['{"status":"pending","notes":"x"}', "notes: Expected no excess property"],
    ['{"status":"pending","force":"yes"}', "force: Expected boolean"],
    ['{"status":"resolved","dryRun":null}', "dryRun: Expected boolean"],
    ['{"status":"resolved","notes":"a\\u0000b"}', "notes: Expected text without NUL and lone surrogates"],
    ['{"status":"resolved","notes":"\\ud800"}', "notes: Expected text without NUL and lone surrogates"],
    [`{"status":"resolved","notes":"${"x".repeat(2001)}"}`, "notes: "]
  ])("%s is refused with the reason", async (body, issue) => {
    const response = await put(body)
    const issues = await issuesOf(response.clone())
    assert.isTrue(
      issues.some((found) => found.startsWith(issue)),
      issues.join("; ")
    )
    assert.strictEqual(await verdict(response), "400 invalid_payload")
  })

  it.each([
    ["{", {}, "400 malformed_json"],
    ["", {}, "400 malformed_json"],
    ["{}", { "content-type": "text/plain" }, "415 unsupported_media_type"],
    ["{}", { "content-encoding": "gzip" }, "415 unsupported_media_type"],
    ["x".repeat(262_145), {}, "413 body_too_large"]
  ])("%.10s with %j is %s", async (body, headers, reply) => {
    assert.strictEqual(await verdict(await put(body, { ...secretKey, ...headers })), reply)
  })

  it("is refused for an invalid id, whatever the body", async () => {
    assert.strictEqual(await verdict(await ask("PUT", `${base}/42`, secretKey, "{")), "400 invalid_id")
    assert.strictEqual(
      await verdict(await ask("PUT", `${base}/${"a".repeat(2_000)}`, secretKey, "{")),
      "400 invalid_id"
    )
  })

  it("a dry run of a redrive says so, and changes nothing", async () => {
    const event = seedOf({ status: "failed" })
    await Effect.runPromise(seedMemory(state)(event))
    const body = JSON.stringify({ status: "pending", dryRun: true })
    const reply = await (await ask("PUT", `${base}/${event.eventId}`, secretKey, body)).json()
    assert.deepInclude(reply, { outcome: "would_redrive", dryRun: true })
    assert.strictEqual(state.events.get(event.eventId)?.status, "failed")
  })

  it.each(["PUT", "DELETE"])("a caller who hangs up does not stop a %s", async (method) => {
    const memory = EventStoreMemory.make()
    const event = seedOf({ status: "failed", resolved: true })
    const caller = new AbortController()
    const store = Layer.effect(
      EventStore,
      Effect.gen(function* () {
        const inner = yield* EventStore
        const hungUp = yield* Deferred.make<void>()
        caller.signal.addEventListener("abort", () => Effect.runSync(Deferred.succeed(hungUp, undefined)))
        const hold = Effect.andThen(
          Effect.sync(() => caller.abort()),
          Deferred.await(hungUp)
        )
        return EventStore.of({
          ...inner,
          redrive: (...args) => Effect.andThen(hold, inner.redrive(...args)),
          erase: (...args) => Effect.andThen(hold, inner.erase(...args))
        })
      })
    ).pipe(Layer.provide(memory.layer))
    await Effect.runPromise(seedMemory(memory.state)(event))
    const { handler } = managementWorld({ store })
    const response = await handler(
      new Request(`${root}${base}/${event.eventId}`, {
        method,
        headers: { ...secretKey, "content-type": "application/json" },
        signal: caller.signal,
        ...(method === "PUT" && { body: '{"status":"pending"}' })
      })
    )
    assert.isTrue(response.ok)
    assert.strictEqual(memory.state.events.get(event.eventId)?.status, method === "PUT" ? "pending" : undefined)
  })
})

const failing = (effect: Effect.Effect<never, EventStoreUnavailable>) =>
  Layer.succeed(EventStore, {
    list: () => effect,
    get: () => effect,
    redrive: () => effect,
    resolve: () => effect,
    erase: () => effect,
    health: () => effect,
    figures: () => effect
  })
const away = failing(Effect.fail(new EventStoreUnavailable({ operation: "list", detail: "canary" })))
const broken = failing(Effect.die(new Error("canary")))

const requests = [
  ["GET", base, undefined],
  ["GET", eventPath, undefined],
  ["PUT", eventPath, '{"status":"pending"}'],
  ["PUT", eventPath, '{"status":"resolved"}'],
  ["DELETE", eventPath, undefined],
  ["GET", "/metrics", undefined]
] as const

describe("errors that are not the caller's fault", () => {
  it.each(requests)("%s %s is a 503 while the database is down, without the reason", async (method, path, body) => {
    const response = await managementWorld({ store: away }).ask(method, path, secretKey, body)
    assert.strictEqual(response.headers.get("retry-after"), "5")
    const contract = await openContract()
    const seen = await observe(method, path, response.clone())
    assert.deepStrictEqual(contract.violations(seen), [])
    assert.notInclude(seen.body, "canary")
    assert.strictEqual(await verdict(response), "503 store_unavailable")
  })

  it.each(requests)("%s %s is a redacted 500 for a defect, which is logged", async (method, path, body) => {
    const { ask, lines } = managementWorld({ store: broken })
    const response = await ask(method, path, secretKey, body)
    assert.notInclude(await response.clone().text(), "canary")
    assert.strictEqual(await verdict(response), "500 internal")
    assert.deepInclude(lines, { outcome: "defect" })
  })

  it("is a 503 with Retry-After while the project's signing keys are unavailable", async () => {
    const access = Layer.succeed(Access, {
      identify: () => Effect.fail(new KeysUnavailable({ detail: "canary", retryAfterSeconds: 30 }))
    })
    const response = await managementWorld({ access }).ask("GET", base)
    assert.strictEqual(response.headers.get("retry-after"), "30")
    assert.notInclude(await response.clone().text(), "canary")
    assert.strictEqual(await verdict(response), "503 keys_unavailable")
  })

  it("says which callers it accepts to an unknown one", async () => {
    const response = await managementWorld().ask("GET", base, {})
    assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
  })
})

describe("the log", () => {
  it("has one line per request: who did what to which event, or why not", async () => {
    const { ask, lines, state } = managementWorld()
    const [adminId, coordinatorId] = [randomUUID(), randomUUID()]
    const event = seedOf({ status: "failed" })
    const path = `${base}/${event.eventId}`
    await Effect.runPromise(seedMemory(state)(event))
    await ask("GET", base)
    await ask("PUT", path, user(adminId, "admin"), '{"status":"resolved","notes":"canary"}')
    await ask("PUT", path, user(adminId, "admin"), '{"status":"canary"}')
    await ask("DELETE", path, user(coordinatorId, "coordinator"))
    await ask("GET", path, user(coordinatorId, "coordinator"))
    await ask("GET", `${base}?status=canary`)
    await ask("GET", "/nothing")
    await ask("GET", path, { apikey: "canary" })
    await ask("GET", "/openapi.json", user(coordinatorId, "coordinator"))
    await ask("GET", "/health")
    const { eventId } = event
    const topic = "pause-status"
    assert.deepStrictEqual(
      lines.map((line) => Object.fromEntries(Object.entries(line ?? {}).filter(([key]) => key !== "detail"))),
      [
        { outcome: "listEvents", caller: "project", topic },
        { outcome: "changeEvent", caller: "admin", userId: adminId, topic, eventId },
        { outcome: "InvalidPayload", operation: "changeEvent", caller: "admin", userId: adminId, topic, eventId },
        { outcome: "NotAllowed", operation: "eraseEvent", caller: "coordinator", userId: coordinatorId },
        {
          outcome: "EventUnknown",
          operation: "getEvent",
          caller: "coordinator",
          userId: coordinatorId,
          topic,
          eventId
        },
        { outcome: "InvalidQuery", operation: "listEvents" },
        { outcome: "NotFound" },
        { outcome: "CredentialsRejected", operation: "getEvent" },
        { outcome: "getOpenApi", caller: "coordinator", userId: coordinatorId },
        { outcome: "getHealth", caller: "project", status: "ready" }
      ]
    )
    assert.notInclude(JSON.stringify(lines), "canary")
  })

  it("says which check fails, and what to do", async () => {
    const detail = "the handler has no secret to check deliveries with: set WEBHOOK_SECRETS"
    const { ask, lines } = managementWorld({ secrets: { ok: false, detail } })
    await ask("GET", "/health")
    assert.deepStrictEqual(lines, [
      { outcome: "getHealth", caller: "project", status: "not_ready", detail: { secrets: detail } }
    ])
  })
})
