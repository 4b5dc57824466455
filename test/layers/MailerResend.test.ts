import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as MailerResend from "../../src/layers/MailerResend.ts"
import { type Mail, type MailError, Mailer } from "../../src/services/Mailer.ts"
import { mail } from "../services/MailerContract.ts"
import { config, type FetchStep, fetchOf, throughTime } from "../support/layers.ts"

type Settings = Readonly<Record<string, string>>

const complete = { RESEND_API_KEY: "re_canary_1", MAIL_FROM: "Mentoring <canary@example.com>" }
const accepted: FetchStep = { status: 200, body: '{"id":"49a3999c"}' }
const problem = (status: number, name: string, message = "Because", headers: Settings = {}): FetchStep => ({
  status,
  headers,
  body: JSON.stringify({ statusCode: status, message, name })
})
const limited = (seconds: string) =>
  problem(429, "rate_limit_exceeded", "Too many requests", { "retry-after": seconds })
const plain = (status: number, headers: Settings = {}): FetchStep => ({ status, headers, body: "<html>" })

type Sent = Result.Result<string, MailError>

/** Sends so many mails, one after the other, and the given time apart. */
const send = Effect.fnUntraced(function* (
  steps: ReadonlyArray<FetchStep>,
  {
    settings = complete,
    mails = [mail],
    apart = 0,
    patience
  }: { settings?: Settings; mails?: ReadonlyArray<Mail>; apart?: number; patience?: number } = {}
) {
  const server = fetchOf(...steps)
  const program = Effect.gen(function* () {
    const mailer = yield* Mailer
    const results: Array<Sent> = []
    for (const given of mails) {
      results.push(yield* throughTime(Effect.uninterruptible(Effect.result(mailer.send(given, patience)))))
      yield* TestClock.adjust(apart)
    }
    return results
  })
  const results = yield* program.pipe(
    Effect.provide(MailerResend.layer),
    Effect.provide([server.layer, config(settings)])
  )
  return { calls: server.calls, results }
})

const mails = (count: number) => Array.from({ length: count }, () => mail)
const endOf = (result: Sent | undefined) => {
  if (result === undefined) return assert.fail("nothing was sent")
  return Result.isSuccess(result) ? { kind: "sent" } : result.failure.release
}
const failureOf = (result: Sent | undefined) =>
  result !== undefined && Result.isFailure(result) ? result.failure : assert.fail("it was sent")

/** How one mail ends when Resend answers so. */
const endWith = (step: FetchStep) => Effect.map(send([step]), ({ results }) => endOf(results[0]))

