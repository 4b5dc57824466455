import { assert, describe, it } from "vitest"
import {
  createMentor,
  emptyNet,
  eventOf,
  functionUrl,
  makeDue,
  newSecret,
  openReadyDatabase,
  pausedEvents,
  setStatus,
  storeSecret,
  sweep
} from "../../support/sql.ts"

describe("events that wait behind others in progress", () => {
  it("do not displace one that waits for none, however many and however late they are", async () => {
    await using database = await openReadyDatabase()
    await database.rows("update outbox.settings set sweep_batch_size = 2")
    const mentors = (await pausedEvents(database, 5)).map(({ mentorId }) => mentorId)
    await database.rows("update public.peer_mentor_profiles set status = 'active' where id = any ($1)", [mentors])
    await emptyNet(database)
    for (const mentor of mentors) await makeDue(database, (await eventOf(database, mentor, 2)).event_id)

    // So that its commit cannot send it, and the sweep postpones it.
    await database.rows("delete from vault.secrets")
    const free = await createMentor(database)
    await setStatus(database, free, "paused")
    await database.rows("select outbox.postpone_refused(1)")
    await storeSecret(database, "outbox_function_url", functionUrl)
    await storeSecret(database, "outbox_webhook_secret", newSecret())
    const { event_id } = await eventOf(database, free)
    await database.rows("update outbox.events set next_attempt_at = now() where event_id = $1", [event_id])

    assert.strictEqual(await sweep(database), 1)
    assert.include(await eventOf(database, free), { attempts: 1 })
  })
})
