import { assert, describe, it } from "@effect/vitest"
import { observe, openContract } from "../support/contract.ts"
import { base, healthToken, managementWorld, metricsToken, secretKey } from "./managementWorld.ts"

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const down = { ok: false, detail: "the orchestrator cannot be reached" }

/** The status and the body of a reply, which is as the contract has it. */
const look = async (world: ReturnType<typeof managementWorld>, path: string, headers = {}) => {
  const response = await world.ask("GET", path, headers)
  const seen = await observe("GET", path.replace(/\?.*/, ""), response)
  assert.deepStrictEqual((await openContract()).violations(seen), [])
  return { status: seen.status, body: seen.body, type: seen.headers.get("content-type") }
}

describe("an uptime monitor", () => {
  it.each([
    ["as a bearer token", "/health", bearer(healthToken)],
    ["in the URL", `/health?token=${healthToken}`, {}]
  ])("that sends HEALTH_TOKEN %s gets 200 or 503 without figures", async (_, path, headers) => {
    assert.deepInclude(await look(managementWorld(), path, headers), { status: 200, body: '{"status":"ready"}' })
    const unwell = await look(managementWorld({ orchestrator: down }), path, headers)
    assert.deepInclude(unwell, { status: 503, body: '{"status":"not_ready"}' })
  })

  it("whose token is wrong gets a 401, and the project's key is not taken from a URL", async () => {
    for (const token of ["health-token-0123456788", metricsToken.slice(1), "sb_secret_1", ""]) {
      assert.strictEqual((await look(managementWorld(), `/health?token=${token}`)).status, 401, token)
    }
    assert.strictEqual((await look(managementWorld(), "/health", bearer("health-token-0123456788"))).status, 401)
  })

  it.each([
    ["GET", base],
    ["GET", "/openapi.json"],
    ["GET", "/metrics"],
    ["DELETE", `${base}/5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60`]
  ])("may do nothing else: %s %s is a 403", async (method, path) => {
    const { ask } = managementWorld()
    assert.strictEqual((await ask(method, path, bearer(healthToken))).status, 403)
    assert.strictEqual((await ask(method, `${path}?token=${healthToken}`, {})).status, 403)
  })

  it("leaves its token in no log line", async () => {
    const { ask, lines } = managementWorld()
    for (const path of ["/health", "/metrics"]) await ask("GET", `${path}?token=${healthToken}`, {})
    assert.deepInclude(lines, { outcome: "getHealth", caller: "monitor", status: "ready" })
    assert.notInclude(JSON.stringify(lines), healthToken)
  })
})

describe("metrics", () => {
  it.each([
    ["METRICS_TOKEN", bearer(metricsToken)],
    ["the project's key", secretKey]
  ])("are text for Prometheus, by %s", async (_, headers) => {
    const { body, status, type } = await look(managementWorld(), "/metrics", headers)
    assert.strictEqual(status, 200)
    assert.strictEqual(type, "text/plain; version=0.0.4; charset=utf-8")
    assert.include(body, '\noutbox_events{status="pending"} 0\n')
    assert.include(body, '\noutbox_completed_last_15_min{topic="pause-status"} 0\n')
  })

  it("are for nobody else, and METRICS_TOKEN allows nothing else", async () => {
    const world = managementWorld()
    assert.strictEqual((await look(world, "/metrics")).status, 401)
    assert.strictEqual((await look(world, "/metrics", bearer(healthToken))).status, 403)
    assert.strictEqual((await look(world, "/health", bearer(metricsToken))).status, 403)
  })
})
