import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { promisify } from "node:util"
import { denoProgram } from "../../local/programs.ts"
import { deliver, pausePayload, problemOf, queue, verdict } from "../support/deliveries.ts"
import { createMentor, expectTold, type Pipeline, setStatus, startPipeline } from "../support/pipeline.ts"

const run = promisify(execFile)

describe.each([
  ["2.1.4", /^deno 2\.1\.4 /],
  ["current", /^deno 2\.(?!1\.4 )\d+\.\d+ /]
] as const)("the bundles on Deno %s", (version, named) => {
  let pipeline: Pipeline

  beforeAll(async () => {
    pipeline = await startPipeline({ deno: version, pacing: "real" })
  })
  afterAll(() => pipeline?.[Symbol.asyncDispose]())

  it("run on this Deno", async () => {
    const { stdout } = await run(await denoProgram(version), ["--version"])
    assert.match(stdout, named)
  })

  it("notify a pause and a resume once, in order", async () => {
    const mentorId = await createMentor(pipeline.database)
    await setStatus(pipeline.database, mentorId, "paused", "active")
    await expectTold(pipeline.database, mentorId, "PAUSE", "RESUME")
  })

  it("send the same requests and replies", async () => {
    const mentorId = await createMentor(pipeline.database)
    const eventId = randomUUID()
    const payload = await queue(pipeline.database, pausePayload(mentorId, eventId))
    const first = await deliver(pipeline.stack, payload, eventId)
    assert.strictEqual(first.status, 200)
    const { receipt } = await first.json()
    assert.strictEqual(receipt.notified, 2)
    const again = await problemOf(await deliver(pipeline.stack, payload, eventId))
    assert.deepStrictEqual([again.status, again.code, again.receipt], [409, "already_processed", receipt])
    const other = { ...payload, timestamp: "2026-11-22T09:30:00.123457Z" }
    assert.strictEqual(await verdict(await deliver(pipeline.stack, other, eventId)), "422 payload_mismatch")
    assert.strictEqual(await verdict(await deliver(pipeline.stack, {})), "400 invalid_payload")
    const forged = { ...pipeline.stack, webhookSecret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" }
    assert.strictEqual(await verdict(await deliver(forged, payload, eventId)), "401 unauthorized")
    const wrongMethod = await fetch(pipeline.stack.functionUrl, { method: "PUT" })
    assert.strictEqual(await verdict(wrongMethod), "405 method_not_allowed")
    const events = await fetch(pipeline.stack.functionUrl, { headers: { apikey: pipeline.stack.serviceKey } })
    assert.strictEqual(events.status, 200)
    assert.isNotEmpty((await events.json()).events)
    const nobody = await fetch(pipeline.stack.functionUrl)
    assert.strictEqual(await verdict(nobody), "401 unauthorized")
    const order = await fetch(pipeline.stack.orchestratorUrl, { method: "POST", body: "{}" })
    assert.strictEqual(await verdict(order), "401 unauthorized")
    await expectTold(pipeline.database, mentorId, "PAUSE")
  })
})
