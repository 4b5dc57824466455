import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { bundleFunctions, isOverBudget } from "../build.ts"
import { calledByFirstDelivery } from "../build/rehearsal.ts"
import * as DedupeStoreSupabase from "../src/layers/DedupeStoreSupabase.ts"
import * as OrchestratorClientHttp from "../src/layers/OrchestratorClientHttp.ts"
import * as SupabaseRest from "../src/layers/SupabaseRest.ts"
import { packageVersion } from "../src/schema/PackageVersion.ts"
import { respond, signed, webhookWorld } from "./layers/webhookWorld.ts"
import { answered, config, countingClock, fetchOf, rpcClient } from "./support/layers.ts"
import { bytesOf, newPause, outboxPause } from "./support/payloads.ts"

const bundles = await bundleFunctions()
const handler = bundles.find(({ name }) => name === "pause-status-webhook-handler") ?? assert.fail("no handler")

const packageOf = (path: string): string =>
  /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? path.slice(0, path.lastIndexOf("/"))

describe("a bundle", () => {
  it.each(bundles)("$name is within its budget", (bundle) => {
    assert.isAbove(bundle.bytes, 10_000)
    assert.isFalse(isOverBudget(bundle), `${bundle.bytes} bytes, ${bundle.gzipBytes} with gzip`)
  })

  it("is over its budget by one byte, with gzip or without", () => {
    const { budget } = handler
    assert.isFalse(isOverBudget({ ...handler, ...budget }))
    assert.isTrue(isOverBudget({ ...handler, ...budget, bytes: budget.bytes + 1 }))
    assert.isTrue(isOverBudget({ ...handler, ...budget, gzipBytes: budget.gzipBytes + 1 }))
  })

  it("of the handler has only what a delivery needs: 143 KB, 49 KB with gzip, 106 modules", () => {
    assert.isAtMost(handler.budget.bytes, 143_000)
    assert.isAtMost(handler.budget.gzipBytes, 49_000)
    assert.isAtMost(handler.modules.length, 106)
  })

  it("of the handler calls at most 797 functions for its first delivery, nearly all of them compiled with it", async () => {
    const { code } = handler
    const called = [...(await calledByFirstDelivery(code))].map((place) => place.split(" ").map(Number))
    const compiled = called.filter(([start = 0, end = 0]) => code.charAt(start - 1) === "(" && code.charAt(end) === ")")
    assert.isAbove(called.length, 500)
    assert.isAtMost(called.length, 797)
    assert.isAbove(compiled.length / called.length, 0.8)
  })

  it.each(bundles)("$name is ASCII, one byte for each character", ({ code }) => {
    assert.strictEqual(Buffer.byteLength(code), code.length)
    assert.notMatch(code, /[^\0-\x7F]/)
  })

  it("of the handler holds two packages", () => {
    assert.deepStrictEqual([...new Set(handler.modules.map(packageOf))].toSorted(), [
      "@supabase/postgrest-js",
      "effect",
      "src",
      "src/layers",
      "src/schema",
      "src/services",
      "src/topics",
      "supabase/functions/pause-status-webhook-handler"
    ])
  })

  it("of the handler holds no router, no tracer, no settings reader but ours, and no management", () => {
    const unwanted =
      /effect\/dist\/(?:http|http-api|Config|ConfigProvider|ManagedRuntime|Metric|Stream|DateTime)\b|[Mm]anage|Traced/
    assert.deepStrictEqual(
      handler.modules.filter((path) => unwanted.test(path)),
      []
    )
  })

  it("of the handler holds no mail code", () => {
    assert.notMatch(handler.code, /RESEND_|MAIL_FROM|Mailer/)
    assert.deepStrictEqual(
      handler.modules.filter((path) => /Mail|Resend/.test(path)),
      []
    )
  })

  it("of send-email is at most 150 KB, 50 KB with gzip, and holds nothing of the orchestrator", () => {
    const sendEmail = bundles.find(({ name }) => name === "send-email") ?? assert.fail("it is not built")
    assert.isAtMost(sendEmail.budget.bytes, 150_000)
    assert.isAtMost(sendEmail.budget.gzipBytes, 50_000)
    assert.deepStrictEqual(
      sendEmail.modules.filter((path) =>
        /Orchestrator|PauseStatus|[Mm]anage|effect\/dist\/(?:http|DateTime)/.test(path)
      ),
      []
    )
  })

  it.each(bundles)("$name says its version in its log", ({ code }) => {
    assert.match(code, new RegExp(`["'\`]${packageVersion.replaceAll(".", "[.]")}["'\`]`))
  })

  it.each(bundles)("$name imports nothing of Node", ({ code }) => {
    assert.notInclude(code, "globalThis.process")
    assert.notMatch(code, /["'`]node:(?!async_hooks)/)
  })

  it.each(bundles)("$name names its later imports in double quotes, where the Supabase CLI finds them", ({ code }) => {
    const imported = [...code.matchAll(/\bimport\(([^)]*)\)/g)].map(([, name]) => name)
    assert.deepStrictEqual(
      imported.filter((name) => !/^"\.\/[a-z]+\.mjs"$/.test(name ?? "")),
      []
    )
  })

  it.each(bundles)("$name takes no stack traces while it is evaluated, and takes them later", ({ code }) => {
    const quiet = /^const (\w+)=Error\.stackTraceLimit;Error\.stackTraceLimit=0;/.exec(code)
    assert.isNotNull(quiet)
    assert.isTrue(code.trimEnd().endsWith(`Error.stackTraceLimit=${quiet?.[1]};`))
  })
})

const claimed = { outcome: "claimed", token: 1, attempt: 1, leaseSeconds: 60 }
const completed = { outcome: "completed" }
const project = { SUPABASE_URL: "https://abcdefgh.supabase.co", SUPABASE_SERVICE_ROLE_KEY: "eyJ.legacy" }

/** What one delivery of some payloads asks of the database and of the orchestrator. */
const delivered = Effect.fnUntraced(function* (body: unknown, events: number, receipt: unknown) {
  const database = rpcClient(
    answered(Array.from({ length: events }, () => claimed)),
    answered({ settled: Array.from({ length: events }, () => completed), next: [] })
  )
  const orchestrator = fetchOf({ status: 200, body: JSON.stringify(receipt) })
  const outside = Layer.mergeAll(
    Layer.provide(DedupeStoreSupabase.layer, SupabaseRest.fromClient(database.client)),
    OrchestratorClientHttp.layer
  ).pipe(Layer.provide(orchestrator.layer), Layer.provide(config(project)))
  const bytes = bytesOf(body)
  const response = yield* respond(signed(bytes, { "content-length": String(bytes.length) })).pipe(
    Effect.provide(outside),
    Effect.provide(webhookWorld().layer)
  )
  assert.strictEqual(response.status, 200)
  return { rpcs: database.calls.map(({ name }) => name), calls: orchestrator.calls.length }
})

const twoRoundTripsAndOneCall = { rpcs: ["outbox_claim", "outbox_settle"], calls: 1 }

describe("a delivery", () => {
  it.effect("costs two round trips to the database and one call of the orchestrator", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delivered(outboxPause, 1, { notified: 1 }), twoRoundTripsAndOneCall)
    })
  )

  it.effect("costs no more with a hundred events", () =>
    Effect.gen(function* () {
      const payloads = Array.from({ length: 100 }, newPause)
      const results = payloads.map(({ event_id }) => ({ eventId: event_id, status: 200, receipt: { notified: 1 } }))
      assert.deepStrictEqual(yield* delivered(payloads, 100, { results }), twoRoundTripsAndOneCall)
    })
  )

  it.effect("is parsed once", () =>
    Effect.gen(function* () {
      const { parse } = JSON
      let parses = 0
      yield* Effect.addFinalizer(() => Effect.sync(() => (JSON.parse = parse)))
      JSON.parse = (text: string, ...rest) => {
        if (text.includes(outboxPause.table)) parses++
        return parse(text, ...rest)
      }
      yield* delivered(outboxPause, 1, { notified: 1 })
      assert.strictEqual(parses, 1)
    })
  )

  it.effect("sets timers for its first deadlines, and none for those that follow at once", () =>
    Effect.gen(function* () {
      const { clock, sleeps } = yield* countingClock
      const deliver = Effect.provideService(delivered(outboxPause, 1, { notified: 1 }), Clock.Clock, clock)
      yield* deliver
      assert.deepStrictEqual(sleeps, [5_000, 3_000, 2_000])
      yield* Effect.repeat(deliver, { times: 9 })
      assert.lengthOf(sleeps, 3)
    })
  )
})
