import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import * as Live from "../../src/layers/Live.ts"
import * as Logging from "../../src/layers/Logging.ts"
import * as ManagementLive from "../../src/layers/ManagementLive.ts"
import { pauseStatusEvents } from "../../src/topics/PauseStatusEvents.ts"
import * as OrchestratorLive from "../../src/layers/OrchestratorLive.ts"
import * as WebHandler from "../../src/layers/WebHandler.ts"
import { handler } from "../../src/main.ts"
import { packageVersion } from "../../src/schema/PackageVersion.ts"
import { ContinueMillis } from "../../src/services/Continue.ts"
import { handler as orchestrator } from "../../src/orchestrator.ts"
import { bytesOf, outboxPause } from "../support/payloads.ts"
import { secret, staticSecret } from "../support/signing.ts"
import { capturedConsole, signed } from "./webhookWorld.ts"

const environment = (settings: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = { ...process.env }
      Object.assign(process.env, settings)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const key of Object.keys(settings)) {
          const value = before[key]
          if (value === undefined) delete process.env[key]
          else process.env[key] = value
        }
      })
  )

const project = { SUPABASE_URL: "http://127.0.0.1:9", SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}' }

const deployed = Layer.provideMerge(Live.layer, Logging.layer)

const forged = () => signed(bytesOf(outboxPause), { "webhook-signature": "v1,AAAA" })
const stranger = () => new Request("http://localhost/pause-notification-orchestrator", { method: "POST" })

describe("the functions as deployed", () => {
  it.live("the handler is misconfigured without settings, and refuses unsigned requests with them", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      assert.strictEqual((yield* Effect.promise(() => handler(forged()))).status, 503)
      yield* environment({ ...project, WEBHOOK_SECRETS: secret })
      assert.strictEqual((yield* Effect.promise(() => handler(forged()))).status, 401)
      assert.lengthOf(lines, 2)
      assert.include(lines[1], "SignatureRejected")
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).annotations),
        [{ version: packageVersion }, { version: packageVersion }]
      )
    })
  )

  it.live("the environment sets how long a delivery continues", () =>
    Effect.gen(function* () {
      yield* capturedConsole()
      const ask = Effect.promise(() =>
        WebHandler.make(deployed, () => Effect.map(ContinueMillis, (millis) => new Response(String(millis))))(
          new Request("http://localhost")
        ).then((response) => response.text())
      )
      yield* environment({ ...project, WEBHOOK_SECRETS: secret, CONTINUE_MS: "0" })
      assert.strictEqual(yield* ask, "0")
      yield* environment({ CONTINUE_MS: "" })
      assert.strictEqual(yield* ask, "1500")
    })
  )

  it.live("the environment selects the orchestrator, whose settings are not needed otherwise", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      const statusOf = Effect.promise(() =>
        WebHandler.make(deployed, () => Effect.succeed(new Response()))(new Request("http://localhost")).then(
          ({ status }) => status
        )
      )
      yield* environment({ ...project, WEBHOOK_SECRETS: secret })
      assert.strictEqual(yield* statusOf, 200)
      yield* environment({ ORCHESTRATOR: "trigger.dev" })
      assert.strictEqual(yield* statusOf, 503)
      assert.include(lines.at(-1), "TRIGGER_SECRET_KEY")
      yield* environment({ TRIGGER_SECRET_KEY: "tr_prod_1", ORCHESTRATOR_URL: "not read" })
      assert.strictEqual(yield* statusOf, 200)
    })
  )

  it.live("the orchestrator is misconfigured without settings, and refuses strangers with them", () =>
    Effect.gen(function* () {
      yield* capturedConsole()
      assert.strictEqual((yield* Effect.promise(() => orchestrator(stranger()))).status, 503)
      yield* environment(project)
      assert.strictEqual((yield* Effect.promise(() => orchestrator(stranger()))).status, 401)
    })
  )

  it.live("the static secret is reported once, in a normal log line", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      yield* environment({ ...project, WEBHOOK_STATIC_SECRET: "a static secret, of any text" })
      const quiet = WebHandler.make(deployed, () => Effect.succeed(new Response()))
      yield* Effect.promise(() => quiet(new Request("http://localhost")))
      yield* Effect.promise(() => quiet(new Request("http://localhost")))
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line).message.outcome),
        ["static_secret"]
      )
    })
  )

  it.live("the environment sets the lowest level that is logged", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      yield* environment({ ...project, WEBHOOK_SECRETS: secret, LOG_LEVEL: "Error" })
      const quiet = WebHandler.make(deployed, () => Effect.as(Effect.logWarning("quiet"), new Response()))
      const loud = WebHandler.make(deployed, () => Effect.as(Effect.logError("loud"), new Response()))
      yield* Effect.promise(() => quiet(new Request("http://localhost")))
      yield* Effect.promise(() => loud(new Request("http://localhost")))
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "loud")
    })
  )
})

describe("the services of an app", () => {
  it.live("log through the app's logger, from the app's level on, and not to the console", () =>
    Effect.gen(function* () {
      const lines = yield* capturedConsole()
      yield* environment({
        ...project,
        WEBHOOK_SECRETS: secret,
        WEBHOOK_STATIC_SECRET: staticSecret,
        LOG_LEVEL: "None"
      })
      const heard: Array<unknown> = []
      const logger = Logger.make(({ message }) => void heard.push(...[message].flat()))
      const loggers = yield* Effect.gen(function* () {
        assert.strictEqual(yield* References.MinimumLogLevel, "Debug")
        assert.deepStrictEqual(yield* References.CurrentLogAnnotations, {})
        yield* Effect.logDebug("here")
        return yield* Logger.CurrentLoggers
      }).pipe(
        Effect.provide(Layer.mergeAll(Live.layer, ManagementLive.layerOf(pauseStatusEvents), OrchestratorLive.layer)),
        Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")))
      )
      assert.deepStrictEqual([...loggers], [logger])
      assert.lengthOf(heard, 2)
      assert.deepInclude(heard[0], { outcome: "static_secret" })
      assert.strictEqual(heard[1], "here")
      assert.deepStrictEqual(lines, [])
    })
  )
})
