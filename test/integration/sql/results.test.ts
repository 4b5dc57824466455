import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openDatabase } from "../../support/sql.ts"

describe("the handler's result for one event of several", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  const eventId = randomUUID()

  const resultIn = async (content: string | null) =>
    (await database.row<{ result: unknown }>("select outbox.result_of($1, $2) as result", [content, eventId])).result

  const answerOf = (...results: ReadonlyArray<unknown>) => JSON.stringify({ results })

  it("is the one that names the event, wherever it stands", async () => {
    const own = { eventId, status: 422, code: "payload_mismatch" }
    const other = { eventId: randomUUID(), status: 200 }
    assert.deepStrictEqual(await resultIn(answerOf(own, other)), own)
    assert.deepStrictEqual(await resultIn(answerOf(other, own)), own)
  })

  it("is the first if the event has two", async () => {
    const [first, second] = [200, 400].map((status) => ({ eventId, status }))
    assert.deepStrictEqual(await resultIn(answerOf(first, second)), first)
  })

  it("is found next to duplicate or deeply nested results of other events", async () => {
    const own = { eventId, status: 422 }
    const deep = `${"[".repeat(3_000)}${"]".repeat(3_000)}`
    const content = `{"extra": ${deep}, "results": [{"status": 1, "status": 2}, ${JSON.stringify(own)}]}`
    assert.deepStrictEqual(await resultIn(content), own)
  })

  it.for([
    ["no answer", null],
    ["an empty one", ""],
    ["none that is JSON", "<html>502 Bad Gateway</html>"],
    ["one that broke off", answerOf({ eventId, status: 400 }).slice(0, -1)],
    ["an array", `[${JSON.stringify({ eventId, status: 400 })}]`],
    ["the answer to a delivery of one", JSON.stringify({ eventId, status: 400 })],
    ["results that are no array", JSON.stringify({ results: { eventId, status: 400 } })],
    ["results that are no objects", answerOf(1, null, eventId, [eventId])],
    ["results without an event id", answerOf({ status: 400 }, { eventId: null, status: 400 })],
    ["a result of another event only", answerOf({ eventId: randomUUID(), status: 400 })],
    ["two lists of results", `{"results": [], ${answerOf({ eventId, status: 400 }).slice(1)}`],
    ["a result with two statuses", `{"results": [{"eventId": "${eventId}", "status": 200, "status": 422}]}`],
    ["a result with two event ids", `{"results": [{"eventId": "${randomUUID()}", "eventId": "${eventId}"}]}`],
    ["a key twice, once escaped", `{"results": [{"event\\u0049d": 1, "eventId": "${eventId}"}]}`],
    ["a problem with two codes", `{"results": [{"eventId": "${eventId}", "problem": {"code": 1, "code": 2}}]}`],
    ["brackets without an end", "[".repeat(100_000)],
    ["a character that jsonb cannot hold", answerOf({ eventId, status: 400, detail: "\u0000" })]
  ] as const)("is none in %s", async ([, content]) => {
    assert.isNull(await resultIn(content))
  })
})
