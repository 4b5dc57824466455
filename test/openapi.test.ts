import { assert, describe, it } from "@effect/vitest"
import { createConfig, lintFromString } from "@redocly/openapi-core"
import { readFileSync } from "node:fs"
import { Ajv } from "ajv"
import { openapiPath, openapiText } from "../local/openapi.ts"
import { table } from "../src/layers/Problems.ts"

const document = JSON.parse(openapiText())

interface ComponentSchema {
  readonly examples?: ReadonlyArray<unknown>
  readonly properties?: {
    readonly status?: { readonly enum?: ReadonlyArray<unknown> }
    readonly code?: { readonly enum?: ReadonlyArray<unknown> }
  }
}
const schemas: Readonly<Record<string, ComponentSchema>> = document.components.schemas

interface Reply {
  readonly content?: Readonly<Record<string, { readonly schema: { readonly $ref?: string } }>>
}
const replies = Object.values<Record<string, { operationId: string; responses: Record<string, Reply> }>>(
  document.paths
).flatMap((item) =>
  Object.values(item).flatMap(({ operationId, responses }) =>
    Object.entries(responses).map(([status, reply]) => ({ name: `${operationId} ${status}`, reply }))
  )
)

/** Each status with each code that is documented for it. */
const documented = Object.values(schemas).flatMap(({ properties }) =>
  (properties?.code?.enum ?? []).map((code) => `${properties?.status?.enum?.[0]} ${code}`)
)

describe("docs/openapi.json", () => {
  it("is made from the schemas (npm run openapi writes it)", () => {
    assert.strictEqual(readFileSync(openapiPath, "utf8"), openapiText())
  })

  it("passes the recommended rules of a linter", async () => {
    const config = await createConfig({ extends: ["recommended"] })
    const found = await lintFromString({ source: openapiText(), config, absoluteRef: openapiPath })
    assert.deepStrictEqual(
      found.map(({ location, message }) => `${message} ${location[0]?.pointer}`),
      []
    )
  })

  it("has every operation of the contract", () => {
    const names = replies.map(({ name }) => name.split(" ")[0])
    assert.deepStrictEqual([...new Set(names)].toSorted(), [
      "changeEvent",
      "eraseEvent",
      "getEvent",
      "getHealth",
      "getMetrics",
      "getOpenApi",
      "listEvents",
      "receiveDelivery"
    ])
  })

  // What is answered where no operation is, and what only the orchestrator answers to the handler.
  const elsewhere = new Set(["405 method_not_allowed"])

  it("names each problem with its status, and no other", () => {
    const answered = Object.values(table)
      .map(({ code, status }) => `${status} ${code}`)
      .filter((reply) => !elsewhere.has(reply))
    assert.deepStrictEqual([...new Set(documented)].toSorted(), [...new Set(answered)].toSorted())
  })

  it.each(replies.filter(({ reply }) => reply.content !== undefined))("has examples of $name", ({ reply }) => {
    for (const { schema } of Object.values(reply.content ?? {})) {
      const refs = [...JSON.stringify(schema).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name = ""]) => name)
      assert.isNotEmpty(refs)
      for (const name of refs) assert.isNotEmpty(schemas[name]?.examples ?? [], name)
    }
  })

  const ajv = new Ajv({ strict: false, allErrors: true })
  ajv.addSchema(document, "document")

  it.each(Object.keys(schemas))("has only valid examples of %s", (name) => {
    const validate = ajv.getSchema(`document#/components/schemas/${name}`) ?? assert.fail(name)
    for (const example of schemas[name]?.examples ?? []) {
      validate(example)
      assert.deepStrictEqual(validate.errors ?? [], [])
    }
  })
})
