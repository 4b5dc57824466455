import { assert, describe, it } from "@effect/vitest"
import { deliveries, isPostTo, pathBelow } from "../../src/layers/Http.ts"

const name = deliveries.functionName

describe("the path of a request", () => {
  it.each([
    [`http://localhost${deliveries.path}?a=b`, deliveries.path],
    [`http://localhost/${name}${deliveries.path}`, deliveries.path],
    [`http://localhost/${name}`, "/"],
    [`http://localhost/${name}s/health`, `/${name}s/health`],
    [`http://localhost//${name}/health`, `//${name}/health`]
  ])("of %s is %s", (url, path) => {
    assert.strictEqual(pathBelow(url, name), path)
  })

  it.each(["a b", "[::1", "localhost:99999", "256.256.256.256"])(
    "is undefined if the Host header, %j, is not an address",
    (host) => {
      const url = `http://${host}${deliveries.path}`
      assert.strictEqual(pathBelow(url, name), "")
      const request = Object.defineProperty(new Request("http://localhost", { method: "POST" }), "url", { value: url })
      assert.isFalse(isPostTo(request, deliveries))
    }
  )
})
