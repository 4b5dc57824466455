import { randomUUID } from "node:crypto"
import { assert, inject, it } from "vitest"
import { deliver, verdict } from "../support/deliveries.ts"
import { createMentor, eventually, openDatabase, setStatus } from "../support/pipeline.ts"

interface Completed {
  readonly event_id: string
  readonly payload: { readonly record: object; readonly old_record: object }
}

it("an erased event delivered again is answered 409 already_processed, and another under its id 422", async () => {
  const stack = inject("stack")
  await using database = openDatabase(stack.databaseUrl)
  const mentorId = await createMentor(database)
  await setStatus(database, mentorId, "paused")
  const { event_id: eventId, payload } = await eventually("the event is completed", async () => {
    const [completed] = await database.rows<Completed>(
      `select q.event_id, outbox.body(q) as payload
       from outbox.events q where q.key = $1 and q.status = 'completed'`,
      [mentorId]
    )
    return completed
  })
  const erased = await fetch(`${stack.apiUrl}/rest/v1/rpc/outbox_erase`, {
    method: "POST",
    headers: { apikey: stack.serviceKey, "content-type": "application/json" },
    body: JSON.stringify({ topic: "pause-status", event_id: eventId })
  })
  assert.deepStrictEqual(await erased.json(), { outcome: "erased" })
  assert.strictEqual(await verdict(await deliver(stack, payload, eventId)), "409 already_processed")
  const id = randomUUID()
  const other = { ...payload, record: { ...payload.record, id }, old_record: { ...payload.old_record, id } }
  assert.strictEqual(await verdict(await deliver(stack, other, eventId)), "422 payload_mismatch")
})
