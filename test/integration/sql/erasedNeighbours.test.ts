import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  type Database,
  eventsOf,
  foreignEvent,
  type GivenEvent,
  openReadyDatabase,
  pausedEvents,
  settle
} from "../../support/sql.ts"

describe("erasing an event", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const erase = (eventId: string) => own.call("outbox_erase", { topic: "pause-status", event_id: eventId })

  const settled = async (): Promise<GivenEvent> => {
    const [event = foreignEvent()] = await pausedEvents(own, 1)
    await settle(own, event.eventId)
    return event
  }

  it("deletes no request or answer of the project's other webhooks, whatever they contain", async () => {
    const { eventId, mentorId } = await settled()
    await own.rows("truncate net.http_request_queue")
    // A webhook on notifications, and one on deleted profiles, as the dashboard makes them.
    for (const record of [{ event_id: eventId, mentor_id: mentorId }, { id: mentorId }]) {
      await own.rows("select net.http_post('http://127.0.0.1:9/theirs', $1::jsonb)", [JSON.stringify({ record })])
    }
    await own.rows("insert into net._http_response (id, status_code, content) values (-1, 200, $1)", [
      JSON.stringify({ deleted: mentorId })
    ])
    await own.rows("delete from public.peer_mentor_profiles where id = $1", [mentorId])
    assert.deepStrictEqual(await erase(eventId), { outcome: "erased" })
    assert.lengthOf(await own.rows("select from net.http_request_queue"), 2)
    assert.lengthOf(await own.rows("select from net._http_response"), 1)
  })

  it("removes it from a request under another event's id, even if pg_net lost that request", async () => {
    const events = await pausedEvents(own, 2)
    await own.rows("truncate net.http_request_queue")
    const { leader } = await own.row<{ leader: string }>(
      "select event_id as leader from outbox.events where leads is not null"
    )
    const event = events.find(({ eventId }) => eventId !== leader) ?? foreignEvent()
    await settle(own, event.eventId)
    await erase(event.eventId)
    assert.deepStrictEqual(
      await own.rows("select event_id from outbox.events q where strpos(q::text, $1) > 0", [event.mentorId]),
      []
    )
    assert.deepInclude(await own.row("select event_id, status from outbox.events"), {
      event_id: leader,
      status: "pending"
    })
  })

  it("lets profiles be changed while a long transaction erases events", async () => {
    const first = await settled()
    const second = await settled()
    await using eraser = await own.connect()
    await using writer = await own.connect()
    await eraser.query("begin")
    await eraser.query("select outbox.erase($1)", [first.eventId])
    await writer.query("set lock_timeout = '2s'")
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [second.mentorId])
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [first.mentorId])
    await eraser.query("select outbox.erase($1)", [second.eventId])
    await writer.query("commit")
    await eraser.query("commit")
    for (const { mentorId } of [first, second]) {
      const events = await eventsOf(own, mentorId)
      assert.deepStrictEqual(
        events.map(({ transition }) => transition),
        ["RESUME"]
      )
    }
  })

  it("neither waits for a writer of the mentor's profile nor fails because of one", async () => {
    const { eventId, mentorId } = await settled()
    await using writer = await own.connect()
    await writer.query("begin")
    await writer.query("update public.peer_mentor_profiles set status = 'active' where id = $1", [mentorId])
    assert.deepStrictEqual(await erase(eventId), { outcome: "erased" })
    await writer.query("commit")
    const events = await eventsOf(own, mentorId)
    assert.deepStrictEqual(
      events.map(({ version, transition }) => ({ version, transition })),
      [{ version: 2, transition: "RESUME" }]
    )
  })
})
