import { randomUUID } from "node:crypto"
import { assert, inject, it } from "vitest"
import { deliver, pausePayload, queue, verdict } from "../support/deliveries.ts"
import { openDatabase } from "../support/pipeline.ts"

it("an erased event that is delivered again is answered 409 already_processed, and another one under its id 422", async () => {
  const stack = inject("stack")
  const [mentorId, eventId] = [randomUUID(), randomUUID()]
  await using database = openDatabase(stack.databaseUrl)
  await queue(database, pausePayload(mentorId, eventId))
  assert.strictEqual((await deliver(stack, pausePayload(mentorId, eventId), eventId)).status, 200)
  const erased = await fetch(`${stack.apiUrl}/rest/v1/rpc/pause_status_erase`, {
    method: "POST",
    headers: { apikey: stack.serviceKey, "content-type": "application/json" },
    body: JSON.stringify({ event_id: eventId })
  })
  assert.deepStrictEqual(await erased.json(), { outcome: "erased" })
  assert.strictEqual(
    await verdict(await deliver(stack, pausePayload(mentorId, eventId), eventId)),
    "409 already_processed"
  )
  const other = pausePayload(randomUUID(), eventId)
  assert.strictEqual(await verdict(await deliver(stack, other, eventId)), "422 payload_mismatch")
})
