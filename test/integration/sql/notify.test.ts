import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { eventually } from "../../support/eventually.ts"
import {
  createMentor,
  type Database,
  failureOf,
  foreignEvent,
  type GivenEvent,
  only,
  openDatabase
} from "../../support/sql.ts"

const versions = (mentorId: string, ...numbers: Array<number>) =>
  numbers.map((version) => foreignEvent({ mentorId, source: "outbox", version }))

describe("notifying the coordinators", () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  /** The answer to one event, without the event id that every answer repeats. */
  const notify = async (event: GivenEvent, own = database) => {
    const { eventId, ...answer } = only(await own.rpc("pause_status_notify", { events: [event] }))
    assert.strictEqual(eventId, event.eventId)
    return answer
  }

  const mentorWith = async (coordinators: number): Promise<string> => {
    const mentor = await createMentor(database)
    await database.rows(
      `with added as (
         insert into public.coordinators (name) select 'c' || n from generate_series(1, $2::int) as n returning id
       )
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from added`,
      [mentor, coordinators]
    )
    return mentor
  }

  const notificationsOf = (mentor: string) =>
    database.rows<{ id: string; event_id: string; transition: string; version: number | null }>(
      "select id, event_id, transition, version::int from public.notifications where mentor_id = $1 order by id",
      [mentor]
    )

  it("writes one notification per coordinator of the mentor and returns their ids in the receipt", async () => {
    const mentorId = await mentorWith(3)
    await mentorWith(1)
    const event = foreignEvent({ mentorId, source: "outbox", version: 4 })
    const answer = await notify(event)
    const written = await notificationsOf(mentorId)
    assert.deepStrictEqual(answer, {
      outcome: "notified",
      replayed: false,
      receipt: {
        eventId: event.eventId,
        mentorId,
        transition: "PAUSE",
        notified: 3,
        notificationIds: written.map(({ id }) => id)
      }
    })
    assert.lengthOf(written, 3)
    for (const row of written) {
      assert.include(row, { event_id: event.eventId, transition: "PAUSE", version: 4 })
    }
  })

  it("answers a repetition with the same receipt and notifies nobody twice", async () => {
    const mentorId = await mentorWith(2)
    const event = foreignEvent({ mentorId })
    const first = await notify(event)
    assert.deepStrictEqual(await notify(event), { ...first, replayed: true })
    assert.lengthOf(await notificationsOf(mentorId), 2)
  })

  it("notifies everybody once if many calls with one key arrive at the same time", async () => {
    const mentorId = await mentorWith(2)
    const event = foreignEvent({ mentorId })
    const answers = await Promise.all(Array.from({ length: 16 }, () => notify(event)))
    assert.lengthOf(
      answers.filter((answer) => answer["replayed"] === false),
      1
    )
    assert.lengthOf(new Set(answers.map((answer) => JSON.stringify(answer["receipt"]))), 1)
    assert.lengthOf(await notificationsOf(mentorId), 2)
  })

  it("notifies everybody again of another event", async () => {
    const mentorId = await mentorWith(1)
    await notify(foreignEvent({ mentorId }))
    await notify(foreignEvent({ mentorId, transition: "RESUME", oldStatus: "paused", newStatus: "active" }))
    assert.lengthOf(await notificationsOf(mentorId), 2)
  })

  it("refuses another payload under the same key and writes nothing for it", async () => {
    const [mentorId, other] = [await mentorWith(1), await mentorWith(1)]
    const event = foreignEvent({ mentorId })
    await notify(event)
    assert.deepStrictEqual(await notify({ ...event, mentorId: other }), { outcome: "payload_mismatch" })
    assert.lengthOf(await notificationsOf(other), 0)
  })

  it("accepts a mentor without coordinators", async () => {
    const answer = await notify(foreignEvent({ mentorId: randomUUID() }))
    assert.deepNestedInclude(answer, { "receipt.notified": 0, "receipt.notificationIds": [] })
  })

  const assign = (mentorId: string) =>
    database.rows(
      `with c as (insert into public.coordinators (name) values ('Ada') returning id)
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from c`,
      [mentorId]
    )

  it.for<readonly [what: string, links: string]>([
    ["when the mentor had no coordinators", "select 1 where $1::uuid is null"],
    [
      "when every link named a coordinator who does not exist",
      "insert into public.mentor_coordinators values ($1, gen_random_uuid()), ($1, gen_random_uuid())"
    ]
  ])("replaces an empty receipt as soon as there is a coordinator, %s", async ([, links]) => {
    for (const changes of [{}, { source: "outbox", version: 3 }]) {
      const mentorId = await createMentor(database)
      await database.rows(links, [mentorId])
      const event = foreignEvent({ mentorId, ...changes })
      assert.nestedInclude(await notify(event), { replayed: false, "receipt.notified": 0 })
      assert.nestedInclude(await notify(event), { replayed: true, "receipt.notified": 0 })
      await assign(mentorId)
      const told = await notify(event)
      const written = await notificationsOf(mentorId)
      assert.lengthOf(written, 1)
      assert.deepNestedInclude(told, {
        outcome: "notified",
        replayed: false,
        "receipt.notified": 1,
        "receipt.notificationIds": written.map(({ id }) => id)
      })
      assert.deepStrictEqual(await notify(event), { ...told, replayed: true })
      await assign(mentorId)
      assert.deepStrictEqual(await notify(event), { ...told, replayed: true })
      assert.lengthOf(await notificationsOf(mentorId), 1)
    }
  })

  it("does not replace an empty receipt with another payload's", async () => {
    const mentorId = await createMentor(database)
    const event = foreignEvent({ mentorId })
    await notify(event)
    await assign(mentorId)
    const resume = { ...event, transition: "RESUME", oldStatus: "paused", newStatus: "active" }
    assert.deepStrictEqual(await notify(resume), { outcome: "payload_mismatch" })
    assert.lengthOf(await notificationsOf(mentorId), 0)
  })

  it("does not notify of an event that reached nobody once a later one did, unless it is forced", async () => {
    const mentorId = await createMentor(database)
    const [first, second] = versions(mentorId, 1, 2)
    assert.isDefined(first)
    assert.isDefined(second)
    await notify(first)
    await assign(mentorId)
    await notify(second)
    assert.nestedInclude(await notify(first), { replayed: true, "receipt.notified": 0 })
    assert.deepStrictEqual(
      (await notificationsOf(mentorId)).map(({ version }) => version),
      [2]
    )
    assert.nestedInclude(await notify({ ...first, force: true } as GivenEvent), {
      replayed: false,
      "receipt.notified": 1
    })
    assert.sameMembers(
      (await notificationsOf(mentorId)).map(({ version }) => version),
      [1, 2]
    )
  })

  it.for([{}, { source: "outbox", version: 1 }])(
    "notifies once when many repeat %j, which reached nobody, at the same time",
    async (changes) => {
      const mentorId = await createMentor(database)
      const event = foreignEvent({ mentorId, ...changes })
      await notify(event)
      await assign(mentorId)
      const answers = await Promise.all(Array.from({ length: 16 }, () => notify(event)))
      assert.lengthOf(
        answers.filter((answer) => answer["replayed"] === false),
        1
      )
      assert.deepStrictEqual(new Set(answers.map((answer) => JSON.stringify(answer["receipt"]))).size, 1)
      assert.lengthOf(await notificationsOf(mentorId), 1)
    }
  )

  it.for([{}, { source: "outbox", version: 1 }])(
    "lets a second caller of %j wait for the first, and notify the coordinator whom the first could not see",
    async (changes) => {
      const mentorId = await createMentor(database)
      const event = foreignEvent({ mentorId, ...changes })
      await using first = await database.connect()
      await first.query("begin")
      const call = "select public.pause_status_notify($1) -> 0 as answer"
      const { rows } = await first.query(call, [JSON.stringify([event])])
      assert.nestedInclude(rows[0]?.answer, { replayed: false, "receipt.notified": 0 })
      await assign(mentorId)
      const second = notify(event)
      const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
      await eventually(() => database.rows(waiting)).toHaveLength(1)
      await first.query("commit")
      assert.nestedInclude(await second, { replayed: false, "receipt.notified": 1 })
      assert.lengthOf(await notificationsOf(mentorId), 1)
    }
  )

  it("skips a deleted coordinator, and keeps their notifications", async () => {
    const mentorId = await mentorWith(2)
    await notify(foreignEvent({ mentorId }))
    await database.rows(
      `delete from public.coordinators c using public.mentor_coordinators mc
       where mc.coordinator_id = c.id and mc.mentor_id = $1 and c.name = 'c1'`,
      [mentorId]
    )
    const second = await notify(foreignEvent({ mentorId }))
    assert.nestedInclude(second, { "receipt.notified": 1 })
    assert.lengthOf(await notificationsOf(mentorId), 3)
  })

  const outcomesOf = async (events: ReadonlyArray<object>) =>
    (await database.rpc("pause_status_notify", { events })).map(({ outcome }) => outcome)

  it("refuses a version lower than one that was notified as superseded, and writes nothing", async () => {
    const mentorId = await mentorWith(1)
    assert.deepStrictEqual(await outcomesOf(versions(mentorId, 5)), ["notified"])
    assert.deepStrictEqual(await outcomesOf(versions(mentorId, 4)), ["superseded"])
    assert.deepStrictEqual(await outcomesOf(versions(mentorId, 6)), ["notified"])
    assert.deepStrictEqual((await notificationsOf(mentorId)).map(({ version }) => version).toSorted(), [5, 6])
  })

  it("still notifies a lower version if it is forced, and keeps the highest", async () => {
    const mentorId = await mentorWith(1)
    await outcomesOf(versions(mentorId, 5))
    const [old, older] = versions(mentorId, 3, 4)
    assert.deepStrictEqual(await outcomesOf([{ ...old, force: true }]), ["notified"])
    assert.deepStrictEqual(await outcomesOf([older ?? {}]), ["superseded"])
  })

  it("answers with the receipt of a lower version that was notified before the higher one", async () => {
    const mentorId = await mentorWith(1)
    const events = versions(mentorId, 1, 2)
    await outcomesOf(events)
    const [first] = await database.rpc("pause_status_notify", { events })
    assert.include(first, { outcome: "notified", replayed: true })
  })

  it("notifies the versions of an array in their order, and answers in the array's order", async () => {
    const mentorId = await mentorWith(1)
    const events = versions(mentorId, 2, 1)
    const answers = await database.rpc("pause_status_notify", { events: [...events, events[0]] })
    assert.deepStrictEqual(
      answers.map((answer) => [answer["eventId"], answer.outcome, answer["replayed"]]),
      [
        [events[0]?.eventId, "notified", false],
        [events[1]?.eventId, "notified", false],
        [events[0]?.eventId, "notified", true]
      ]
    )
    const told = await database.rows<{ version: number }>(
      "select version::int from public.notifications where mentor_id = $1 order by created_at",
      [mentorId]
    )
    assert.deepStrictEqual(
      told.map(({ version }) => version),
      [1, 2]
    )
  })

  it("never notifies a version after a higher one if both arrive at the same time", async () => {
    const mentorId = await mentorWith(1)
    const events = versions(mentorId, 1, 2, 3, 4, 5, 6, 7, 8)
    await Promise.all(events.map((event) => outcomesOf([event])))
    const told = await database.rows<{ version: number }>(
      "select version::int from public.notifications where mentor_id = $1 order by created_at",
      [mentorId]
    )
    const order = told.map(({ version }) => version)
    assert.deepStrictEqual(order, order.toSorted())
    assert.include(order, 8)
  })

  it("leaves nothing behind if a notification cannot be written", async () => {
    await using own = await openDatabase()
    const [mentorId, coordinator] = [await createMentor(own), randomUUID()]
    await own.rows("insert into public.coordinators (id) values ($1)", [coordinator])
    await own.rows("insert into public.mentor_coordinators values ($1, $2)", [mentorId, coordinator])
    await own.rows("alter table public.notifications add constraint full_disk check (false)")
    const event = foreignEvent({ mentorId })
    const failure = await failureOf(notify(event, own))
    assert.include(failure, "full_disk")
    await own.rows("alter table public.notifications drop constraint full_disk")
    assert.include(await notify(event, own), { outcome: "notified", replayed: false })
  })

  it("refuses a malformed event with every error, and notifies the others", async () => {
    const events = [{ ...foreignEvent(), eventId: "", source: "?" }, foreignEvent()]
    const [invalid, notified] = await database.rpc("pause_status_notify", { events })
    assert.include(invalid?.["message"], "eventId must be a uuid; source must be outbox or webhook")
    assert.strictEqual(notified?.outcome, "notified")
  })
})
