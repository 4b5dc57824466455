import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import {
  claimPath,
  createMentors,
  eventsOf,
  expectTold,
  makePatient,
  makeQuick,
  orchestratorPath,
  type Pipeline,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { ORCHESTRATOR_BATCH: "false", ORCHESTRATOR_RETRIES: "0" } })
  await makeQuick(pipeline.database)
  await makePatient(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const pauseTogether = async (mentorIds: ReadonlyArray<string>) => {
  const { database } = pipeline
  await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any ($1)", [mentorIds])
}

describe("an orchestrator that accepts no arrays", () => {
  it("gets each event of a request in its own call, with the event id as Idempotency-Key", async () => {
    const { database, proxy } = pipeline
    const mentorIds = await createMentors(database, 20)
    await pauseTogether(mentorIds)
    const events = await Promise.all(
      mentorIds.map(async (mentorId) => {
        const [event] = await expectTold(database, mentorId, "PAUSE")
        return event?.event_id
      })
    )
    const calls = proxy.seen(orchestratorPath)
    assert.sameMembers(
      calls.map(({ headers }) => headers["idempotency-key"]),
      events
    )
    for (const { body, headers } of calls) assert.strictEqual(JSON.parse(body).eventId, headers["idempotency-key"])
    assert.lengthOf(proxy.seen(claimPath), 1)
    assert.lengthOf(proxy.seen(settlePath), 1)
  })

  it("fails for one event only, and the others are notified at their first attempt", async () => {
    const { database, proxy } = pipeline
    const mentorIds = await createMentors(database, 10)
    const [bad = "", ...others] = mentorIds
    proxy.next(orchestratorPath, bad, answerWith(503))
    await pauseTogether(mentorIds)
    const [failed] = await expectTold(database, bad, "PAUSE")
    assert.strictEqual(failed?.claims, 2)
    for (const mentorId of others) {
      await expectTold(database, mentorId, "PAUSE")
      const [event] = await eventsOf(database, mentorId)
      assert.strictEqual(event?.claims, 1)
    }
  })
})
