import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { shifted } from "../../chaos/clocks.ts"
import { deliver, newPause, verdict } from "../support/deliveries.ts"
import { eventually, type Pipeline, startPipeline } from "../support/pipeline.ts"

let secondsAhead = 0
let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ handlerPrelude: () => shifted(secondsAhead) })
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const setClock = async (seconds: number): Promise<void> => {
  secondsAhead = seconds
  const { handler } = pipeline.stack.services
  await handler.kill("SIGKILL")
  await eventually("the handler is up again", () => handler.running || undefined)
}

const deliverPause = async (): Promise<Response> => {
  const { eventId, payload } = await newPause(pipeline.database)
  return deliver(pipeline.stack, payload, eventId)
}

describe("a handler whose clock is wrong", () => {
  for (const seconds of [-240, 240]) {
    it(`by ${seconds} s, less than the tolerance, notifies`, async () => {
      await setClock(seconds)
      assert.strictEqual((await deliverPause()).status, 200)
    })
  }

  for (const seconds of [-400, 400]) {
    it(`by ${seconds} s, more than the tolerance, refuses until its clock is correct`, async () => {
      await setClock(seconds)
      assert.strictEqual(await verdict(await deliverPause()), "401 stale_signature")
      await setClock(0)
      assert.strictEqual((await deliverPause()).status, 200)
    })
  }
})
