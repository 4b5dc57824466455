import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import {
  createMentor,
  type Database,
  eventsOf,
  eventually,
  expectTold,
  makeQuick,
  type Pipeline,
  queuedRequests,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"

const everySecond = async (database: Database): Promise<void> => {
  await makeQuick(database)
  await database.rows("update outbox.settings set request_timeout_ms = 60000")
  await database.rows("select cron.schedule('outbox-direct', '1 seconds', 'select outbox.send_directly()')")
}

describe("pg_net's worker off from the start", () => {
  let pipeline: Pipeline
  beforeAll(async () => {
    pipeline = await startPipeline()
    await pipeline.stack.services.net.stop()
    await everySecond(pipeline.database)
  })
  afterAll(() => pipeline?.[Symbol.asyncDispose]())

  it("pauses and resumes are notified once, in order", async () => {
    const { database } = pipeline
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active", "paused", "active")
    await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE", "RESUME")
  })

  it("a burst of 200 mentors is notified once each", async () => {
    const { database } = pipeline
    const mentorIds: Array<string> = []
    for (let count = 0; count < 200; count += 1) mentorIds.push(await createMentor(database, "active", 1))
    for (const status of ["paused", "active"]) {
      await database.rows("update public.peer_mentor_profiles set status = $2 where id = any($1)", [mentorIds, status])
    }
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE", "RESUME")
  })

  it("a handler that is down is tried again later", async () => {
    const { database, stack } = pipeline
    await stack.services.handler.stop()
    await database.rows("update outbox.settings set max_attempts = 100")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    const [event] = await eventsOf(database, mentorId)
    const ended = await eventually("two failures", async () => {
      const ended = await database.rows<{ outcome: string; error: string }>(
        "select outcome, error from outbox.event_history($1)",
        [event?.event_id]
      )
      return ended.length >= 2 ? ended : undefined
    })
    for (const { outcome, error } of ended) {
      assert.strictEqual(outcome, "unacknowledged")
      assert.include(error, "sent without pg_net")
    }
    await stack.services.handler.start()
    await expectTold(database, mentorId, "PAUSE")
  })

  it("what is left in pg_net's queue doubles nothing when pg_net is back", async () => {
    const { database, stack } = pipeline
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active")
    await expectTold(database, mentorId, "PAUSE", "RESUME")
    assert.isAtLeast(await queuedRequests(database), 2)
    const notifications = "select count(*)::int as count from public.notifications"
    const told = await database.rows(notifications)
    await stack.services.net.start()
    await eventually("pg_net has sent them", async () => (await queuedRequests(database)) === 0 || undefined)
    const answers = await database.rows<{ status_code: number }>(
      `select distinct r.status_code from net._http_response r
       join outbox.deliveries d on d.request_id = r.id
       join outbox.events q on q.delivery_id = d.id where q.key = $1`,
      [mentorId]
    )
    assert.deepStrictEqual(answers, [{ status_code: 409 }])
    assert.deepStrictEqual(await database.rows(notifications), told)
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })

  it("everything is notified even if pg_net is not installed", async () => {
    const { database } = pipeline
    await database.rows("drop extension pg_net")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active")
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})

describe("neither pg_net's worker nor the extension http", () => {
  it("nothing is lost: everything is notified when pg_net is back", async () => {
    await using pipeline = await startPipeline()
    const { database, stack } = pipeline
    await stack.services.net.stop()
    await database.rows("drop extension http")
    await everySecond(database)
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active")
    await eventually("a run that found nothing to do it with", async () => {
      const [run] = await database.rows<{ ok: boolean }>(
        `select true as ok from cron.job_run_details
         where command like '%send_directly%' and status = 'succeeded' and start_time > now() - interval '1 minute'
         offset 2 limit 1`
      )
      return run?.ok
    })
    assert.deepStrictEqual(
      (await eventsOf(database, mentorId)).map(({ status }) => status),
      ["pending", "pending"]
    )
    await stack.services.net.start()
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})
