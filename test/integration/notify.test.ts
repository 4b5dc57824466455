import { assert, afterAll, describe, it } from "@effect/vitest"
import {
  createMentor,
  createMentors,
  eventsOf,
  eventually,
  expectTold,
  openDatabase,
  setStatus
} from "../support/pipeline.ts"
import { sharedStack } from "../support/stack.ts"

const database = openDatabase(sharedStack().databaseUrl)
afterAll(() => database[Symbol.asyncDispose]())

const statement = (status: string, mentorIds: ReadonlyArray<string>) =>
  `update public.peer_mentor_profiles set status = '${status}' where id in ('${mentorIds.join("', '")}')`

const completed = async (mentorIds: ReadonlyArray<string>, expected: number): Promise<true | undefined> => {
  const [row] = await database.rows<{ completed: number }>(
    `select count(*)::int as completed from outbox.events
     where key = any ($1) and status = 'completed'`,
    [mentorIds]
  )
  if (row?.completed === expected) return true
  throw new Error(`${row?.completed} of ${expected} completed`)
}

describe("a committed change of status", () => {
  it("each coordinator is notified of each pause and resume once, in the order of the versions", async () => {
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active", "paused")
    const events = await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE")
    assert.deepStrictEqual(
      events.map((event) => event.version),
      [1, 2, 3]
    )
    assert.isTrue(events.every((event) => event.attempts === 1 && event.claims === 1))
  })

  it("several flips in one transaction are all notified, in order", async () => {
    const mentorId = await createMentor(database, "paused")
    await database.transaction("commit", ...["active", "paused", "active"].map((to) => statement(to, [mentorId])))
    await expectTold(database, mentorId, "RESUME", "PAUSE", "RESUME")
  })

  it("a rolled back change notifies nobody", async () => {
    const [mentorId, witness] = [await createMentor(database), await createMentor(database)]
    await database.transaction("rollback", statement("paused", [mentorId]))
    await setStatus(database, witness, "paused")
    await expectTold(database, witness, "PAUSE")
    assert.lengthOf(await eventsOf(database, mentorId), 0)
    await expectTold(database, mentorId)
  })

  it("only a status that differs from the known state notifies anybody", async () => {
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "active", "retired", "active", "paused", "paused", "on leave", "paused")
    await setStatus(database, mentorId, "retired", "on leave", "active", "retired", "paused", "retired")
    await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE")
  })

  it("a pause of a mentor without coordinators is completed, too", async () => {
    const mentorId = await createMentor(database, "active", 0)
    await setStatus(database, mentorId, "paused")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.deepStrictEqual(event?.receipt?.notificationIds, [])
  })

  it("20 writers who flip one mentor at the same time leave 20 changes, notified in order", async () => {
    const mentorId = await createMentor(database)
    await Promise.all(
      Array.from({ length: 20 }, () =>
        database.rows(
          `update public.peer_mentor_profiles
           set status = case status when 'active' then 'paused' else 'active' end where id = $1`,
          [mentorId]
        )
      )
    )
    const told = Array.from({ length: 20 }, (_, turn) => (turn % 2 === 0 ? "PAUSE" : "RESUME"))
    await expectTold(database, mentorId, ...told)
  })

  it("200 mentors who are paused by one UPDATE are each notified once", async () => {
    const mentorIds = await createMentors(database, 200)
    await database.rows(statement("paused", mentorIds))
    await eventually("200 events completed", () => completed(mentorIds, 200))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
  })

  it("20 mentors who all flip three times in one transaction are each notified three times, in order", async () => {
    const mentorIds = await createMentors(database, 20)
    await database.transaction("commit", ...["paused", "active", "paused"].map((to) => statement(to, mentorIds)))
    await eventually("60 events completed", () => completed(mentorIds, 60))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE")
  })
})
