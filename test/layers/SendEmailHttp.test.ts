import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { Effect, Layer, References } from "effect"
import * as DedupeStoreMemory from "../../src/layers/DedupeStoreMemory.ts"
import { HttpLimits } from "../../src/layers/Http.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as MailerMemory from "../../src/layers/MailerMemory.ts"
import * as MailerResend from "../../src/layers/MailerResend.ts"
import * as MailReceiptsMemory from "../../src/layers/MailReceiptsMemory.ts"
import { ProjectKey } from "../../src/layers/ProjectKey.ts"
import { respond } from "../../src/layers/SendEmailHttp.ts"
import * as SignatureVerifierWebCrypto from "../../src/layers/SignatureVerifierWebCrypto.ts"
import { config, fetchOf, logLines, throughTime } from "../support/layers.ts"
import { bytesOf, mentorId } from "../support/payloads.ts"
import { secret, standardHeaders } from "../support/signing.ts"

const settings = { WEBHOOK_SECRETS: secret, SUPABASE_SERVICE_ROLE_KEY: "key", MAX_BODY_BYTES: "2000" }
const root = "http://localhost/send-email"
const coordinatorId = randomUUID()

const world = (...behaviours: ReadonlyArray<MailerMemory.Behaviour>) => {
  const mailer = MailerMemory.make(...behaviours)
  const coordinator = { email: "bo@example.com", name: "Bo" }
  const layer = Layer.mergeAll(
    Layer.provide(SignatureVerifierWebCrypto.layer, Layer.succeed(References.MinimumLogLevel, "None")),
    DedupeStoreMemory.layer,
    MailReceiptsMemory.make({ [coordinatorId]: coordinator }, { [mentorId]: "Ada" }).layer,
    mailer.layer,
    ProjectKey.layer,
    HttpLimits.layer,
    Logging.json
  ).pipe(Layer.provide(config(settings)))
  return { layer, mailer }
}

const mail = { to: "bo@example.com", subject: "Hello", html: "<p>Hello</p>" }
const post = (value: unknown, headers = {}, url = root) =>
  new Request(url, {
    method: "POST",
    body: bytesOf(value),
    headers: { "content-type": "application/json", apikey: "key", ...headers }
  })

const notification = (change: Readonly<Record<string, unknown>> = {}) => ({
  topic: "notification-mail",
  type: "INSERT",
  schema: "public",
  table: "notifications",
  event_id: randomUUID(),
  version: 1,
  timestamp: "2026-11-22T09:30:00.123456Z",
  record: {
    id: randomUUID(),
    event_id: randomUUID(),
    mentor_id: mentorId,
    coordinator_id: coordinatorId,
    transition: "PAUSE",
    version: 1,
    ...change
  },
  old_record: null
})

const webhook = (payload: ReturnType<typeof notification>, url = root) => {
  const body = bytesOf(payload)
  const headers = { "content-type": "application/json", ...standardHeaders(body, { id: payload.event_id, seconds: 0 }) }
  return new Request(url, { method: "POST", body, headers })
}

const replyTo = Effect.fnUntraced(function* (request: Request) {
  const response = yield* respond(request)
  const body: Record<string, unknown> = yield* Effect.promise(() => response.json())
  return { status: response.status, headers: response.headers, body }
})

describe("send-email, asked for a mail", () => {
  it.effect("sends it and answers with the message id", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(post(mail, { "idempotency-key": "welcome/7" }))
      assert.deepStrictEqual([status, body], [200, { success: true, message_id: "mail-1" }])
      assert.strictEqual(mailer.state.calls[0]?.idempotencyKey, "welcome/7")
      const [line] = yield* logLines
      assert.deepStrictEqual(line?.message, { outcome: "mailed", messageId: "mail-1" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("is served with a trailing slash, and at the root", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      for (const url of [root, `${root}/`, "http://localhost/"]) {
        assert.strictEqual((yield* replyTo(post(mail, {}, url))).status, 200)
      }
      assert.lengthOf(mailer.state.sent, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["no key", post(mail, { apikey: "" }), 401, "unauthorized"],
    ["another key", post(mail, { apikey: "kez" }), 401, "unauthorized"],
    ["another path", post(mail, {}, `${root}/mails`), 404, "not_found"],
    ["GET", new Request(root), 405, "method_not_allowed"],
    ["another type", post(mail, { "content-type": "text/plain" }), 415, "unsupported_media_type"],
    ["a large body", post({ ...mail, html: "x".repeat(2000) }), 413, "body_too_large"],
    ["a malformed mail", post({}), 400, "invalid_payload"],
    ["a malformed key", post(mail, { "idempotency-key": "a b" }), 400, "invalid_payload"]
  ] as const)("refuses %s, and sends nothing", ([, request, status, code]) => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      const reply = yield* replyTo(request)
      assert.deepStrictEqual([reply.status, reply.body["code"]], [status, code])
      assert.strictEqual(reply.headers.get("content-type"), "application/problem+json")
      assert.isEmpty(mailer.state.calls)
    }).pipe(Effect.provide(layer))
  })

  it.effect("lists every issue of a malformed mail", () =>
    Effect.gen(function* () {
      const { body } = yield* replyTo(post({ to: "bo", subject: "a\nb" }))
      assert.deepStrictEqual(body["issues"], [
        { path: ["to"], message: "Expected an address such as name@example.com" },
        { path: ["subject"], message: "Expected one line of text" },
        { path: ["html"], message: "Missing key" }
      ])
    }).pipe(Effect.provide(world().layer))
  )

  it.effect.each([
    ["refuse", 502, "handler_refused", false, null],
    ["fail", 502, "handler_unavailable", true, null],
    ["limit", 502, "handler_unavailable", true, "1"]
  ] as const)("answers 502 when the mail service fails: %s", ([behaviour, status, code, retryable, retryAfter]) =>
    Effect.gen(function* () {
      const { body, headers, ...reply } = yield* replyTo(post(mail))
      assert.deepStrictEqual([reply.status, body["code"], body["retryable"]], [status, code, retryable])
      assert.strictEqual(headers.get("retry-after"), retryAfter)
      assert.notInclude(JSON.stringify(body), "bo@example.com")
    }).pipe(Effect.provide(world(behaviour).layer))
  )
})

