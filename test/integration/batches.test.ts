import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, deliverMany, pausePayload, problemOf, signedHeaders, verdict } from "../support/deliveries.ts"
import {
  claimPath,
  createMentor,
  expectTold,
  orchestratorPath,
  type Pipeline,
  redrive,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { bytesOf, dashboardUpdate } from "../support/payloads.ts"
import { answerWith, gate } from "../support/proxy.ts"
import { otherSecret } from "../support/signing.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { ORCHESTRATOR_RETRIES: "0" } })
  // What is delivered here comes by hand only.
  await pipeline.stack.services.cron.stop()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const newPause = async () => {
  const mentorId = await createMentor(pipeline.database)
  const eventId = randomUUID()
  return { mentorId, eventId, payload: pausePayload(mentorId, eventId) }
}
const newPauses = (count: number) => Promise.all(Array.from({ length: count }, newPause))

const send = (...payloads: ReadonlyArray<unknown>) => deliverMany(pipeline.stack, payloads)

const calls = (text: string) =>
  [claimPath, orchestratorPath, settlePath].map((path) => pipeline.proxy.seen(path, text).length)

const totals = () => calls("")

describe("an array of payloads", () => {
  it("is claimed, told and settled in one call each, and answered in its order", async () => {
    const pauses = await newPauses(50)
    const before = totals()
    const results = await send(...pauses.map(({ payload }) => payload))
    assert.deepStrictEqual(
      results.map(({ eventId, status, word }) => [eventId, status, word]),
      pauses.map(({ eventId }) => [eventId, 200, "notified"])
    )
    assert.deepStrictEqual(
      totals().map((count, index) => count - (before[index] ?? 0)),
      [1, 1, 1]
    )
    for (const { mentorId } of pauses) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("with every kind of payload answers each as it would be answered alone, and spoils none", async () => {
    const [first, second, known, mismatched] = await newPauses(4)
    if (!first || !second || !known || !mismatched) throw new Error("four pauses were expected")
    await send(known.payload, mismatched.payload)
    const results = await send(
      first.payload,
      { nonsense: true },
      "no object",
      null,
      dashboardUpdate("paused", "paused"),
      dashboardUpdate("active", "paused", null),
      known.payload,
      { ...mismatched.payload, timestamp: "2026-11-22T09:30:00.123457Z" },
      { ...first.payload, record: { ...first.payload.record, id: "42" } },
      second.payload,
      second.payload
    )
    assert.deepStrictEqual(
      results.map(({ status, word }) => `${status} ${word}`),
      [
        "200 notified",
        "400 invalid_payload",
        "400 invalid_payload",
        "400 invalid_payload",
        "200 no_change",
        "400 no_event_time",
        "409 already_processed",
        "422 payload_mismatch",
        "400 invalid_payload",
        "200 notified",
        "409 in_flight"
      ]
    )
    for (const { mentorId } of [first, second, known, mismatched]) {
      await expectTold(pipeline.database, mentorId, "PAUSE")
    }
  })

  it("answers a duplicate with the first receipt, however it came and comes", async () => {
    const [alone, together] = await newPauses(2)
    if (!alone || !together) throw new Error("two pauses were expected")
    const single = await (await deliver(pipeline.stack, alone.payload, alone.eventId)).json()
    const [, first] = await send(dashboardUpdate("paused", "paused"), together.payload)
    const [again] = await send(alone.payload)
    assert.deepStrictEqual(again?.problem?.receipt, single.receipt)
    const problem = await problemOf(await deliver(pipeline.stack, together.payload, together.eventId))
    assert.isDefined(problem.receipt)
    assert.deepInclude(first?.reply, { receipt: problem.receipt })
    for (const { mentorId } of [alone, together]) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("delivers nothing out of turn: a mentor's second event waits for the first, and its neighbours do not", async () => {
    const [early, neighbour] = await newPauses(2)
    if (!early || !neighbour) throw new Error("two pauses were expected")
    const lateId = randomUUID()
    const late = {
      ...pausePayload(early.mentorId, lateId, 2),
      record: { id: early.mentorId, status: "active" },
      old_record: { id: early.mentorId, status: "paused" }
    }
    const held = gate()
    pipeline.proxy.next(orchestratorPath, early.eventId, held.step)
    const first = send(early.payload)
    await held.reached
    const results = await send(late, neighbour.payload)
    assert.deepStrictEqual(
      results.map(({ status, word }) => `${status} ${word}`),
      ["409 out_of_order", "200 notified"]
    )
    held.open()
    await first
    assert.deepStrictEqual(
      (await send(late)).map(({ word }) => word),
      ["notified"]
    )
    await expectTold(pipeline.database, early.mentorId, "PAUSE", "RESUME")
    await expectTold(pipeline.database, neighbour.mentorId, "PAUSE")
  })

  it("that overlaps with others sent at the same time tells each event once", async () => {
    const pauses = await newPauses(30)
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, turn) =>
        send(...[...pauses.slice(3 * turn), ...pauses.slice(0, 3 * turn)].slice(0, 20).map(({ payload }) => payload))
      )
    )
    const words = all.flat().map(({ status, word }) => `${status} ${word}`)
    assert.lengthOf(
      words.filter((word) => word === "200 notified"),
      30
    )
    const others = words.filter((word) => word !== "200 notified")
    assert.deepStrictEqual(
      others.filter((word) => word !== "409 in_flight" && word !== "409 already_processed"),
      []
    )
    for (const { mentorId } of pauses) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("of stock webhooks is told by mentor, time and direction, once", async () => {
    const [pause] = await newPauses(1)
    const { mentorId = "" } = pause ?? {}
    const stock = (oldStatus: string, newStatus: string, at: string) => ({
      type: "UPDATE",
      table: "peer_mentor_profiles",
      schema: "public",
      record: { id: mentorId, status: newStatus, updated_at: at },
      old_record: { id: mentorId, status: oldStatus }
    })
    const paused = stock("active", "paused", "2026-11-22T12:00:00.000001+00:00")
    const results = await send(paused, paused)
    assert.deepStrictEqual(
      results.map(({ status, word }) => `${status} ${word}`),
      ["200 notified", "409 in_flight"]
    )
    assert.deepStrictEqual(
      (await send(paused)).map(({ word }) => word),
      ["already_processed"]
    )
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })
})

describe("an orchestrator that is not well with an array", () => {
  it("fails all of it with 502, and each is told once when it is sent again", async () => {
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

  it("that answers for other events than it was asked about is not believed", async () => {
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

  it("that refuses the array as a whole is asked about each event alone, and a bad one spoils no other", async () => {
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

  it("refuses one event of it: that one is a dead letter, which is told once when it is redriven", async () => {
    const { database, stack } = pipeline
    const [bad, good] = await newPauses(2)
    if (!bad || !good) throw new Error("two pauses were expected")
    await database.rows("insert into pause_status.orchestrations values ($1, 'of another event', '{}')", [bad.eventId])
    assert.deepStrictEqual(
      (await send(bad.payload, good.payload)).map(({ status, word }) => `${status} ${word}`),
      ["502 orchestrator_refused", "200 notified"]
    )
    assert.strictEqual(await verdict(await deliver(stack, bad.payload, bad.eventId)), "409 dead_letter")
    await expectTold(database, good.mentorId, "PAUSE")
    await database.rows("delete from pause_status.orchestrations where event_id = $1", [bad.eventId])
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
    for (const headers of [
      signedHeaders(body, { secret: otherSecret }),
      signedHeaders(body, { secret, seconds: stale }),
      another,
      unsigned
    ]) {
      assert.strictEqual(await verdict(await post(body, headers)), "401 unauthorized")
    }
    assert.lengthOf(pipeline.proxy.seen("", pause?.eventId), 0)
    await expectTold(pipeline.database, pause?.mentorId ?? "")
  })

  it("because it is empty or longer than 200 is answered 400, and nothing is claimed", async () => {
    const { functionUrl, webhookSecret: secret } = pipeline.stack
    const { eventId, payload } = await newPause()
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
