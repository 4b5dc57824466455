import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { randomUUID } from "node:crypto"
import { deliver, pausePayload, problemOf, queue, verdict } from "../support/deliveries.ts"
import {
  createMentor,
  eventsOf,
  expectTold,
  orchestratorPath,
  type Pipeline,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, gate } from "../support/proxy.ts"
import { bytesOf, dashboardUpdate } from "../support/payloads.ts"
import { hexHeaders, hexSecret, staticSecret } from "../support/signing.ts"

let pipeline: Pipeline

beforeAll(async () => {
  const functionEnv = {
    WEBHOOK_HEX_SECRET: hexSecret,
    WEBHOOK_STATIC_SECRET: staticSecret,
    ORCHESTRATOR_RETRIES: "0"
  }
  pipeline = await startPipeline({ functionEnv })
  // What is delivered here comes by hand only.
  await pipeline.stack.services.cron.stop()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

/** A pause that waits in the outbox, and the function that delivers it by hand. */
const newPause = async () => {
  const mentorId = await createMentor(pipeline.database)
  const eventId = randomUUID()
  const payload = await queue(pipeline.database, pausePayload(mentorId, eventId))
  return { mentorId, eventId, payload, send: (body: unknown = payload) => deliver(pipeline.stack, body, eventId) }
}

describe("an event that is delivered more than once", () => {
  it("is notified once: of 50 concurrent deliveries, one is answered 200 and 49 are answered 409", async () => {
    const { mentorId, send } = await newPause()
    const responses = await Promise.all(Array.from({ length: 50 }, () => send()))
    const statuses = responses.map(({ status }) => status).toSorted((one, other) => one - other)
    assert.deepStrictEqual(statuses, [200, ...Array.from({ length: 49 }, () => 409)])
    const codes = await Promise.all(responses.filter(({ ok }) => !ok).map(async (r) => (await problemOf(r)).code))
    assert.isTrue(codes.every((code) => code === "in_flight" || code === "already_processed"))
    assert.lengthOf(pipeline.proxy.seen(orchestratorPath, mentorId), 1)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("is answered 409 in_flight with Retry-After while the first delivery is in progress", async () => {
    const { eventId, mentorId, send } = await newPause()
    const held = gate()
    pipeline.proxy.next(orchestratorPath, mentorId, held.step)
    const first = send()
    await held.reached
    const second = await send()
    const seconds = Number(second.headers.get("retry-after"))
    assert.isAtLeast(seconds, 1)
    assert.isAtMost(seconds, 60)
    const problem = await problemOf(second)
    assert.deepStrictEqual([problem.status, problem.code, problem.eventId], [409, "in_flight", eventId])
    held.open()
    assert.strictEqual((await first).status, 200)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("is answered 409 already_processed with the first receipt afterwards", async () => {
    const { mentorId, send } = await newPause()
    const first = await (await send()).json()
    for (let turn = 0; turn < 2; turn++) {
      const problem = await problemOf(await send())
      assert.deepStrictEqual([problem.status, problem.code], [409, "already_processed"])
      assert.deepStrictEqual(problem.receipt, first.receipt)
    }
    assert.lengthOf(pipeline.proxy.seen(orchestratorPath, mentorId), 1)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("is not a duplicate if the first delivery failed", async () => {
    const { mentorId, send } = await newPause()
    pipeline.proxy.next(orchestratorPath, mentorId, answerWith(503, { "retry-after": "7" }))
    const failed = await send()
    assert.strictEqual(failed.headers.get("retry-after"), "7")
    const problem = await problemOf(failed)
    assert.deepStrictEqual([problem.status, problem.code, problem.retryable], [502, "orchestrator_unavailable", true])
    assert.strictEqual((await send()).status, 200)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("an orchestrator's refusal is answered 502, as not worth a retry", async () => {
    const { mentorId, send } = await newPause()
    pipeline.proxy.next(orchestratorPath, mentorId, answerWith(404))
    const problem = await problemOf(await send())
    assert.deepStrictEqual([problem.status, problem.code, problem.retryable], [502, "orchestrator_refused", false])
    assert.strictEqual(await verdict(await send()), "409 dead_letter")
    assert.lengthOf(pipeline.proxy.seen(orchestratorPath, mentorId), 1)
  })
})

describe("an event id that is used for another event", () => {
  const others = (payload: ReturnType<typeof pausePayload>) => ({
    "another mentor": { ...payload, record: { ...payload.record, id: randomUUID() } },
    "another transition": {
      ...payload,
      record: { ...payload.record, status: "active" },
      old_record: { ...payload.old_record, status: "paused" }
    },
    "another time, by a microsecond": { ...payload, timestamp: "2026-11-22T09:30:00.123457Z" },
    "another version": { ...payload, version: 2 }
  })

  it("is answered 422 before and after the event is settled, and the event is notified once", async () => {
    const { mentorId, payload, send } = await newPause()
    const held = gate()
    pipeline.proxy.next(orchestratorPath, mentorId, held.step)
    const first = send()
    await held.reached
    for (const [name, other] of Object.entries(others(payload))) {
      assert.strictEqual(await verdict(await send(other)), "422 payload_mismatch", name)
    }
    held.open()
    assert.strictEqual((await first).status, 200)
    for (const [name, other] of Object.entries(others(payload))) {
      assert.strictEqual(await verdict(await send(other)), "422 payload_mismatch", name)
    }
    assert.lengthOf(pipeline.proxy.seen(orchestratorPath, mentorId), 1)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("is answered 409 unknown_event if the outbox does not have it, and nothing is written or notified", async () => {
    const { mentorId, send } = await newPause()
    assert.strictEqual((await send()).status, 200)
    const eventId = randomUUID()
    const usurper = await deliver(pipeline.stack, pausePayload(mentorId, eventId), eventId)
    assert.strictEqual(await verdict(usurper), "409 unknown_event")
    const kept = await pipeline.database.rows("select from outbox.events where event_id = $1", [eventId])
    assert.lengthOf(kept, 0)
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })
})

describe("a stock dashboard webhook, which has no event id", () => {
  const changed = (mentorId: string, oldStatus: string, newStatus: string, at: string) => {
    const payload = dashboardUpdate(oldStatus, newStatus, at)
    return {
      ...payload,
      record: { ...payload.record, id: mentorId },
      old_record: { ...payload.old_record, id: mentorId }
    }
  }
  const post = (body: Uint8Array<ArrayBuffer>, headers: Readonly<Record<string, string>>) =>
    fetch(pipeline.stack.functionUrl, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers }
    })
  const noon = "2026-11-22T12:00:00.000001+00:00"

  it("is notified once, however often it comes and however it is signed", async () => {
    const mentorId = await createMentor(pipeline.database)
    const body = bytesOf(changed(mentorId, "active", "paused", noon))
    const now = Math.floor(Date.now() / 1000)
    const first = await post(body, { "x-webhook-secret": staticSecret })
    assert.strictEqual(first.status, 200)
    for (const headers of [hexHeaders(body, now), hexHeaders(body, now - 1), { "x-webhook-secret": staticSecret }]) {
      assert.strictEqual(await verdict(await post(body, headers)), "409 already_processed")
    }
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })

  it("two changes a microsecond apart, or at one instant in two directions, are two events", async () => {
    const mentorId = await createMentor(pipeline.database)
    const changes = [
      changed(mentorId, "active", "paused", noon),
      changed(mentorId, "paused", "active", noon),
      changed(mentorId, "active", "paused", "2026-11-22T12:00:00.000002+00:00")
    ]
    for (const change of changes) {
      const response = await post(bytesOf(change), { "x-webhook-secret": staticSecret })
      assert.strictEqual(response.status, 200)
    }
    const events = await eventsOf(pipeline.database, mentorId)
    assert.lengthOf(new Set(events.map((event) => event.event_id)), 3)
    await expectTold(pipeline.database, mentorId, "PAUSE", "RESUME", "PAUSE")
  })
})