describe("send-email, asked for a mail while Resend's limit is reached", () => {
  const limited = (seconds: string) => ({
    status: 429,
    headers: { "retry-after": seconds },
    body: '{"statusCode":429,"name":"rate_limit_exceeded","message":"Too many requests"}'
  })
  const asked = (seconds: string) => {
    const server = fetchOf(limited(seconds), { status: 200, body: '{"id":"mail-1"}' })
    const resend = { ...settings, RESEND_API_KEY: "re_key", MAIL_FROM: "mail@example.com" }
    const mailer = Layer.provide(MailerResend.layer, Layer.merge(server.layer, config(resend)))
    return throughTime(replyTo(post(mail))).pipe(Effect.provide(mailer), Effect.provide(world().layer))
  }

  it.effect("waits out a short limit", () =>
    Effect.gen(function* () {
      const { body, status } = yield* asked("1")
      assert.deepStrictEqual([status, body], [200, { success: true, message_id: "mail-1" }])
    })
  )

  it.effect("answers 502 with Retry-After when it is a long one", () =>
    Effect.gen(function* () {
      const { body, headers, status } = yield* asked("60")
      assert.deepStrictEqual([status, body["code"], headers.get("retry-after")], [502, "handler_unavailable", "60"])
    })
  )
})

describe("send-email, delivered a notification", () => {
  it.effect("mails it, whatever the path", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      for (const url of [root, `${root}/api/v1/webhooks/notification-mail`]) {
        const payload = notification()
        const { body, status } = yield* replyTo(webhook(payload, url))
        assert.deepStrictEqual([status, body["status"], body["eventId"]], [200, "mailed", payload.event_id])
      }
      assert.deepStrictEqual(
        mailer.state.sent.map((sent) => [sent.mail.to, sent.mail.subject]),
        [
          ["bo@example.com", "Ada is paused"],
          ["bo@example.com", "Ada is paused"]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes no weaker signature, although the project has one", () => {
    const weaker = { ...settings, WEBHOOK_STATIC_SECRET: "0123456789abcdef" }
    const { layer } = world()
    const live = Layer.provide(SignatureVerifierWebCrypto.layerStandard, config(weaker))
    return Effect.gen(function* () {
      const { status } = yield* replyTo(
        post(notification(), { "webhook-id": "1", "x-webhook-secret": "0123456789abcdef" })
      )
      assert.strictEqual(status, 401)
      assert.strictEqual((yield* replyTo(webhook(notification()))).status, 200)
    }).pipe(Effect.provide(live), Effect.provide(layer))
  })

  it.effect("needs its signature: the project's key does not replace it", () => {
    const { layer, mailer } = world()
    return Effect.gen(function* () {
      const { body, status } = yield* replyTo(post(notification(), { "webhook-id": randomUUID() }))
      assert.deepStrictEqual([status, body["code"]], [401, "unauthorized"])
      assert.isEmpty(mailer.state.calls)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each([
    ["coordinator_id", { coordinator_id: "7" }],
    ["transition", { transition: "STOP" }],
    ["event_id", { event_id: null }]
  ] as const)("refuses a row with another %s", ([column, change]) =>
    Effect.gen(function* () {
      const { body, status } = yield* replyTo(webhook(notification(change)))
      assert.strictEqual(status, 400)
      assert.include(JSON.stringify(body["issues"]), column)
    }).pipe(Effect.provide(world().layer))
  )

  it.effect("names nobody in replies and log lines", () =>
    Effect.gen(function* () {
      const reply = yield* replyTo(webhook(notification()))
      const said = JSON.stringify([reply.body, yield* logLines])
      assert.isFalse(/bo@example\.com|Ada/.test(said))
    }).pipe(Effect.provide(world().layer))
  )
})
