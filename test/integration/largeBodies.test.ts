import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { signedHeaders, verdict } from "../support/deliveries.ts"
import { type Pipeline, startPipeline } from "../support/pipeline.ts"
import { bytesOf, dashboardUpdate } from "../support/payloads.ts"

// A stack of its own: who answers before a body is read leaves a connection behind on which more of it still comes.
let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const maxBodyBytes = 262_144
const harmless = bytesOf(dashboardUpdate("paused", "paused"))

const post = (body: Uint8Array<ArrayBuffer>) =>
  fetch(pipeline.stack.functionUrl, {
    method: "POST",
    body,
    headers: signedHeaders(body, { secret: pipeline.stack.webhookSecret })
  })

/** A body that does not say how long it is. */
const chunked = (bytes: number) => {
  const chunk = new TextEncoder().encode(" ".repeat(65_536))
  let left = bytes / chunk.length
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => (left-- > 0 ? controller.enqueue(chunk) : controller.close())
  })
  const init = { method: "POST", body, duplex: "half", headers: { "content-type": "application/json" } }
  return fetch(pipeline.stack.functionUrl, init)
}

describe("a body that is too large", () => {
  it("is answered 413 from one byte above 256 KiB", async () => {
    const most = Buffer.concat([harmless, Buffer.alloc(maxBodyBytes - harmless.length, " ")])
    assert.strictEqual((await post(most)).status, 200)
    assert.strictEqual(await verdict(await post(Buffer.concat([most, Buffer.from(" ")]))), "413 body_too_large")
  })

  it("is answered 413 as soon as it is too long, if it does not declare its length", async () => {
    for (let turn = 0; turn < 10; turn++) {
      assert.strictEqual(await verdict(await chunked(2 * maxBodyBytes)), "413 body_too_large")
    }
  })

  it("does not affect later deliveries", async () => {
    for (let turn = 0; turn < 10; turn++) {
      await (await chunked(2 * maxBodyBytes)).text()
      assert.strictEqual((await post(harmless)).status, 200)
    }
  })
})

describe("a large body that is refused unread", () => {
  it("gets its refusal, and does not affect later deliveries", async () => {
    for (let turn = 0; turn < 10; turn++) {
      const response = await fetch(pipeline.stack.functionUrl, { method: "POST", body: " ".repeat(200_000) })
      assert.strictEqual(await verdict(response), "415 unsupported_media_type")
      assert.strictEqual((await post(harmless)).status, 200)
    }
  })
})
