import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, deliverMany, newPause, pausePayload, problemOf, queue } from "../support/deliveries.ts"
import {
  claimPath,
  createMentor,
  expectTold,
  orchestratorPath,
  type Pipeline,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { dashboardUpdate } from "../support/payloads.ts"
import { gate } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { ORCHESTRATOR_RETRIES: "0" } })
  // What is delivered here comes by hand only.
  await pipeline.stack.services.cron.stop()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const newPauses = (count: number) => Promise.all(Array.from({ length: count }, () => newPause(pipeline.database)))

const send = (...payloads: ReadonlyArray<unknown>) => deliverMany(pipeline.stack, payloads)

const calls = () => [claimPath, orchestratorPath, settlePath].map((path) => pipeline.proxy.seen(path).length)

describe("an array of payloads", () => {
  it("is claimed, notified and settled in one call each, and answered in order", async () => {
    const pauses = await newPauses(50)
    const before = calls()
    const results = await send(...pauses.map(({ payload }) => payload))
    assert.deepStrictEqual(
      results.map(({ eventId, status, word }) => [eventId, status, word]),
      pauses.map(({ eventId }) => [eventId, 200, "notified"])
    )
    assert.deepStrictEqual(
      calls().map((count, index) => count - (before[index] ?? 0)),
      [1, 1, 1]
    )
    for (const { mentorId } of pauses) await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("with every kind of payload answers each as if it had come alone", async () => {
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
      { ...first.payload, record: { ...first.payload.record, id: 42 } },
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

  it("answers a duplicate with the first receipt, however either was sent", async () => {
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

  it("keeps the order: a mentor's second event waits for the first, and other mentors' do not wait", async () => {
    const [early, neighbour] = await newPauses(2)
    if (!early || !neighbour) throw new Error("two pauses were expected")
    const lateId = randomUUID()
    const late = await queue(pipeline.database, {
      ...pausePayload(early.mentorId, lateId, 2),
      record: { id: early.mentorId, status: "active" },
      old_record: { id: early.mentorId, status: "paused" }
    })
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

  it("notifies each event once when it overlaps with others sent at the same time", async () => {
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

  it("of stock webhooks is notified once per mentor, time and direction", async () => {
    const mentorId = await createMentor(pipeline.database)
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
