import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ConfigProvider, Console, Effect, Fiber, Option, Redacted } from "effect"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { buildConsole } from "../../../build/console.ts"
import { run } from "../../../cli/program.ts"
import { functionUrl } from "../../../cli/console/Project.ts"
import { secretKey } from "../../../cli/secretKey.ts"
import { startProject } from "../../support/fakeProject.ts"
import { eventually } from "../../support/eventually.ts"
import { keepingConsole, pauseStatus } from "../../support/pauseStatus.ts"

const fakeProject = Effect.acquireRelease(
  Effect.promise(() => startProject()),
  (project) => Effect.promise(() => project[Symbol.asyncDispose]())
)

beforeAll(() => buildConsole())

describe("pause-status console", () => {
  it.effect("takes the project's URL or the function's", () =>
    Effect.gen(function* () {
      const wanted = "https://ref.supabase.co/functions/v1/pause-status-webhook-handler"
      for (const url of [
        "https://ref.supabase.co",
        "https://ref.supabase.co/",
        wanted,
        `${wanted}/api/v1/webhooks/pause-status`
      ])
        assert.strictEqual(yield* functionUrl(url), wanted)
      assert.strictEqual(yield* functionUrl("https://app.example/outbox/"), "https://app.example/outbox")
    })
  )

  it.effect("prints one address, serves the page there until it is interrupted, and keeps the key to itself", () =>
    Effect.gen(function* () {
      const { apiUrl, serviceKey } = yield* fakeProject
      const { console, kept } = keepingConsole()
      const running = yield* run(["console", "--url", apiUrl, "--key", serviceKey, "--json"]).pipe(
        Effect.provideService(Console.Console, console),
        Effect.provide(NodeServices.layer),
        Effect.forkChild
      )
      yield* Effect.promise(() => eventually(() => kept.stdout).not.toBe(""))
      assert.notInclude(kept.stdout + kept.stderr, serviceKey)
      const { url } = JSON.parse(kept.stdout)
      const page = () => fetch(url).then((response) => response.text())
      assert.match(yield* Effect.promise(page), /<title>Outbox console<\/title>/)
      yield* Fiber.interrupt(running)
      const after = yield* Effect.exit(Effect.tryPromise(page))
      assert.strictEqual(after._tag, "Failure")
    })
  )

  it.effect("sends the key over https, or to this machine", () =>
    Effect.gen(function* () {
      for (const url of ["http://ref.supabase.co", "ftp://127.0.0.1", "ref.supabase.co"]) {
        const { code, stderr } = yield* pauseStatus("console", "--url", url, "--key", "sb_secret_1")
        assert.strictEqual(code, 2, url)
        assert.match(stderr, /It looks like this: https:\/\/<ref>\.supabase\.co/)
      }
    })
  )

  it.effect("says what the key must be, before it asks the project", () =>
    Effect.gen(function* () {
      const missing = yield* pauseStatus("console", "--url", "https://ref.supabase.co").pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({}))
      )
      assert.strictEqual(missing.code, 2)
      assert.match(missing.stderr, /set\s+SUPABASE_SECRET_KEY/)
      for (const key of ["sb_secret_\n1", "sb_secret_ä", " "]) {
        const { code, stderr } = yield* pauseStatus("console", "--url", "https://ref.supabase.co", "--key", key)
        assert.strictEqual(code, 2, key)
        assert.match(stderr, /The key is empty, or has/)
        if (key.length > 1) assert.notInclude(stderr, key)
      }
    })
  )

  it.effect("takes the key without the spaces around it", () =>
    Effect.gen(function* () {
      const key = yield* secretKey(Option.some(Redacted.make(" sb_secret_1\r\n")))
      assert.strictEqual(Redacted.value(key), "sb_secret_1")
    })
  )

  it.effect("reports a refused key at the start", () =>
    Effect.gen(function* () {
      const { apiUrl } = yield* fakeProject
      const { code, stderr } = yield* pauseStatus("console", "--url", apiUrl, "--key", "sb_secret_wrong")
      assert.strictEqual(code, 2)
      assert.match(stderr, /The project does not accept the key/)
      assert.notInclude(stderr, "sb_secret_wrong")
    })
  )

  it.effect("reports at the start that the project does not answer", () =>
    Effect.gen(function* () {
      const project = yield* fakeProject
      yield* Effect.promise(() => project[Symbol.asyncDispose]())
      const { code, stderr } = yield* pauseStatus("console", "--url", project.apiUrl, "--key", "sb_secret_1")
      assert.strictEqual(code, 2)
      assert.match(stderr, /gives an\s+unexpected\s+answer: status 502/)
    })
  )

  it.effect("says that its port is taken", () =>
    Effect.gen(function* () {
      const { apiUrl, serviceKey } = yield* fakeProject
      const taken = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = taken.address() as AddressInfo
      const { code, stderr } = yield* pauseStatus("console", "--url", apiUrl, "--key", serviceKey, "--port", `${port}`)
      assert.strictEqual(code, 2)
      assert.match(stderr, new RegExp(`Port ${port} of 127\\.0\\.0\\.1 is taken`))
    })
  )
})
