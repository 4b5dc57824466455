import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, deliverMany, newPause, signedHeaders, verdict } from "../support/deliveries.ts"
import { eventsOf, expectTold, orchestratorPath, type Pipeline, redrive, startPipeline } from "../support/pipeline.ts"
import { bytesOf, dashboardUpdate } from "../support/payloads.ts"
import { answerWith } from "../support/proxy.ts"
import { otherSecret } from "../support/signing.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { ORCHESTRATOR_RETRIES: "0" } })
  // What is delivered here comes by hand only.
  await pipeline.stack.services.cron.stop()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const newPauses = (count: number) => Promise.all(Array.from({ length: count }, () => newPause(pipeline.database)))

const send = (...payloads: ReadonlyArray<unknown>) => deliverMany(pipeline.stack, payloads)

describe("an orchestrator that fails with an array", () => {
  it("fails the whole array with 502, and each event is notified once when it is sent again", async () => {
    const pauses = await newPauses(5)
    const payloads = pauses.map(({ payload }) => payload)
    pipeline.proxy.next(orchestratorPath, pauses[0]?.eventId ?? "", answerWith(503))
    assert.deepStrictEqual(
      (await send(...payloads)).map(({ status, word }) => `${status} ${word}`),
      payloads.map(() => "502 orchestrator_unavailable")
    )
    assert.deepStrictEqual(
      (await send(...payloads)).map(({ status, word }) => `${status} ${word}`),
      payloads.map(() => "200 notified")
    )
    for (const { mentorId } of pauses) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("is not believed if it answers for other events", async () => {
    const pauses = await newPauses(2)
    const payloads = pauses.map(({ payload }) => payload)
    const wrong = {
      results: payloads.toReversed().map(({ event_id }) => ({ eventId: event_id, status: 200, receipt: {} }))
    }
    pipeline.proxy.next(orchestratorPath, pauses[0]?.eventId ?? "", answerWith(200, {}, JSON.stringify(wrong)))
    assert.deepStrictEqual(
      (await send(...payloads)).map(({ status, word }) => `${status} ${word}`),
      payloads.map(() => "502 orchestrator_unavailable")
    )
    await send(...payloads)
    for (const { mentorId } of pauses) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("that refuses the whole array is asked about each event alone, and a bad one fails alone", async () => {
    const [bad, ...good] = await newPauses(5)
    if (!bad) throw new Error("five pauses were expected")
    // The array first, then the one that is in it.
    pipeline.proxy.next(orchestratorPath, bad.eventId, answerWith(400), answerWith(400))
    const results = await send(...[...good, bad].map(({ payload }) => payload))
    assert.deepStrictEqual(
      results.map(({ status, word }) => `${status} ${word}`),
      [...good.map(() => "200 notified"), "502 orchestrator_refused"]
    )
    for (const { mentorId } of good) await expectTold(pipeline.database, mentorId, "PAUSE")
    assert.strictEqual(await redrive(pipeline.database, bad.eventId), "redriven")
    await expectTold(pipeline.database, bad.mentorId, "PAUSE")
  })

  it("refuses one event: it becomes a dead letter, and is notified once when it is redriven", async () => {
    const { database, stack } = pipeline
    const [bad, good] = await newPauses(2)
    if (!bad || !good) throw new Error("two pauses were expected")
    await database.rows("insert into outbox.receipts values ($1, 'of another event', '{}')", [bad.eventId])
    assert.deepStrictEqual(
      (await send(bad.payload, good.payload)).map(({ status, word }) => `${status} ${word}`),
      ["502 orchestrator_refused", "200 notified"]
    )
    assert.strictEqual(await verdict(await deliver(stack, bad.payload, bad.eventId)), "409 dead_letter")
    await expectTold(database, good.mentorId, "PAUSE")
    await database.rows("delete from outbox.receipts where event_id = $1", [bad.eventId])
    assert.strictEqual(await redrive(database, bad.eventId), "redriven")
    await expectTold(database, bad.mentorId, "PAUSE")
  })
})

describe("an array that is refused as a whole", () => {
  const post = (body: Uint8Array<ArrayBuffer>, headers: Readonly<Record<string, string>>) =>
    fetch(pipeline.stack.functionUrl, { method: "POST", body, headers })

  it("with a forged, a stale or no signature is answered 401, and nothing is read or written", async () => {
    const [pause] = await newPauses(1)
    const body = bytesOf([pause?.payload])
    const { webhookSecret: secret } = pipeline.stack
    const stale = Math.floor(Date.now() / 1000) - 360
    const { "webhook-signature": _, ...unsigned } = signedHeaders(body, { secret })
    const another = signedHeaders(bytesOf([pause?.payload, pause?.payload]), { secret })
    for (const headers of [signedHeaders(body, { secret: otherSecret }), another, unsigned]) {
      assert.strictEqual(await verdict(await post(body, headers)), "401 unauthorized")
    }
    assert.strictEqual(
      await verdict(await post(body, signedHeaders(body, { secret, seconds: stale }))),
      "401 stale_signature"
    )
    assert.lengthOf(pipeline.proxy.seen("", pause?.eventId), 0)
    const [event] = await eventsOf(pipeline.database, pause?.mentorId ?? "")
    assert.deepInclude(event, { status: "pending", claims: 0 })
  })

  it("because it is empty or longer than 200 is answered 400, and nothing is claimed", async () => {
    const { functionUrl, webhookSecret: secret } = pipeline.stack
    const { eventId, payload } = await newPause(pipeline.database)
    for (const payloads of [[], Array.from({ length: 201 }, () => payload)]) {
      const body = bytesOf(payloads)
      const response = await fetch(functionUrl, { method: "POST", body, headers: signedHeaders(body, { secret }) })
      assert.strictEqual(await verdict(response), "400 invalid_payload")
    }
    assert.lengthOf(pipeline.proxy.seen("", eventId), 0)
  })
})

describe("the webhook-id of a delivery", () => {
  it("comes back with every answer, so that the outbox knows what was answered", async () => {
    const { functionUrl, webhookSecret: secret } = pipeline.stack
    for (const [payload, key] of [
      [[dashboardUpdate("paused", "paused")], secret],
      [dashboardUpdate("paused", "paused"), secret],
      [{}, secret],
      [{}, otherSecret]
    ] as const) {
      const body = bytesOf(payload)
      const id = randomUUID()
      const response = await fetch(functionUrl, {
        method: "POST",
        body,
        headers: signedHeaders(body, { secret: key, id })
      })
      assert.strictEqual(response.headers.get("webhook-id"), id)
      await response.body?.cancel()
    }
  })
})
