import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as SurroundingsHttp from "../../src/layers/SurroundingsHttp.ts"
import { Surroundings } from "../../src/services/Surroundings.ts"
import { config, type FetchStep, fetchOf } from "../support/layers.ts"
import { secret } from "../support/signing.ts"

const settings = { SUPABASE_URL: "https://abcdefgh.supabase.co", WEBHOOK_SECRETS: secret }

const seen = Effect.fnUntraced(function* (step: FetchStep, environment: Readonly<Record<string, string>> = settings) {
  const { calls, layer } = fetchOf(step)
  const { orchestrator, secrets, topics } = yield* Effect.gen(function* () {
    const surroundings = yield* Surroundings
    const asked = yield* Effect.forkChild(surroundings.orchestrator)
    yield* TestClock.adjust(1_000)
    return { orchestrator: yield* Fiber.join(asked), secrets: surroundings.secrets, topics: surroundings.topics }
  }).pipe(Effect.provide(SurroundingsHttp.layer), Effect.provide([layer, config(environment)]))
  return { calls, orchestrator, secrets, mail: topics?.["notification-mail"] }
})

describe("the orchestrator", () => {
  it.effect.each([200, 204, 302, 401, 404, 405, 429])("is up if it answers %i", (status) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* seen({ status })).orchestrator, { ok: true })
    })
  )

  it.effect.each<readonly [FetchStep, RegExp]>([
    [{ status: 503 }, /status 503/],
    ["no connection", /cannot be reached/],
    ["hangs", /within 1 second/]
  ])("is down if the answer is %j", ([step, detail]) =>
    Effect.gen(function* () {
      const { calls, orchestrator } = yield* seen(step)
      assert.isFalse(orchestrator.ok)
      assert.match(orchestrator.detail ?? "", detail)
      assert.notInclude(orchestrator.detail, "supabase.co")
      assert.strictEqual(calls[0]?.signal.aborted, step === "hangs")
    })
  )

  it.effect("is checked by a HEAD without credentials or redirects", () =>
    Effect.gen(function* () {
      const { calls } = yield* seen({ status: 200 })
      assert.lengthOf(calls, 1)
      assert.strictEqual(calls[0]?.method, "HEAD")
      assert.strictEqual(calls[0]?.redirect, "manual")
      assert.deepStrictEqual([...(calls[0]?.headers ?? [])], [])
    })
  )
})

describe("the handler's secrets", () => {
  it.effect.each([
    { WEBHOOK_SECRETS: secret },
    { WEBHOOK_HEX_SECRET: "a secret that is long enough" },
    { WEBHOOK_STATIC_SECRET: "a secret that is long enough" }
  ])("are there with %j", (environment) =>
    Effect.gen(function* () {
      const { secrets } = yield* seen({ status: 200 }, { SUPABASE_URL: settings.SUPABASE_URL, ...environment })
      assert.deepStrictEqual(secrets, { ok: true })
    })
  )

  it.effect.each([{}, { WEBHOOK_SECRETS: "canary" }])("are missing with %j, which is not an error", (environment) =>
    Effect.gen(function* () {
      const { secrets } = yield* seen({ status: 200 }, { SUPABASE_URL: settings.SUPABASE_URL, ...environment })
      assert.isFalse(secrets.ok)
      assert.include(secrets.detail, "WEBHOOK_SECRETS")
      assert.notInclude(secrets.detail, "canary")
    })
  )
})

describe("the settings of mails", () => {
  const mail = { RESEND_API_KEY: "re_1", MAIL_FROM: "mail@example.com" }
  const seenOf = (environment: Readonly<Record<string, string>>) =>
    Effect.map(seen({ status: 200 }, { ...settings, ...environment }), (all) => all.mail)

  it.effect("are there", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* seenOf(mail), { ok: true })
    })
  )

  it.effect.each([
    [{}, /RESEND_API_KEY and MAIL_FROM/],
    [{ RESEND_API_KEY: "re_1" }, /for MAIL_FROM/],
    [{ MAIL_FROM: "mail@example.com" }, /for RESEND_API_KEY/],
    [{ ...mail, MAIL_FROM: "nobody" }, /MAIL_FROM: set an address/]
  ] as const)("are named when they are missing or wrong: %j", ([environment, detail]) =>
    Effect.gen(function* () {
      const check = yield* seenOf(environment)
      assert.match(check?.detail ?? "", detail)
      assert.notInclude(check?.detail, "re_1")
    })
  )
})
