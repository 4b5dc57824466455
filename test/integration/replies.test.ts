import { assert, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { readdirSync } from "node:fs"
import { eventId, fixture, mentorId } from "../support/payloads.ts"
import { pausePayload, problemOf, queue, signedHeaders, verdict } from "../support/deliveries.ts"
import { createMentor, openDatabase } from "../support/pipeline.ts"
import { standardHeaders } from "../support/signing.ts"
import { sharedStack } from "../support/stack.ts"

const { apiUrl, databaseUrl, functionUrl, webhookSecret } = sharedStack()
const functionRoot = `${apiUrl}/functions/v1/pause-status-webhook-handler`

const post = (
  body: Uint8Array<ArrayBuffer>,
  { id, url = functionUrl, ...headers }: Readonly<Record<string, string>> = {}
) =>
  fetch(url, {
    method: "POST",
    body,
    headers: { ...signedHeaders(body, { secret: webhookSecret, ...(id !== undefined && { id }) }), ...headers }
  })

// By Latin-1, which keeps every byte, because some fixtures are no text.
const withIds = (bytes: Uint8Array, newMentorId: string, newEventId: string): Uint8Array<ArrayBuffer> =>
  Buffer.from(
    Buffer.from(bytes).toString("latin1").replaceAll(mentorId, newMentorId).replaceAll(eventId, newEventId),
    "latin1"
  )

const fixtures: Readonly<Record<string, string>> = {
  "outbox-pause.json": "200 notified PAUSE",
  "outbox-resume.json": "200 notified RESUME",
  "dashboard-pause.json": "200 notified PAUSE",
  "dashboard-resume.json": "200 notified RESUME",
  "dashboard-insert.json": "200 no_change inserted",
  "dashboard-unchanged.json": "200 no_change unchanged",
  "dashboard-unrecognised.json": "200 no_change unrecognised",
  "dashboard-updated-at-is-a-date.json": "400 no_event_time",
  "dashboard-without-updated-at.json": "400 no_event_time",
  "dashboard-delete.json": "400 invalid_payload",
  "everything-wrong.json": "400 invalid_payload",
  "missing-old-record.json": "400 invalid_payload",
  "missing-old-status.json": "400 invalid_payload",
  "not-an-object.json": "400 invalid_payload",
  "null-status.json": "400 invalid_payload",
  "numeric-id.json": "400 invalid_payload",
  "wrong-schema.json": "400 invalid_payload",
  "wrong-table.json": "400 invalid_payload",
  "empty.json": "400 malformed_json",
  "invalid-utf8.json": "400 malformed_json",
  "truncated.json": "400 malformed_json"
}

const summary = async (response: Response): Promise<string> => {
  if (!response.ok) return verdict(response)
  assert.strictEqual(response.headers.get("content-type"), "application/json")
  const { reason, status, transition } = await response.json()
  return `${response.status} ${status} ${reason ?? transition}`
}

describe("the reply, through the gateway, to", () => {
  it("every fixture is in the table", () => {
    assert.deepStrictEqual(
      Object.keys(fixtures).toSorted(),
      readdirSync(new URL("../fixtures/", import.meta.url)).toSorted()
    )
  })

  for (const [name, expected] of Object.entries(fixtures)) {
    it(`${name} is ${expected}`, async () => {
      await using database = openDatabase(databaseUrl)
      const [newMentorId, newEventId] = [await createMentor(database), randomUUID()]
      const body = withIds(fixture(name), newMentorId, newEventId)
      if (name.startsWith("outbox-")) await queue(database, JSON.parse(Buffer.from(body).toString()))
      const response = await post(body, { id: newEventId })
      assert.strictEqual(await summary(response), expected)
    })
  }

  it("a payload with every possible error lists each issue with its path, and repeats no value", async () => {
    const problem = await problemOf(await post(fixture("everything-wrong.json")))
    const paths = (problem.issues ?? []).map((issue) => issue.path.join("."))
    assert.includeMembers(paths, ["table", "schema", "record.id", "record.status", "old_record.status", "version"])
    assert.notInclude(JSON.stringify(problem), "yesterday")
  })

  it("an event of another outbox is 409 unknown_event", async () => {
    const eventId = randomUUID()
    const body = Buffer.from(JSON.stringify(pausePayload(randomUUID(), eventId)))
    assert.strictEqual(await verdict(await post(body, { id: eventId })), "409 unknown_event")
  })

  it("a mentor without coordinators is 200 no_recipients", async () => {
    const body = withIds(fixture("dashboard-pause.json"), randomUUID(), randomUUID())
    assert.strictEqual(await summary(await post(body)), "200 no_recipients PAUSE")
  })

  it("an event_id that is not the signed webhook-id is 400", async () => {
    const body = Buffer.from(JSON.stringify(pausePayload(randomUUID(), randomUUID())))
    assert.strictEqual(await verdict(await post(body, { id: randomUUID() })), "400 invalid_payload")
  })
})

describe("a request that is not a delivery", () => {
  const body = Buffer.from(JSON.stringify(pausePayload(randomUUID(), randomUUID())))

  it.each(["PUT", "PATCH"])("%s is answered 405 with what is allowed", async (method) => {
    const response = await fetch(functionUrl, { method, body, headers: { "content-type": "application/json" } })
    assert.include(response.headers.get("allow") ?? "", "POST")
    assert.strictEqual(await verdict(response), "405 method_not_allowed")
  })

  it.each(["", "/", "/api/v1/webhooks", "/api/v2/webhooks/pause-status", "/api/v1/webhooks/pause-statuses"])(
    "a POST to %s below the function is answered 404",
    async (path) => {
      assert.strictEqual(await verdict(await post(body, { url: functionRoot + path })), "404 not_found")
    }
  )

  it("a function of another name is unknown to the gateway", async () => {
    const response = await post(body, { url: functionUrl.replace("pause-status-webhook-handler", "another") })
    assert.strictEqual(response.status, 404)
  })

  it("a query after the path changes nothing", async () => {
    assert.strictEqual((await post(fixture("dashboard-unchanged.json"), { url: `${functionUrl}?a=b` })).status, 200)
  })

  it.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])(
    "a body of type %o is answered 415",
    async (type) => {
      assert.strictEqual(await verdict(await post(body, { "content-type": type })), "415 unsupported_media_type")
    }
  )

  it("a compressed body is answered 415", async () => {
    assert.strictEqual(await verdict(await post(body, { "content-encoding": "gzip" })), "415 unsupported_media_type")
  })

  it("JSON with a charset is JSON", async () => {
    const response = await post(fixture("dashboard-unchanged.json"), {
      "content-type": "application/json; charset=utf-8"
    })
    assert.strictEqual(response.status, 200)
  })
})

describe("a delivery with a foreign signature", () => {
  it("is accepted when it is signed by the standardwebhooks library", async () => {
    const id = randomUUID()
    await using database = openDatabase(databaseUrl)
    const body = Buffer.from(JSON.stringify(await queue(database, pausePayload(await createMentor(database), id))))
    const headers = standardHeaders(body, { id, secret: webhookSecret, seconds: Math.floor(Date.now() / 1000) })
    const response = await fetch(functionUrl, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers }
    })
    assert.strictEqual(await summary(response), "200 notified PAUSE")
  })
})
