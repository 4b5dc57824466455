import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import * as Config from "../../src/layers/Config.ts"
import { config } from "../support/layers.ts"
import { otherSecret, secret } from "../support/signing.ts"

type Settings = Readonly<Record<string, string>>

const reveal = (value: unknown): unknown =>
  Redacted.isRedacted(value) ? Redacted.value(value) : Array.isArray(value) ? value.map(reveal) : value

const read = <A>(setting: Effect.Effect<A, Config.Misconfigured>, settings: Settings) =>
  Effect.provide(setting, config(settings))

const url = "https://abcdefgh.supabase.co"
const beside = new URL(`${url}/functions/v1/pause-notification-orchestrator`)
const project = { SUPABASE_URL: url }

interface Case {
  readonly key: string
  readonly setting: Effect.Effect<unknown, Config.Misconfigured>
  readonly others?: Settings
  readonly fallback?: unknown
  readonly legal: ReadonlyArray<readonly [text: string, value: unknown]>
  readonly illegal: ReadonlyArray<string>
}

const numbers = (unit: number) =>
  [
    ["1", 1],
    [String(unit), unit]
  ] as const
const notPositive = ["0", "-1", "NaN", "Infinity", "canary", "5 seconds"]

const cases: ReadonlyArray<Case> = [
  {
    key: "WEBHOOK_SECRETS",
    setting: Config.webhookSecrets,
    fallback: [],
    legal: [
      [secret, [secret]],
      [`${secret} ${otherSecret}`, [secret, otherSecret]],
      [` ${secret},\n${otherSecret}, `, [secret, otherSecret]]
    ],
    illegal: ["canary", `${secret} canary`, "whsec_", "whsec_canary==", `${secret}!`, secret.slice(6), `${secret}A`]
  },
  {
    key: "WEBHOOK_TOLERANCE_SECONDS",
    setting: Config.webhookTolerance,
    fallback: 300,
    legal: numbers(60),
    illegal: notPositive
  },
  {
    key: "MAX_BODY_BYTES",
    setting: Config.maxBodyBytes,
    fallback: 262_144,
    legal: numbers(1024),
    illegal: notPositive
  },
  {
    key: "BODY_TIMEOUT_MS",
    setting: Config.bodyTimeout,
    fallback: 5_000,
    legal: numbers(1_000),
    illegal: notPositive
  },
  {
    key: "SUPABASE_URL",
    setting: Config.supabaseUrl,
    legal: [[url, new URL(url)]],
    illegal: ["canary.supabase.co", "/canary"]
  },
  {
    key: "SUPABASE_SECRET_KEYS",
    setting: Config.supabaseSecretKeys,
    legal: [
      ['{"default":"sb_secret_1"}', ["sb_secret_1"]],
      ['{"jobs":"sb_secret_2","default":"sb_secret_1"}', ["sb_secret_1", "sb_secret_2"]]
    ],
    illegal: ["canary", '"canary"', '["canary"]', '{"default":1}', '{"default":""}', "{}", '{"default":null}']
  },
  {
    key: "JWT_ISSUER",
    setting: Config.jwtIssuer,
    others: project,
    fallback: `${url}/auth/v1`,
    legal: [["https://auth.example.test/auth/v1", "https://auth.example.test/auth/v1"]],
    illegal: []
  },
  {
    key: "JWKS_TIMEOUT_MS",
    setting: Config.jwksTimeout,
    fallback: 3_000,
    legal: numbers(500),
    illegal: notPositive
  },
  {
    key: "ORCHESTRATOR_URL",
    setting: Config.orchestratorUrl,
    others: project,
    fallback: beside,
    legal: [["https://example.test/hook?a=b", new URL("https://example.test/hook?a=b")]],
    illegal: ["example.test/canary", "//canary.test"]
  },
  {
    key: "ORCHESTRATOR",
    setting: Config.orchestrator,
    fallback: "http",
    legal: [
      ["http", "http"],
      ["trigger.dev", "trigger.dev"]
    ],
    illegal: ["canary", "Trigger.dev", "trigger"]
  },
  {
    key: "TRIGGER_API_URL",
    setting: Config.triggerUrl,
    fallback: new URL("https://api.trigger.dev"),
    legal: [["http://127.0.0.1:3030", new URL("http://127.0.0.1:3030")]],
    illegal: ["example.test/canary", "//canary.test"]
  },
  { key: "TRIGGER_SECRET_KEY", setting: Config.triggerSecretKey, legal: [["tr_prod_1", "tr_prod_1"]], illegal: [] },
  {
    key: "TRIGGER_TASK",
    setting: Config.triggerTask,
    fallback: "notify-coordinators",
    legal: [["my-task", "my-task"]],
    illegal: []
  },
  {
    key: "ORCHESTRATOR_TIMEOUT_MS",
    setting: Config.orchestratorTimeout,
    fallback: 2_000,
    legal: numbers(500),
    illegal: notPositive
  },
  {
    key: "ORCHESTRATOR_BUDGET_MS",
    setting: Config.orchestratorBudget,
    fallback: 4_000,
    legal: numbers(500),
    illegal: notPositive
  },
  {
    key: "ORCHESTRATOR_RETRIES",
    setting: Config.orchestratorRetries,
    fallback: 2,
    legal: [
      ["0", 0],
      ["10", 10]
    ],
    illegal: ["-1", "11", "1.5", "canary"]
  },
  {
    key: "ORCHESTRATOR_BATCH",
    setting: Config.orchestratorBatch,
    others: project,
    fallback: true,
    legal: [
      ["true", true],
      ["false", false]
    ],
    illegal: ["canary", "2"]
  },
  {
    key: "CONTINUE_MS",
    setting: Config.continueMillis,
    fallback: 1_500,
    legal: [
      ["0", 0],
      ["10000", 10_000]
    ],
    illegal: ["-1", "10001", "NaN", "Infinity", "canary", "1 second"]
  },
  {
    key: "CIRCUIT_FAILURES",
    setting: Config.circuitFailures,
    fallback: 5,
    legal: numbers(3),
    illegal: notPositive
  },
  {
    key: "CIRCUIT_OPEN_MS",
    setting: Config.circuitOpen,
    fallback: 10_000,
    legal: numbers(500),
    illegal: notPositive
  },
  {
    key: "RESEND_BASE_URL",
    setting: Config.resendUrl,
    fallback: new URL("https://api.resend.com"),
    legal: [["http://127.0.0.1:9999", new URL("http://127.0.0.1:9999")]],
    illegal: ["canary", "api.resend.com"]
  },
  {
    key: "MAIL_FROM",
    setting: Effect.map(Config.mailFrom, Option.getOrNull),
    fallback: null,
    legal: [
      ["mail@example.com", "mail@example.com"],
      ["Mentoring <mail@example.com>", "Mentoring <mail@example.com>"]
    ],
    illegal: [
      "canary",
      "canary@",
      "canary@localhost",
      "<canary@example.com",
      "a@example.com, b@example.com",
      "a\nb <a@b.c>"
    ]
  },
  {
    key: "MAIL_TIME_ZONE",
    setting: Config.mailTimeZone,
    fallback: "UTC",
    legal: [
      ["Europe/Berlin", "Europe/Berlin"],
      ["UTC", "UTC"]
    ],
    illegal: ["Europe", "canary", "12:00"]
  },
  {
    key: "RESEND_TIMEOUT_MS",
    setting: Config.resendTimeout,
    fallback: 4_000,
    legal: numbers(500),
    illegal: notPositive
  },
  { key: "STORE_TIMEOUT_MS", setting: Config.storeTimeout, fallback: 3_000, legal: numbers(500), illegal: notPositive },
  {
    key: "LOG_LEVEL",
    setting: Config.logLevel,
    fallback: "Info",
    legal: ["Trace", "Debug", "Info", "Warn", "Error", "None"].map((level) => [level, level] as const),
    illegal: ["canary", "info "]
  }
]

