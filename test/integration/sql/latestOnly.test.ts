import { afterAll, assert, beforeEach, describe, it } from "vitest"
import {
  claim,
  claimOf,
  createMentor,
  type Database,
  eventsOf,
  givenEvent,
  openReadyDatabase,
  setStatus
} from "../../support/sql.ts"

describe("a topic that sends only the latest event", () => {
  let database: Database | undefined
  let own: Database
  beforeEach(async () => {
    await database?.[Symbol.asyncDispose]()
    database = own = await openReadyDatabase()
    await own.rows("update outbox.topics set latest_only = true")
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const changed = async (...statuses: Array<string>) => {
    const mentor = await createMentor(own)
    await setStatus(own, mentor, ...statuses)
    return (await eventsOf(own, mentor)).map(({ event_id }) => event_id)
  }

  const answerTo = async (eventId: string | undefined) => {
    const { outcome, receipt } = await claimOf(own, await givenEvent(own, eventId ?? ""))
    return receipt === undefined ? { outcome } : { outcome, receipt }
  }

  it("claims the last event of a key, as a change from the state before the first", async () => {
    const [first, second, third] = await changed("paused", "active", "paused")
    const superseded = { outcome: "completed", receipt: { superseded: true, version: 3 } }
    assert.deepStrictEqual(await answerTo(first), superseded)
    assert.deepStrictEqual(await answerTo(second), superseded)
    assert.deepStrictEqual(await answerTo(third), { outcome: "claimed" })
    const { states } = await own.row("select array[old_record, record] as states from outbox.events where version = 3")
    assert.deepStrictEqual(
      states.map(({ status }: { readonly status: string }) => status),
      ["active", "paused"]
    )
  })

  it("claims none of two events that cancel each other out", async () => {
    for (const event of await changed("paused", "active")) {
      assert.include(await answerTo(event), { outcome: "completed" })
    }
  })

  it("merges nothing into an event that is or was claimed", async () => {
    const [first] = await changed("paused")
    await own.rows("select outbox.resolve($1)", [first])
    await own.rows("update public.peer_mentor_profiles set status = 'active'")
    const { event_id } = await own.row<{ event_id: string }>("select event_id from outbox.events where version = 2")
    await claim(own, event_id)
    await own.rows("select outbox.redrive($1, true)", [first])
    assert.deepStrictEqual(await answerTo(first), { outcome: "claimed" })
    await own.rows("update public.peer_mentor_profiles set status = 'paused'")
    assert.deepStrictEqual(await own.rows("select version::int, status from outbox.events order by version"), [
      { version: 1, status: "processing" },
      { version: 2, status: "processing" },
      { version: 3, status: "pending" }
    ])
  })
})
