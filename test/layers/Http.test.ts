import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliveries, isPostTo } from "../../src/layers/Http.ts"

const root = "http://localhost"
const { functionName, path } = deliveries
const name = `/${functionName}`
const url = root + path

const isDelivery = (where: string, method = "POST") => isPostTo(new Request(where, { method }), deliveries)

describe("a delivery", () => {
  it.each([url, `${url}?a=b`, `${root}${name}${path}`, `https://any.host:8443${path}`])(
    "may be posted to %s",
    (where) => {
      assert.isTrue(isDelivery(where))
    }
  )

  it.each([
    root,
    `${root}${name}`,
    `${root}${name}/`,
    `${url}/`,
    `${url}/${randomUUID()}`,
    `${root}/another${path}`,
    `${root}${name}${name}${path}`,
    `${root}${name}x${path}`,
    `${root}${path.toUpperCase()}`
  ])("is none at %s", (where) => {
    assert.isFalse(isDelivery(where))
  })

  it.each(["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])("is none as a %s", (method) => {
    assert.isFalse(isDelivery(url, method))
  })
})
