import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, pausePayload, problemOf, queue, signedHeaders, verdict } from "../support/deliveries.ts"
import { createMentor, expectTold, orchestratorPath, type Pipeline, startPipeline } from "../support/pipeline.ts"
import { bytesOf, dashboardUpdate } from "../support/payloads.ts"
import { otherSecret } from "../support/signing.ts"

let pipeline: Pipeline
let mentorId: string

beforeAll(async () => {
  pipeline = await startPipeline()
  mentorId = await createMentor(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

interface Forgery {
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

const now = () => Math.floor(Date.now() / 1000)

const signed = (eventId: string, { secret = pipeline.stack.webhookSecret, seconds = now() } = {}): Forgery => {
  const body = bytesOf(pausePayload(mentorId, eventId))
  return { body, headers: signedHeaders(body, { secret, id: eventId, seconds }) }
}

const without = (delivery: Forgery, ...names: ReadonlyArray<string>): Forgery => ({
  ...delivery,
  headers: Object.fromEntries(Object.entries(delivery.headers).filter(([name]) => !names.includes(name)))
})

const withHeaders = (delivery: Forgery, headers: Forgery["headers"]): Forgery => ({
  ...delivery,
  headers: { ...delivery.headers, ...headers }
})

const post = ({ body, headers }: Forgery) => fetch(pipeline.stack.functionUrl, { method: "POST", body, headers })

const signatureOf = ({ headers }: Forgery): string => headers["webhook-signature"] ?? ""

/** What the database would show if anything of a delivery had reached it. */
const traces = async () => {
  const [row] = await pipeline.database.rows<{ events: number; notifications: number }>(
    `select (select count(*)::int from outbox.events) as events,
       (select count(*)::int from public.notifications) as notifications`
  )
  return { ...row, calls: pipeline.proxy.seen().length }
}

const forgeries: Readonly<Record<string, (eventId: string) => Forgery>> = {
  "no signature at all": (id) => without(signed(id), "webhook-id", "webhook-timestamp", "webhook-signature"),
  "no webhook-signature": (id) => without(signed(id), "webhook-signature"),
  "no webhook-id": (id) => without(signed(id), "webhook-id"),
  "no webhook-timestamp": (id) => without(signed(id), "webhook-timestamp"),
  "another secret": (id) => signed(id, { secret: otherSecret }),
  "the signature of another body": (id) => ({ ...signed(id), body: bytesOf(pausePayload(randomUUID(), id)) }),
  "a body with one more space": (id) => {
    const delivery = signed(id)
    return { ...delivery, body: Buffer.concat([delivery.body, Buffer.from(" ")]) }
  },
  "another webhook-id": (id) => withHeaders(signed(id), { "webhook-id": randomUUID() }),
  "another webhook-timestamp": (id) => withHeaders(signed(id), { "webhook-timestamp": String(now() - 1) }),
  "a timestamp that is no number": (id) => withHeaders(signed(id), { "webhook-timestamp": "soon" }),
  "an unknown version of the scheme": (id) => {
    const delivery = signed(id)
    return withHeaders(delivery, { "webhook-signature": signatureOf(delivery).replace("v1,", "v1a,") })
  },
  "half a signature": (id) => {
    const delivery = signed(id)
    return withHeaders(delivery, { "webhook-signature": signatureOf(delivery).slice(0, 24) })
  },
  "an empty signature": (id) => withHeaders(signed(id), { "webhook-signature": "v1," }),
  "the project's own key instead": (id) =>
    withHeaders(without(signed(id), "webhook-signature"), {
      apikey: pipeline.stack.serviceKey,
      authorization: `Bearer ${pipeline.stack.serviceKey}`
    }),
  "the scheme of the hex form, which is off": (id) =>
    withHeaders(without(signed(id), "webhook-signature"), {
      "x-webhook-signature": "00",
      "x-webhook-timestamp": String(now())
    }),
  "a static secret, which is off": (id) =>
    withHeaders(without(signed(id), "webhook-signature"), { "x-webhook-secret": "" })
}

describe("a delivery that our sender did not send", () => {
  for (const [name, forge] of Object.entries(forgeries)) {
    it(`with ${name} is answered 401, and nothing is read or written`, async () => {
      const before = await traces()
      const eventId = randomUUID()
      const response = await post(forge(eventId))
      assert.strictEqual(response.headers.get("www-authenticate"), "Signature")
      assert.strictEqual(await verdict(response), "401 unauthorized")
      assert.deepStrictEqual(await traces(), before)
    })
  }

  for (const [name, seconds] of [
    ["old", -360],
    ["ahead", 360]
  ] as const) {
    it(`with a timestamp six minutes ${name} is answered 401 stale_signature, and nothing is read or written`, async () => {
      const before = await traces()
      const response = await post(signed(randomUUID(), { seconds: now() + seconds }))
      const { code, skewSeconds } = await problemOf(response)
      assert.strictEqual(code, "stale_signature")
      assert.closeTo(skewSeconds ?? 0, -seconds, 60)
      assert.deepStrictEqual(await traces(), before)
    })
  }

  it("is refused before its body is parsed", async () => {
    const body = Buffer.from("{ this is no JSON")
    const headers = signedHeaders(body, { secret: otherSecret })
    assert.strictEqual(await verdict(await post({ body, headers })), "401 unauthorized")
  })

  it("does not harm the event it imitates: the real delivery is answered 200", async () => {
    const eventId = randomUUID()
    await queue(pipeline.database, pausePayload(mentorId, eventId))
    await post(signed(eventId, { secret: otherSecret }))
    const before = await traces()
    assert.strictEqual((await post(signed(eventId))).status, 200)
    const after = await traces()
    assert.strictEqual(after.calls, before.calls + 3, "claim, orchestrator, settle")
    assert.lengthOf(pipeline.proxy.seen(orchestratorPath, eventId), 1)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })
})

describe("a delivery of our sender that changes nothing", () => {
  const harmless: Readonly<Record<string, readonly [payload: unknown, status: number]>> = {
    "equal statuses": [dashboardUpdate("paused", "paused"), 200],
    "a status of the project's own": [dashboardUpdate("active", "retired"), 200],
    "a new profile": [{ ...dashboardUpdate("", "active"), type: "INSERT", old_record: null }, 200],
    "a deleted profile": [{ ...dashboardUpdate("", "active"), type: "DELETE" }, 400],
    "no event time": [dashboardUpdate("active", "paused", null), 400]
  }
  for (const [name, [payload, status]] of Object.entries(harmless)) {
    it(`with ${name} calls neither the claim store nor the orchestrator`, async () => {
      const before = await traces()
      assert.strictEqual((await deliver(pipeline.stack, payload)).status, status)
      assert.deepStrictEqual(await traces(), before)
    })
  }
})
