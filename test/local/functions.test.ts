import { assert, describe, it } from "@effect/vitest"
import { buildFunctions } from "../../build.ts"
import { startStack } from "../../local/stack.ts"

describe.each(["2.1.4", "current"] as const)("a function on Deno %s", (deno) => {
  it("loads its second bundle even if it was rebuilt since the start", async () => {
    await using stack = await startStack({ deno })
    await buildFunctions()
    const url = stack.functionUrl.replace(/\/api\/.*/, "/openapi.json")
    const response = await fetch(url, { headers: { apikey: stack.serviceKey } })
    assert.strictEqual(response.status, 200, await response.text())
  })
})
