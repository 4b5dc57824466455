import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type DataApi, startDataApi } from "../../support/dataApi.ts"
import { apiRoles, relationsOf, routinesOf, rpcs } from "../../support/objects.ts"
import { type Database, openReadyDatabase } from "../../support/sql.ts"
import { inState } from "../../support/states.ts"

const bare = (name: string): string => name.replace(/^\w+\./, "").replace(/\(.*/, "")

const topic = "pause-status"

/** Arguments that each function takes: what it does with them is tested elsewhere. */
const argumentsOf: Record<string, object> = {
  outbox_claim: { events: [] },
  outbox_settle: { settlements: [], topic },
  pause_status_notify: { events: [] },
  outbox_list_events: { query: { topic, limit: 1 } },
  outbox_get_event: { topic, event_id: "00000000-0000-4000-8000-000000000000" },
  outbox_redrive: { topic, event_id: "00000000-0000-4000-8000-000000000000" },
  outbox_resolve: { topic, event_id: "00000000-0000-4000-8000-000000000000" },
  outbox_erase: { topic, event_id: "00000000-0000-4000-8000-000000000000" },
  outbox_fail: { topic, event_id: "00000000-0000-4000-8000-000000000000", message: "no stock" },
  notification_mail_prepare: { mails: [] },
  notification_mail_record: { results: [] },
  outbox_health: {},
  outbox_metrics: {}
}

describe("the Data API", () => {
  let database: Database
  let api: DataApi
  beforeAll(async () => {
    database = await openReadyDatabase()
    api = await startDataApi(database)
  })
  afterAll(async () => {
    await api[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  const rpc = (name: string, args: object, role: (typeof apiRoles)[number] = "service_role") =>
    api.send({ role, method: "POST", path: `/rpc/${name}`, body: JSON.stringify(args) })

  it("lets service_role call our functions, and lets nobody touch anything else", async () => {
    const seen: Array<string> = []
    const expected: Array<string> = []
    const refused = { anon: 401, authenticated: 403, service_role: 403 }
    for (const role of apiRoles) {
      for (const { name } of await relationsOf(database)) {
        const [schema = "", relation = ""] = name.split(".")
        for (const method of ["GET", "POST", "PATCH", "DELETE"]) {
          const body = method === "POST" || method === "PATCH" ? { body: "{}" } : {}
          const { status } = await api.send({ role, method, path: `/${relation}`, schema, ...body })
          seen.push(`${role} ${method} ${name}: ${status}`)
          // A table in public is known and refused; the private schema is not even served. An empty PATCH is no update.
          const isNothing = method === "PATCH" && schema === "public"
          const code = isNothing ? status : schema === "public" ? refused[role] : 406
          expected.push(`${role} ${method} ${name}: ${code}`)
          if (isNothing) assert.include([204, 401, 403], status)
        }
      }
      for (const { name } of await routinesOf(database)) {
        const schema = name.slice(0, name.indexOf("."))
        const body = JSON.stringify(argumentsOf[bare(name)] ?? {})
        const { status } = await api.send({ role, method: "POST", path: `/rpc/${bare(name)}`, schema, body })
        seen.push(`${role} call ${name}: ${status}`)
        const mayCall = role === "service_role" && rpcs.includes(name)
        const allowed = bare(name) === "notification_mail_record" ? 204 : 200
        expected.push(`${role} call ${name}: ${schema !== "public" ? 406 : mayCall ? allowed : refused[role]}`)
      }
    }
    assert.deepStrictEqual(seen, expected)
    assert.sameMembers(Object.keys(argumentsOf), rpcs.map(bare))
  })

  it("changes nothing on a GET, which a link or an image can send", async () => {
    const event_id = await inState.failed(database)
    for (const name of ["outbox_redrive", "outbox_resolve", "outbox_erase"]) {
      const { status } = await api.send({
        role: "service_role",
        method: "GET",
        path: `/rpc/${name}?topic=${topic}&event_id=${event_id}`
      })
      assert.strictEqual(status, 405, name)
    }
    const { text } = await rpc("outbox_get_event", { topic, event_id })
    assert.deepInclude(JSON.parse(text), { status: "failed" })
  })

  it("carries an event from the list to its erasure", async () => {
    const event_id = await inState.failed(database)
    const answer = async (name: string, args: object) => JSON.parse((await rpc(name, args)).text)
    const { events } = await answer("outbox_list_events", { query: { topic, limit: 1, status: "failed" } })
    assert.lengthOf(events, 1)
    assert.deepInclude(events[0], { eventId: event_id })
    assert.deepInclude(await answer("outbox_resolve", { topic, event_id, notes: "told" }), { outcome: "resolved" })
    assert.deepStrictEqual(await answer("outbox_erase", { topic, event_id }), { outcome: "erased" })
    assert.isNull(await answer("outbox_get_event", { topic, event_id }))
    assert.deepInclude(await answer("outbox_health", {}), { vault: { functionUrl: true, webhookSecret: true } })
  })

  it.for([
    { args: { query: { topic, limit: 0 } }, status: 400, code: "22023" },
    { args: { query: [] }, status: 400, code: "22023" },
    { args: { query: null }, status: 400, code: "22023" },
    { args: { query: { topic, limit: 1, status: "\u0000" } }, status: 400, code: "22P05" }
  ])("refuses a malformed query with $status $code: $args", async ({ args, status, code }) => {
    const reply = await rpc("outbox_list_events", args)
    assert.strictEqual(reply.status, status)
    const body = JSON.parse(reply.text)
    assert.strictEqual(body["code"], code)
    if (code === "22023") assert.isString(body["hint"])
  })

  it.for(["not-a-uuid", "", "00000000-0000-4000-8000-00000000000' or true", 12, {}, ["x"]])(
    "refuses %o as an event id",
    async (event_id) => {
      const { status, text } = await rpc("outbox_erase", { topic, event_id })
      assert.strictEqual(status, 400)
      assert.deepInclude(JSON.parse(text), { code: "22P02" })
    }
  )
})
