import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { cp, mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { type App, installApp, nodes, root, type Running } from "./package/app.ts"
import { type Project, startProject } from "./package/project.ts"
import { eventually } from "./support/eventually.ts"
import { bytesOf, newPause } from "./support/payloads.ts"
import { secret, standardHeaders } from "./support/signing.ts"

let app: App
let project: Project

beforeAll(async () => {
  project = await startProject()
  app = await installApp()
})
afterAll(async () => {
  await app?.[Symbol.asyncDispose]()
  await project?.[Symbol.asyncDispose]()
})

const programs = [...(await nodes())]

const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"))

const filesBelow = async (directory: string): Promise<ReadonlyArray<string>> => {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

const sizeOf = async (directories: ReadonlyArray<string>): Promise<number> => {
  const files = (await Promise.all(directories.map(filesBelow))).flat()
  return (await Promise.all(files.map((file) => stat(file)))).reduce((sum, { size }) => sum + size, 0)
}

describe("the package", () => {
  it("has what a consumer needs: JavaScript with types, the command and what it installs, the guides that they name, and four files more", () => {
    const paths = app.packed.files.map(({ path }) => path)
    const needed =
      /^dist\/(?:[\w/]+\.(?:js|d\.ts)|cli\.mjs|console\/\w+\.(?:html|css))$|^supabase\/(?:migrations\/\d+_\w+\.sql|functions\/[\w-]+\/dist\/\w+\.mjs)$|^docs\/(?:openapi\.json|[a-z]+\.md)$/
    assert.deepStrictEqual(paths.filter((path) => !needed.test(path)).toSorted(), [
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "package.json"
    ])
    for (const guide of ["install", "mail", "runbook", "topics"]) assert.include(paths, `docs/${guide}.md`)
    assert.notInclude(paths, "docs/benchmarks.md")
    assert.isAtMost(paths.length, 330)
    // Half of it is the command with all that it needs, among them an HTTP server and the page that it serves, and the
    // functions that it installs: an app imports none of that.
    assert.isAtMost(app.packed.size, 760_000)
    assert.isAtMost(app.packed.unpackedSize, 2_800_000)
  })

  it("brings two packages besides effect, in less than 4.5 MB", async () => {
    assert.sameMembers(Object.keys(manifest.dependencies), ["@supabase/postgrest-js", "jose"])
    assert.deepStrictEqual(Object.keys(manifest.peerDependencies), ["effect"])
    const modules = join(app.directory, "node_modules")
    const brought = [manifest.name, ...Object.keys(manifest.dependencies)].map((name) => join(modules, name))
    assert.isAtMost(await sizeOf(brought), 4_500_000)
  })

  it("brings one program, its command, and puts no other node on the app's path", async () => {
    const installed = await readdir(join(app.directory, "node_modules"))
    assert.deepStrictEqual(await readdir(join(app.directory, "node_modules/.bin")), ["pause-status"])
    assert.deepStrictEqual(
      installed.filter((name) => /^(?:node|postgres|deno|embedded)/.test(name)),
      []
    )
  })

  it("exports entries by audience, the migrations and the contract, and nothing below them", async () => {
    const script = `
      const names = ${JSON.stringify(Object.keys(manifest.exports).filter((name) => !name.includes("*")))}
      for (const name of names) import.meta.resolve("${manifest.name}" + name.slice(1))
      const migration = "${manifest.name}/migrations/${(await readdir(join(root, "supabase/migrations"))).at(0)}"
      const found = [import.meta.resolve(migration)].filter((url) => !process.getBuiltinModule("node:fs").existsSync(new URL(url)))
      const inner = await import("${manifest.name}/dist/main.js").catch(({ code }) => code)
      console.log(JSON.stringify([found, inner]))`
    const output = await app.node(process.execPath, ["--input-type=module", "--eval", script])
    assert.deepStrictEqual(JSON.parse(output), [[], "ERR_PACKAGE_PATH_NOT_EXPORTED"])
  })

  it("passes a consumer's strict tsc with lib ES2023, including its own types and effect's", async () => {
    const folder = join(app.directory, "everything")
    const base = JSON.parse(await readFile(join(app.directory, "tsconfig.json"), "utf8"))
    const entries = Object.keys(manifest.exports).filter((name) => /^\.(?:\/[a-z]+)?$/.test(name))
    const imports = entries.map((name, index) => `export * as e${index} from "${manifest.name}${name.slice(1)}"\n`)
    await mkdir(folder)
    await writeFile(join(folder, "index.ts"), imports.join(""))
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions: { ...base.compilerOptions, skipLibCheck: false }, include: ["index.ts"] })
    )
    assert.isAtLeast(entries.length, 5)
    assert.deepStrictEqual(base.compilerOptions.lib, ["ES2023", "DOM"])
    assert.strictEqual(await app.tsc(folder), "")
  })

  it.each(programs)("runs on Node %s", async (_, program) => {
    const script = `
      import { Effect, Layer } from "effect"
      import { handleWebhookEvent } from "${manifest.name}"
      import "${manifest.name}/client"
      import "${manifest.name}/http"
      import { Environment, SignatureVerifierWebCrypto } from "${manifest.name}/supabase"
      import { DedupeStoreMemory, OrchestratorClientMemory, signDelivery } from "${manifest.name}/testing"
      const secret = "${secret}"
      const pause = ${JSON.stringify(newPause())}
      const body = new TextEncoder().encode(JSON.stringify([pause, { ...pause, record: {} }]))
      const program = Effect.gen(function* () {
        const headers = yield* signDelivery({ secret, id: "batch", body })
        return yield* handleWebhookEvent({ header: (name) => headers[name], body })
      }).pipe(
        Effect.provide([SignatureVerifierWebCrypto.layer, DedupeStoreMemory.layer, OrchestratorClientMemory.layer]),
        Effect.provideService(Environment, { WEBHOOK_SECRETS: secret, SUPABASE_URL: "http://localhost" })
      )
      const { items } = await Effect.runPromise(program)
      console.log("items: " + items.map(({ result }) => result._tag))`
    assert.include(await app.node(program, ["--input-type=module", "--eval", script]), "items: Success,Failure")
  })
})

