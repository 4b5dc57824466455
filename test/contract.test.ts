import { assert, beforeAll, describe, it } from "@effect/vitest"
import { type Contract, type Observed, openContract } from "./support/contract.ts"

const base = "/api/v1/webhooks/pause-status"
const ofEvent = `${base}/5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60`
const problem = (status: number, code: string, more = {}) =>
  JSON.stringify({ type: "about:blank", title: "Title", status, code, detail: "Detail", ...more })

interface Case extends Omit<Observed, "headers"> {
  readonly headers?: Readonly<Record<string, string>>
}
const json = { "content-type": "application/json" }
const problemJson = { "content-type": "application/problem+json" }
const later = { ...problemJson, "retry-after": "5" }

const right: ReadonlyArray<Case> = [
  { method: "GET", path: `${base}?limit=1`, status: 200, headers: json, body: '{"events":[],"nextCursor":null}' },
  { method: "GET", path: ofEvent, status: 404, headers: problemJson, body: problem(404, "not_found") },
  { method: "DELETE", path: ofEvent, status: 204, body: "" },
  { method: "POST", path: base, status: 409, headers: later, body: problem(409, "in_flight") },
  { method: "GET", path: "/nothing", status: 404, headers: problemJson, body: problem(404, "not_found") }
]

const wrong: Readonly<Record<string, Case>> = {
  "a missing member": { method: "GET", path: base, status: 200, headers: json, body: '{"events":[]}' },
  "a member of another type": {
    method: "GET",
    path: base,
    status: 200,
    headers: json,
    body: '{"events":{},"nextCursor":1}'
  },
  "another member": {
    method: "GET",
    path: ofEvent,
    status: 404,
    headers: problemJson,
    body: problem(404, "not_found", { stack: "" })
  },
  "the code of another status": {
    method: "GET",
    path: ofEvent,
    status: 404,
    headers: problemJson,
    body: problem(404, "forbidden")
  },
  "a problem that is called JSON": {
    method: "GET",
    path: ofEvent,
    status: 404,
    headers: json,
    body: problem(404, "not_found")
  },
  "a status that is not documented": {
    method: "GET",
    path: base,
    status: 418,
    headers: problemJson,
    body: problem(418, "not_found")
  },
  "a missing header": {
    method: "GET",
    path: base,
    status: 503,
    headers: problemJson,
    body: problem(503, "store_unavailable")
  },
  "a malformed header": {
    method: "GET",
    path: base,
    status: 503,
    headers: { ...problemJson, "retry-after": "soon" },
    body: problem(503, "store_unavailable")
  },
  "a body where there is none": { method: "DELETE", path: ofEvent, status: 204, body: "{}" },
  "a body that is no JSON": { method: "GET", path: base, status: 200, headers: json, body: "<html>" },
  "a 405 that does not say what is allowed": {
    method: "PATCH",
    path: base,
    status: 405,
    headers: problemJson,
    body: problem(405, "method_not_allowed")
  }
}

describe("the contract's checker", () => {
  let contract: Contract
  beforeAll(async () => {
    contract = await openContract()
  })
  const violations = ({ headers = {}, ...seen }: Case) =>
    contract.violations({ ...seen, headers: new Headers(headers) })

  it.each(right)("accepts $method $path $status", (seen) => {
    assert.deepStrictEqual(violations(seen), [])
  })

  it.each(Object.entries(wrong))("reports %s", (_, seen) => {
    assert.isNotEmpty(violations(seen))
  })
})