describe.each(cases)("$key", ({ fallback, illegal, key, legal, others = {}, setting }) => {
  it.effect("takes legal values", () =>
    Effect.forEach(legal, ([text, value]) =>
      Effect.map(read(setting, { ...others, [key]: text }), (actual) => assert.deepStrictEqual(reveal(actual), value))
    )
  )

  it.effect("refuses illegal values, naming the key and never the value", () =>
    Effect.forEach(illegal, (text) =>
      Effect.map(Effect.flip(read(setting, { ...others, [key]: text })), (error) => {
        assert.strictEqual(error._tag, "Misconfigured")
        assert.strictEqual(error.key, key)
        assert.isNotEmpty(error.hint)
        assert.include(error.message, key)
        assert.notInclude(error.message, "canary")
        assert.notInclude(error.message, secret)
      })
    )
  )

  it.effect("counts an empty value as missing", () =>
    Effect.gen(function* () {
      for (const settings of [others, { ...others, [key]: "" }]) {
        const result = yield* Effect.exit(read(setting, settings))
        if (fallback !== undefined) {
          assert.deepStrictEqual(result._tag === "Success" && reveal(result.value), fallback)
        } else assert.strictEqual(result._tag, "Failure")
      }
    })
  )
})

describe("Config", () => {
  it.effect.each([
    ["WEBHOOK_HEX_SECRET", Config.webhookHexSecret],
    ["WEBHOOK_STATIC_SECRET", Config.webhookStaticSecret],
    ["ORCHESTRATOR_KEY", Config.orchestratorKey],
    ["RESEND_API_KEY", Config.resendKey]
  ] as const)("%s is off unless it is set, and is never shown", ([key, setting]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* read(setting, {}))._tag, "None")
      assert.strictEqual((yield* read(setting, { [key]: "" }))._tag, "None")
      const long = "canary".padEnd(16, "x")
      const set = yield* read(setting, { [key]: long })
      assert.strictEqual(set._tag === "Some" && Redacted.value(set.value), long)
      assert.notInclude(JSON.stringify(set), "canary")
    })
  )

  it.effect.each([
    ["JWT_SECRET", Config.jwtSecret, 32],
    ["SUPABASE_JWT_SECRET", Config.jwtSecret, 32],
    ["WEBHOOK_HEX_SECRET", Config.webhookHexSecret, 16],
    ["WEBHOOK_STATIC_SECRET", Config.webhookStaticSecret, 16]
  ] as const)("%s is off unless it is set, and must be long", ([key, setting, shortest]) =>
    Effect.gen(function* () {
      const long = "canary".padEnd(shortest, "x")
      assert.strictEqual((yield* read(setting, { [key]: "" }))._tag, "None")
      const set = yield* read(setting, { [key]: long })
      assert.strictEqual(set._tag === "Some" && Redacted.value(set.value), long)
      const error = yield* Effect.flip(read(setting, { [key]: long.slice(1) }))
      assert.strictEqual(error.key, key)
      assert.notInclude(error.message, "anary")
    })
  )

  it.effect("the legacy service role key replaces missing secret keys, and comes after them", () =>
    Effect.gen(function* () {
      const legacy = { SUPABASE_SERVICE_ROLE_KEY: "eyJ.legacy" }
      assert.deepStrictEqual(reveal(yield* read(Config.supabaseSecretKeys, legacy)), ["eyJ.legacy"])
      const both = { ...legacy, SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}' }
      assert.deepStrictEqual(reveal(yield* read(Config.supabaseSecretKeys, both)), ["sb_secret_1", "eyJ.legacy"])
    })
  )

  it.effect.each([
    ["https://hooks.example.test/pause", false],
    [`${url}/functions/v1/another`, false],
    [beside.href, true]
  ] as const)("an orchestrator at %s takes arrays: %s, unless it is set otherwise", ([where, takesArrays]) =>
    Effect.gen(function* () {
      const settings = { ...project, ORCHESTRATOR_URL: where }
      assert.strictEqual(yield* read(Config.orchestratorBatch, settings), takesArrays)
      for (const said of [true, false]) {
        const told = { ...settings, ORCHESTRATOR_BATCH: String(said) }
        assert.strictEqual(yield* read(Config.orchestratorBatch, told), said)
      }
    })
  )

  it.effect("an orchestrator without a known project is missing the project's URL", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(read(Config.orchestratorUrl, {}))).key, "SUPABASE_URL")
    })
  )

  it.effect("each build reads the environment again", () =>
    Effect.gen(function* () {
      const level = Effect.provide(Config.logLevel, Config.fromEnvironment)
      const before = process.env["LOG_LEVEL"]
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["LOG_LEVEL"]
          else process.env["LOG_LEVEL"] = before
        })
      )
      for (const value of ["Debug", "Error"]) {
        process.env["LOG_LEVEL"] = value
        assert.strictEqual(yield* level, value)
      }
    })
  )
})