describe("MailerResend", () => {
  it.effect("posts the mail with the account's key and the mail's key", () =>
    Effect.gen(function* () {
      const { calls, results } = yield* send([accepted])
      assert.deepStrictEqual(results, [Result.succeed("49a3999c")])
      const call = calls[0] ?? assert.fail("no call")
      assert.deepInclude(call, { url: "https://api.resend.com/emails", method: "POST", redirect: "manual" })
      assert.strictEqual(call.headers.get("content-type"), "application/json")
      assert.strictEqual(call.headers.get("authorization"), "Bearer re_canary_1")
      assert.strictEqual(call.headers.get("idempotency-key"), mail.idempotencyKey)
      assert.isNotEmpty(call.headers.get("user-agent"))
      const { from, html, subject, text, to } = mail
      assert.deepStrictEqual(JSON.parse(call.body), { from, to: [to], subject, html, text })
    })
  )

  it.effect("uses the configured sender and no key if the mail has none", () =>
    Effect.gen(function* () {
      const { to, subject, html, text } = mail
      const { calls } = yield* send([accepted], { mails: [{ to, subject, html, text }] })
      assert.strictEqual(JSON.parse(calls[0]?.body ?? "").from, complete.MAIL_FROM)
      assert.isFalse(calls[0]?.headers.has("idempotency-key"))
    })
  )

  it.effect.each(["http://127.0.0.1:9", "http://127.0.0.1:9/"])("calls Resend at %s", (RESEND_BASE_URL) =>
    Effect.gen(function* () {
      const { calls } = yield* send([accepted], { settings: { ...complete, RESEND_BASE_URL } })
      assert.strictEqual(calls[0]?.url, "http://127.0.0.1:9/emails")
    })
  )

  it.effect.prop(
    "the body has the same bytes on each try, however the mail was built",
    { subject: Schema.String, html: Schema.String, text: Schema.String },
    ({ html, subject, text }) =>
      Effect.gen(function* () {
        const { from = "", to } = mail
        const given = { to, subject, html, text, from }
        const { calls } = yield* send([accepted, accepted], {
          mails: [given, { from, text, html, subject, to }]
        })
        assert.strictEqual(new Set(calls.map(({ body }) => body)).size, 1)
      }),
    { arbitrary: { runs: 50 } }
  )

  it.effect.each([
    [400, "validation_error"],
    [400, "invalid_idempotency_key"],
    [403, "validation_error"],
    [404, "not_found"],
    [405, "method_not_allowed"],
    [409, "invalid_idempotent_request"],
    [422, "validation_error"],
    [422, "missing_required_field"],
    [422, "invalid_from_address"],
    [451, "security_error"]
  ] as const)("a %i %s refuses the mail", ([status, name]) =>
    Effect.gen(function* () {
      const { calls, results } = yield* send([problem(status, name, "Because of this")])
      const error = failureOf(results[0])
      assert.lengthOf(calls, 1)
      assert.deepInclude(error, { _tag: "MailRejected", status, code: name, detail: "Because of this" })
      assert.strictEqual(
        error.message,
        `The mail service refused the mail (status ${status}, ${name}): Because of this`
      )
    })
  )

  it.effect.each([
    ...[500, 502, 503, 504, 408, 425].map((status) => problem(status, "application_error")),
    ...[500, 503, 301, 302, 307, 308, 403, 404, 413].map((status) => plain(status)),
    problem(409, "concurrent_idempotent_requests"),
    { status: 200, body: "" },
    { status: 200, body: "{}" },
    { status: 200, body: '{"id":""}' },
    { status: 200, body: '{"id":7}' },
    { status: 200, body: "<html>" },
    "no connection" as const,
    "hangs" as const,
    "hangs in the body" as const
  ])("is worth a retry, which it leaves to its caller: %j", (step) =>
    Effect.gen(function* () {
      const { calls, results } = yield* send([step, accepted])
      assert.strictEqual(endOf(results[0]).kind, "transient")
      assert.lengthOf(calls, 1)
    })
  )

  it.effect("a call that hangs is aborted at its time limit", () =>
    Effect.gen(function* () {
      for (const hangs of ["hangs", "hangs in the body"] as const) {
        const startedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const { calls, results } = yield* send([hangs], { settings: { ...complete, RESEND_TIMEOUT_MS: "500" } })
        const endedAt = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        assert.isTrue(calls[0]?.signal.aborted)
        assert.isAtMost(endedAt - startedAt, 600)
        assert.include(failureOf(results[0]).message, "500 ms")
      }
    })
  )

  it.effect.each([
    [{ "retry-after": "7" }, 7],
    [{ "retry-after": "0" }, 1],
    [{ "retry-after": "soon" }, 1],
    [{ "retry-after": "86400" }, 300],
    [{}, 1]
  ] as const)("a rate limit parks the mail: %j", ([headers, retryAfterSeconds]) =>
    Effect.gen(function* () {
      const end = yield* endWith(problem(429, "rate_limit_exceeded", "Too many requests", headers))
      assert.deepInclude(end, { kind: "parked", retryAfterSeconds })
    })
  )

  it.effect("a used-up quota parks the mail for five minutes", () =>
    Effect.gen(function* () {
      for (const name of ["daily_quota_exceeded", "monthly_quota_exceeded"]) {
        assert.deepInclude(yield* endWith(problem(429, name)), { kind: "parked", retryAfterSeconds: 300 })
      }
    })
  )

  it.effect("after a rate limit no mail is tried until Retry-After has passed", () =>
    Effect.gen(function* () {
      const limited = problem(429, "rate_limit_exceeded", "Too many requests", { "retry-after": "2" })
      const { calls, results } = yield* send([limited, accepted], { mails: mails(4), apart: 900 })
      assert.deepStrictEqual(
        results.map((result) => endOf(result).kind),
        ["parked", "parked", "parked", "sent"]
      )
      assert.lengthOf(calls, 2)
      assert.deepInclude(failureOf(results[2]), { parked: true, retryAfterSeconds: 1 })
    })
  )

  it.effect("a mail that may wait is tried again after a rate limit", () =>
    Effect.gen(function* () {
      const { calls, results } = yield* send([limited("2"), accepted], { patience: 3_500 })
      assert.deepStrictEqual(results, [Result.succeed("49a3999c")])
      assert.deepStrictEqual(new Set(calls.map(({ body }) => body)).size, 1)
      const [first, second] = calls.map(({ at }) => at)
      assert.isAtLeast((second ?? 0) - (first ?? 0), 2_000)
    })
  )

  it.effect.each(["4", "86400"])("a mail does not wait for a limit that lasts longer than it may: %s s", (seconds) =>
    Effect.gen(function* () {
      const { calls, results } = yield* send([limited(seconds), accepted], { mails: mails(2), patience: 3_500 })
      assert.lengthOf(calls, 1)
      assert.isBelow(yield* Clock.currentTimeMillis, 1_000)
      assert.deepInclude(failureOf(results[0]), { parked: true, status: 429 })
      assert.deepInclude(failureOf(results[1]), { parked: true, detail: "after rate_limit_exceeded" })
    })
  )

  it.effect("of mails that meet a limit together, no more are tried at once than it grants", () =>
    Effect.gen(function* () {
      const granted = { ...accepted, headers: { "ratelimit-limit": "2" } }
      const server = fetchOf(granted, limited("1"), ...Array.from({ length: 20 }, () => granted))
      const ends = yield* Mailer.use((mailer) =>
        Effect.all(
          Array.from({ length: 12 }, () => Effect.result(mailer.send(mail, 3_500))),
          { concurrency: "unbounded" }
        )
      ).pipe(throughTime, Effect.provide(MailerResend.layer), Effect.provide([server.layer, config(complete)]))
      for (const { at } of server.calls) {
        assert.isAtMost(server.calls.filter((call) => call.at >= at && call.at < at + 1_000).length, 2)
      }
      const kinds = ends.map((end) => endOf(end).kind)
      assert.isAtLeast(kinds.filter((kind) => kind === "sent").length, 5)
      assert.isEmpty(kinds.filter((kind) => kind === "transient" || kind === "permanent"))
    })
  )

  it.effect("mails go out as fast as Resend says it grants", () =>
    Effect.gen(function* () {
      const granted = { ...accepted, headers: { "ratelimit-limit": "10" } }
      const { calls } = yield* send(
        Array.from({ length: 12 }, () => granted),
        { mails: mails(12), patience: 3_500 }
      )
      assert.isAtMost((calls[9]?.at ?? 0) - (calls[0]?.at ?? 0), 1_000)
      assert.isAtLeast((calls[10]?.at ?? 0) - (calls[0]?.at ?? 0), 1_000)
    })
  )

  it.effect.each([
    problem(401, "missing_api_key"),
    problem(401, "restricted_api_key"),
    problem(403, "invalid_api_key"),
    problem(401, "validation_error", "API key is invalid")
  ])("a wrong key parks the mail, which is not to blame: %j", (step) =>
    Effect.gen(function* () {
      assert.deepInclude(yield* endWith(step), { kind: "parked", retryAfterSeconds: 60 })
    })
  )

  it.effect.each(["RESEND_API_KEY", "MAIL_FROM"])("without %s every mail waits, without a call", (name) =>
    Effect.gen(function* () {
      const { to, subject, html, text } = mail
      const options = { settings: { ...complete, [name]: "" }, mails: [{ to, subject, html, text }] }
      const { calls, results } = yield* send([accepted], options)
      assert.deepInclude(endOf(results[0]), { kind: "parked", retryAfterSeconds: 60 })
      assert.strictEqual(failureOf(results[0]).message, `The mail waits: ${name} is not set`)
      assert.isEmpty(calls)
    })
  )

  it.effect("a mail that names its sender needs no MAIL_FROM", () =>
    Effect.gen(function* () {
      const { results } = yield* send([accepted], { settings: { ...complete, MAIL_FROM: "" } })
      assert.strictEqual(endOf(results[0]).kind, "sent")
    })
  )

  it.effect("after five failed calls in a row mails are parked, until a call succeeds", () =>
    Effect.gen(function* () {
      const down = Array.from({ length: 5 }, () => plain(503))
      const { calls, results } = yield* send([...down, accepted, accepted], { mails: mails(9), apart: 4_000 })
      assert.deepStrictEqual(
        results.map((result) => endOf(result).kind),
        [...Array.from({ length: 5 }, () => "transient"), "parked", "parked", "sent", "sent"]
      )
      assert.lengthOf(calls, 7)
    })
  )

  it.effect.each([
    problem(422, "validation_error"),
    problem(429, "rate_limit_exceeded"),
    problem(409, "concurrent_idempotent_requests"),
    problem(403, "invalid_api_key")
  ])("an answer from Resend does not count as a failed call: %j", (step) =>
    Effect.gen(function* () {
      const steps = [...Array.from({ length: 9 }, () => step), accepted]
      const { calls } = yield* send(steps, { mails: mails(10), apart: 1_000 })
      assert.lengthOf(calls, 10)
    })
  )

  it.effect.each([
    ["The key xre_canary_1x is wrong", "The key x(key)x is wrong"],
    ["The key re_another_2 is wrong", "The key (key) is wrong"],
    ["Only to Ada <ada.l+1@mail.example.com>, please", "Only to Ada <(address)>, please"],
    ["one\r\n\u0000two\ud83d", "one two "],
    ["x".repeat(201), "x".repeat(200)],
    [`${"x".repeat(199)}\u{1f600}`, `${"x".repeat(199)} `]
  ] as const)("Resend's words %j are passed on as %j", ([said, detail]) =>
    Effect.gen(function* () {
      const { results } = yield* send([problem(422, "validation_error", said)])
      assert.strictEqual(failureOf(results[0]).detail, detail)
    })
  )

  const words = [
    "canary@example.com",
    "re_canary_1",
    "<canary@example.com>",
    "(canary@a.b)",
    "domain",
    "\n",
    "ü",
    "not"
  ]
  it.effect.prop(
    "no message repeats an address or a key, or is long",
    {
      status: Schema.Literals([400, 401, 403, 409, 422, 429, 500]),
      name: Schema.Literals(["validation_error", "re_canary_1", "canary@example.com", "invalid_api_key"]),
      said: Schema.Array(Schema.Literals(words)),
      glue: Schema.Literals([" ", "", ", ", "`"])
    },
    ({ glue, name, said, status }) =>
      Effect.gen(function* () {
        const { results } = yield* send([problem(status, name, said.join(glue))])
        const error = failureOf(results[0])
        assert.notMatch(error.message + JSON.stringify(error), /canary/)
        assert.isBelow(error.message.length, 300)
      }),
    { arbitrary: { runs: 300 } }
  )
})
