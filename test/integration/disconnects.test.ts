import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { deliver, newPause, signedHeaders, verdict } from "../support/deliveries.ts"
import {
  claimPath,
  eventually,
  expectTold,
  orchestratorPath,
  type Pipeline,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { bytesOf } from "../support/payloads.ts"
import { gate } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline()
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

/** A delivery as the bytes of an HTTP request. */
const wireForm = (payload: unknown, id: string): Buffer => {
  const { functionUrl, webhookSecret } = pipeline.stack
  const { host, pathname } = new URL(functionUrl)
  const body = bytesOf(payload)
  const headers = { host, ...signedHeaders(body, { secret: webhookSecret, id }), "content-length": body.length }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return Buffer.concat([Buffer.from([`POST ${pathname} HTTP/1.1`, ...lines, "", ""].join("\r\n")), body])
}

/** Sends so many bytes of a request, and leaves the connection open. */
const send = async (bytes: Uint8Array): Promise<Socket> => {
  const { hostname, port } = new URL(pipeline.stack.functionUrl)
  const socket = connect(Number(port), hostname)
  socket.on("error", () => {})
  await once(socket, "connect")
  await new Promise((resolve) => socket.write(bytes, resolve))
  return socket
}

const ways: ReadonlyArray<readonly [name: string, leave: (socket: Socket) => void]> = [
  ["closes the connection", (socket) => void socket.destroy()],
  ["resets the connection", (socket) => void socket.resetAndDestroy()]
]

describe.each(ways)("a caller that %s", (_, leave) => {
  it("anywhere in its request changes nothing: a clean delivery is answered 200 and notified once", async () => {
    const { database, stack } = pipeline
    const { eventId, mentorId, payload } = await newPause(pipeline.database)
    const bytes = wireForm(payload, eventId)
    const headEnds = bytes.indexOf("\r\n\r\n") + 4
    const cuts = [1, 60, headEnds - 1, headEnds, headEnds + 1, (headEnds + bytes.length) >> 1, bytes.length - 1]
    for (const cut of cuts) {
      const socket = await send(bytes.subarray(0, cut))
      leave(socket)
    }
    assert.strictEqual((await deliver(stack, payload, eventId)).status, 200)
    await expectTold(database, mentorId, "PAUSE")
  })

  it("in the middle of its body is noticed by the handler, and nothing is claimed", async () => {
    const { log, proxy } = pipeline
    const { eventId, mentorId, payload } = await newPause(pipeline.database)
    const bytes = wireForm(payload, eventId)
    const unreadable = () => log.filter(({ text }) => text.includes("BodyUnreadable")).length
    const before = unreadable()
    // Who leaves before the handler has looked at the request at all is not seen: then again.
    await eventually("the handler's log line", async () => {
      const socket = await send(bytes.subarray(0, bytes.length - 10))
      await deliver(pipeline.stack, {})
      leave(socket)
      return unreadable() > before ? true : undefined
    })
    assert.lengthOf(proxy.seen("", mentorId), 0)
  })

  const moments = [
    ["while the event is being claimed", claimPath],
    ["while the orchestrator works", orchestratorPath],
    ["while the event is being settled", settlePath]
  ] as const
  for (const [moment, path] of moments) {
    it(`${moment} does not stop the work: the event is notified once, without another delivery`, async () => {
      const { database, proxy, stack } = pipeline
      const { eventId, mentorId, payload } = await newPause(pipeline.database)
      const held = gate()
      proxy.next(path, eventId, held.step)
      const socket = await send(wireForm(payload, eventId))
      await held.reached
      leave(socket)
      await once(socket, "close")
      held.open()
      await expectTold(database, mentorId, "PAUSE")
      assert.strictEqual(await verdict(await deliver(stack, payload, eventId)), "409 already_processed")
      assert.lengthOf(proxy.seen(orchestratorPath, eventId), 1)
    })
  }

  it("right after its request may or may not be heard: deliveries until 409 notify the event once", async () => {
    const { database, stack } = pipeline
    const { eventId, mentorId, payload } = await newPause(pipeline.database)
    const socket = await send(wireForm(payload, eventId))
    leave(socket)
    await eventually("already_processed", async () => {
      const response = await deliver(stack, payload, eventId)
      return response.ok || (await verdict(response)) === "409 already_processed" ? true : undefined
    })
    await expectTold(database, mentorId, "PAUSE")
  })
})
