import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { openSession } from "../support/bareStack.ts"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makeQuick,
  pauseAndHold,
  type Pipeline,
  queuedRequests,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline()
  await makeQuick(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const loseRequests = async (): Promise<void> => {
  await using admin = await openSession(pipeline.stack.adminUrl)
  await admin.rows("truncate net.http_request_queue, net._http_response restart identity")
}

describe("pg_net that loses requests", () => {
  it("a request that is lost from the queue is sent again by the sweep", async () => {
    const { database, stack } = pipeline
    const mentorId = await createMentor(database)
    await stack.services.net.stop()
    await setStatus(database, mentorId, "paused")
    assert.isAtLeast(await queuedRequests(database), 1)
    await loseRequests()
    await stack.services.net.start()
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.isAtLeast(event?.attempts ?? 0, 2)
  })

  it("kill -9 of its worker loses what waits behind a slow request, and each is told once all the same", async () => {
    const { database, stack } = pipeline
    const { mentorId: slow, open } = await pauseAndHold(pipeline)
    const behind = await createMentor(database)
    await setStatus(database, behind, "paused", "active")
    await eventually("a request behind the slow one", async () => (await queuedRequests(database)) > 0 || undefined)
    await stack.services.net.kill("SIGKILL")
    open()
    await expectTold(database, slow, "PAUSE")
    await expectTold(database, behind, "PAUSE", "RESUME")
  })

  it("a handler that is slower than pg_net's patience finishes what it began", async () => {
    const { database } = pipeline
    await database.rows("update pause_status.settings set request_timeout_ms = 100")
    const { mentorId, open } = await pauseAndHold(pipeline)
    const [event] = await eventsOf(database, mentorId)
    await eventually("pg_net has given up", async () => {
      const rows = await database.rows("select from net._http_response where id = $1 and timed_out", [
        event?.request_id
      ])
      return rows.length > 0 ? true : undefined
    })
    open()
    await expectTold(database, mentorId, "PAUSE")
    await database.rows("update pause_status.settings set request_timeout_ms = 5000")
  })

  it("without the extension a change commits all the same, and is told once when it is back", async () => {
    const { database } = pipeline
    await database.rows("drop extension pg_net")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active")
    assert.match((await eventsOf(database, mentorId))[0]?.last_error ?? "", /create extension pg_net/)
    await database.rows("create extension pg_net with schema extensions")
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})

describe("the sweep", () => {
  it("is not needed while nothing is lost: several changes are told in order without it", async () => {
    const { database, stack } = pipeline
    await stack.services.cron.stop()
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active", "paused", "active")
    await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE", "RESUME")
    await stack.services.cron.start()
  })

  it("comes too often when several run at once, and each event is told once all the same", async () => {
    const { database, stack } = pipeline
    await stack.services.handler.stop()
    const mentorIds = await Promise.all(Array.from({ length: 10 }, () => createMentor(database)))
    await Promise.all(mentorIds.map((mentorId) => setStatus(database, mentorId, "paused")))
    await stack.services.handler.start()
    await Promise.all(Array.from({ length: 20 }, () => database.rows("select pause_status.sweep()")))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
  })
})

describe("everything at once", () => {
  it("kill -9 of each process in turn, under traffic: every change is told once, in order", async () => {
    const { database, stack } = pipeline
    const { cron, handler, net, orchestrator, postgres, postgrest } = stack.services
    const mentorIds = await Promise.all(Array.from({ length: 5 }, () => createMentor(database)))
    const victims = [handler, net, orchestrator, postgres, postgrest, cron, handler, postgres]
    for (const [turn, victim] of victims.entries()) {
      await eventually("Postgres is up", () => database.rows("select 1"))
      const status = turn % 2 === 0 ? "paused" : "active"
      await Promise.all(mentorIds.map((mentorId) => setStatus(database, mentorId, status)))
      await victim.kill("SIGKILL")
    }
    const told = victims.map((_, turn) => (turn % 2 === 0 ? "PAUSE" : "RESUME"))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, ...told)
  })
})
