import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { edgeFunction } from "../../local/functions.ts"
import type { StackLog } from "../../local/log.ts"
import { type DenoVersion, denoProgram } from "../../local/programs.ts"
import { type Reaper, startReaper } from "../../local/Reaper.ts"
import { verdict } from "../support/deliveries.ts"
import { eventually } from "../support/pipeline.ts"
import { secret } from "../support/signing.ts"

let reaper: Reaper
let home: string

beforeAll(async () => {
  reaper = startReaper()
  home = await mkdtemp(join(tmpdir(), "pause-status-settings-"))
  reaper.removeAtEnd(home)
})
afterAll(async () => {
  await reaper?.[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
})

const folders = { handler: "pause-status-webhook-handler", orchestrator: "pause-notification-orchestrator" }

/** The reply to a POST, and the log, of one bundle alone in Deno with just this environment. */
const aloneWith = async (
  name: keyof typeof folders,
  version: DenoVersion,
  env: Readonly<Record<string, string>>,
  mountedAt = `/${folders[name]}`
) => {
  const lines: Array<StackLog> = []
  const { service, upstream } = edgeFunction({
    name,
    bundle: fileURLToPath(new URL(`../../supabase/functions/${folders[name]}/dist/index.mjs`, import.meta.url)),
    deno: await denoProgram(version),
    env,
    home,
    log: (line) => void lines.push(line),
    reaper
  })
  try {
    await service.start()
    const at = upstream()
    if (at === undefined || !("port" in at)) throw new Error(`${name} listens on no port`)
    const path = name === "handler" ? "/api/v1/webhooks/pause-status" : ""
    const response = await fetch(`http://127.0.0.1:${at.port}${mountedAt}${path}`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" }
    })
    const reply = { retryAfter: response.headers.get("retry-after"), verdict: await verdict(response) }
    const logged = await eventually("a log line of the reply", () =>
      lines.find(({ text }) => text.includes('"outcome"'))
    )
    return { ...reply, logged: logged.text }
  } finally {
    await service.stop()
  }
}

const complete = {
  SUPABASE_URL: "http://127.0.0.1:9",
  SUPABASE_SECRET_KEYS: JSON.stringify({ default: "sb_secret_of_nobody" }),
  WEBHOOK_SECRETS: secret
}
const without = (key: keyof typeof complete): Readonly<Record<string, string>> => {
  const { [key]: _, ...rest } = complete
  return rest
}

describe.each(["2.1.4", "current"] as const)("a bundle alone in Deno %s", (version) => {
  it("with all settings answers from the first request on", async () => {
    const reply = await aloneWith("handler", version, complete)
    assert.strictEqual(reply.verdict, "401 unauthorized")
  })

  it("answers at the root as well as below the function's name", async () => {
    const reply = await aloneWith("handler", version, complete, "")
    assert.strictEqual(reply.verdict, "401 unauthorized")
  })

  it.each(["SUPABASE_URL", "SUPABASE_SECRET_KEYS", "WEBHOOK_SECRETS"] as const)(
    "without %s answers 503, and its log names the setting",
    async (key) => {
      const reply = await aloneWith("handler", version, without(key))
      assert.strictEqual(reply.verdict, "503 misconfigured")
      assert.isNotNull(reply.retryAfter)
      assert.include(reply.logged, key)
    }
  )

  it("without any setting answers 503, and its log names one of them", async () => {
    for (const name of ["handler", "orchestrator"] as const) {
      const reply = await aloneWith(name, version, {})
      assert.strictEqual(reply.verdict, "503 misconfigured")
      assert.match(reply.logged, /SUPABASE_URL|SUPABASE_SECRET_KEYS|WEBHOOK_SECRETS/)
    }
  })

  it("with a secret of the wrong form answers 503, and its log does not quote it", async () => {
    const reply = await aloneWith("handler", version, { ...complete, WEBHOOK_SECRETS: "whsec_hush" })
    assert.strictEqual(reply.verdict, "503 misconfigured")
    assert.include(reply.logged, "WEBHOOK_SECRETS")
    assert.notInclude(reply.logged, "hush")
  })

  it("without any secret the orchestrator writes nothing and answers 401", async () => {
    const reply = await aloneWith("orchestrator", version, complete)
    assert.strictEqual(reply.verdict, "401 unauthorized")
  })
})