describe("the package's command", () => {
  it.each(programs)("installs in a repository, on Node %s", async (_, program) => {
    const repository = await mkdtemp(join(app.directory, "repository-"))
    await mkdir(join(repository, "supabase"))
    await writeFile(join(repository, "supabase/config.toml"), 'project_id = "a"\n')
    const command = join(app.directory, "node_modules/.bin/pause-status")
    assert.include(await app.node(program, [command, "install", repository, "--yes"]), "npx supabase db push --remote")
    const copied = (path: string) => readFile(join(repository, "supabase", path), "utf8")
    const handler = "functions/pause-status-webhook-handler"
    assert.strictEqual(
      await copied(`${handler}/index.mjs`),
      await readFile(join(root, "supabase", handler, "dist/index.mjs"), "utf8")
    )
    assert.include(await copied("config.toml"), handler)
    assert.lengthOf(
      await readdir(join(repository, "supabase/migrations")),
      (await readdir(join(root, "supabase/migrations"))).length
    )
  })

  it("brings the console's page", async () => {
    const page = join(app.directory, "node_modules", manifest.name, "dist/console")
    assert.includeMembers(await readdir(page), ["index.html", "main.css", "main.js"])
  })
})

describe("a larger app", () => {
  const key = "sb_secret_of_the_app"

  const signed = (event: { readonly event_id: string }, parent = {}) => {
    const body = bytesOf(event)
    const signature = standardHeaders(body, { id: event.event_id, seconds: Math.floor(Date.now() / 1000) })
    return { method: "POST", body, headers: { "content-type": "application/json", ...signature, ...parent } }
  }

  const deliver = (url: string, parent = {}) => fetch(`${url}/api/v1/webhooks/pause-status`, signed(newPause(), parent))

  const newOrder = () => ({
    topic: "order-created",
    type: "INSERT",
    schema: "public",
    table: "orders",
    event_id: randomUUID(),
    version: 1,
    timestamp: "2026-11-22T09:30:00.123456+00:00",
    record: { id: randomUUID(), customer_id: "4711", total: 12.5 },
    old_record: null
  })

  /** The names of the spans below one, each with how deep it is. */
  const spansBelow = (spanId: string, depth = 0): ReadonlyArray<string> =>
    project.spans.flatMap(({ name, parentSpanId, spanId: id }) =>
      parentSpanId === spanId ? [`${depth} ${name}`].concat(spansBelow(id, depth + 1)) : []
    )

  let running: Running

  beforeAll(async () => {
    running = await app.start({
      SUPABASE_URL: project.url,
      SUPABASE_SECRET_KEY: key,
      WEBHOOK_SECRETS: secret,
      OTEL_TRACES_EXPORTER: "otlp",
      OTEL_METRICS_EXPORTER: "otlp",
      OTEL_METRIC_EXPORT_INTERVAL: "500",
      OTEL_EXPORTER_OTLP_ENDPOINT: project.url
    })
  })
  afterAll(() => running?.[Symbol.asyncDispose]())

  it("passes its strict tsc, and its own tests", async () => {
    assert.strictEqual(await app.tsc(), "")
    assert.match(await app.node(process.execPath, ["--test"]), /^# pass 3$|^ℹ pass 3$/m)
  })

  it("serves its own routes", async () => {
    const response = await fetch(`${running.url}/mentors/paused`)
    assert.strictEqual(response.status, 200)
    assert.lengthOf(await response.json(), 1)
  })

  it("answers a signed delivery, with its own client, orchestrator, logger and tracer", async () => {
    const [traceId, spanId] = ["4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"]
    const response = await deliver(running.url, { traceparent: `00-${traceId}-${spanId}-01` })
    assert.strictEqual(response.status, 200)
    const { receipt, status } = await response.json()
    assert.deepStrictEqual([status, receipt], ["notified", { notified: 1 }])
    assert.deepStrictEqual(project.calls.splice(0), [
      { name: "outbox_claim", key },
      { name: "outbox_settle", key, topic: "pause-status" }
    ])
    const lines = running.lines()
    assert.isNotEmpty(lines.filter((line) => line.includes("service=orchestrator") && line.includes("level=INFO")))
    assert.isNotEmpty(lines.filter((line) => line.includes("notified") && line.includes("durationMs")))
    assert.deepStrictEqual(
      lines.filter((line) => line.startsWith("{")),
      []
    )
    // The span of the request itself is the server's, whatever its name.
    await eventually(() => spansBelow(spanId).toSorted().slice(1)).toEqual([
      "1 DedupeStore.claim",
      "1 DedupeStore.settle",
      "1 Topic.handle",
      "2 Orchestrator.tell"
    ])
    const told = project.spans.find(({ name }) => name === "Orchestrator.tell")
    assert.strictEqual(told?.traceId, traceId)
  })

  it("handles an event of its own topic with its own service, and counts it", async () => {
    const spanId = "53995c3f42cd8ad8"
    const order = newOrder()
    const traceparent = `00-${"5".repeat(32)}-${spanId}-01`
    const response = await fetch(`${running.url}/api/v1/webhooks/order-created`, signed(order, { traceparent }))
    assert.strictEqual(response.status, 200)
    assert.deepStrictEqual(await response.json(), {
      status: "handled",
      eventId: order.event_id,
      key: order.record.id,
      receipt: { mail: `confirmation of ${order.record.id}` }
    })
    assert.deepStrictEqual(project.calls.splice(0), [
      { name: "outbox_claim", key },
      { name: "outbox_settle", key, topic: "order-created" }
    ])
    assert.isNotEmpty(running.lines().filter((line) => line.includes("service=mailer")))
    await eventually(() => spansBelow(spanId)).toContain("2 Mailer.confirm")
    await eventually(() => [...project.metrics]).toContain("outbox_events")
    await eventually(() => [...project.metrics]).toContain("outbox_step_duration_ms")
  })

  it("also serves its topic through fetch, like an Edge Function", async () => {
    const order = newOrder()
    const { body, headers } = signed(order)
    const script = `
      Object.assign(process.env, ${JSON.stringify({ SUPABASE_URL: project.url, SUPABASE_SECRET_KEYS: JSON.stringify({ default: key }), WEBHOOK_SECRETS: secret })})
      const { default: { fetch } } = await import("./src/edge.ts")
      const headers = ${JSON.stringify(headers)}
      const body = ${JSON.stringify(new TextDecoder().decode(body))}
      const reply = await fetch(new Request("http://localhost/order-created", { method: "POST", headers, body }))
      console.log("reply: " + reply.status + " " + await reply.text())`
    const output = await app.node(process.execPath, ["--input-type=module", "--eval", script])
    assert.match(output, /^reply: 200 \{"status":"handled",/m)
  })

  it("refuses a forged one", async () => {
    const response = await fetch(`${running.url}/api/v1/webhooks/pause-status`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" }
    })
    assert.strictEqual(response.status, 401)
  })

  it("answers a delivery in progress when SIGTERM comes, and then exits", async () => {
    const claimed = project.holdClaim()
    const reply = deliver(running.url)
    const letThrough = await claimed
    running.signal("SIGTERM")
    await eventually(() =>
      fetch(running.url).then(
        () => "open",
        () => "closed"
      )
    ).toBe("closed")
    letThrough()
    assert.strictEqual((await reply).status, 200)
    assert.strictEqual(project.calls.at(-1)?.name, "outbox_settle")
    assert.strictEqual(await running.ended, 130)
    assert.lengthOf(
      project.spans.filter(({ name }) => name === "Orchestrator.tell"),
      2
    )
  })
})

describe.each(["inventory-low", "opportunity-stage", "order-created"])("the example %s", (name) => {
  let folder: string

  beforeAll(async () => {
    folder = join(app.directory, name)
    await cp(join(root, "examples", name), folder, {
      recursive: true,
      filter: (source) => !/\/(?:test|dist|build|generate-pdf)(?:\/|$)/.test(source)
    })
    const { compilerOptions } = JSON.parse(await readFile(join(app.directory, "tsconfig.json"), "utf8"))
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions, include: ["supabase/functions/*/index.ts"] })
    )
  })

  it("passes a consumer's strict tsc, over the installed package", async () => {
    assert.strictEqual(await app.tsc(folder), "")
  })

  it("is bundled as its README says, and answers a delivery that is not signed with 401", async () => {
    const readme = await readFile(join(root, "examples/README.md"), "utf8")
    const [, written = ""] = /^ {4}npx rolldown ((?:.*\\\n)*.*)$/m.exec(readme) ?? []
    const options = written.replaceAll("inventory-low", name).replaceAll("\\\n", " ").split(/ +/)
    await promisify(execFile)(join(root, "node_modules/.bin/rolldown"), options, { cwd: folder })
    const script = `
      Object.assign(process.env, ${JSON.stringify({ SUPABASE_URL: project.url, SUPABASE_SECRET_KEYS: '{"default":"key"}', WEBHOOK_SECRETS: secret })})
      const { default: { fetch } } = await import("./${name}/supabase/functions/${name}/dist/index.mjs")
      const request = new Request("http://localhost/", { method: "POST", body: "{}", headers: { "content-type": "application/json" } })
      console.log("status: " + (await fetch(request)).status)`
    assert.match(await app.node(process.execPath, ["--input-type=module", "--eval", script]), /^status: 401$/m)
  })
})
