import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { openSession } from "../support/bareStack.ts"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
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
  // Without it Postgres calls nobody by itself, and what pg_net loses is the sweep's alone: see withoutPgNet.test.ts.
  await pipeline.database.rows("drop extension http")
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const loseRequests = async (): Promise<void> => {
  await using admin = await openSession(pipeline.stack.adminUrl)
  await admin.rows("truncate net.http_request_queue, net._http_response restart identity")
}

describe("pg_net that loses requests", () => {
  it("the sweep sends a request that was lost from the queue again", async () => {
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

  it("kill -9 of its worker loses what waits behind a slow request, and each is still notified once", async () => {
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

  it("with its worker down from the start, an event waits in its one request, and is notified once", async () => {
    const { database, proxy, stack } = pipeline
    await stack.services.net.stop()
    // It is claimed once, however long the handler takes.
    await database.rows("update outbox.settings set lease_seconds = 60")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    await eventually("the sweep to have seen that the request waits", async () => {
      const rows = await database.rows(
        `select from outbox.events
         where key = $1 and next_attempt_at > last_dispatched_at + interval '2 seconds'`,
        [mentorId]
      )
      return rows.length > 0 ? true : undefined
    })
    assert.strictEqual(await queuedRequests(database), 1)
    assert.lengthOf(proxy.seen("", mentorId), 0)
    await stack.services.net.start()
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.strictEqual(event?.attempts, 1)
    await makeQuick(database)
  })

  it("with its queue lost again and again, an event is sent again as often, and notified once", async () => {
    const { database, proxy, stack } = pipeline
    await stack.services.net.stop()
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    for (const sent of [1, 2, 3]) {
      await eventually(`request ${sent}`, async () =>
        (await eventsOf(database, mentorId)).find(({ attempts }) => attempts === sent)
      )
      await loseRequests()
    }
    assert.lengthOf(proxy.seen("", mentorId), 0)
    await stack.services.net.start()
    await expectTold(database, mentorId, "PAUSE")
  })

  it("a handler that is slower than pg_net's timeout finishes its work", async () => {
    const { database } = pipeline
    await makePatient(database)
    await database.rows("update outbox.settings set request_timeout_ms = 1000")
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
    await makeQuick(database)
  })

  it("without the extension, a change still commits, and is notified once when the extension is back", async () => {
    const { database } = pipeline
    await database.rows("drop extension pg_net")
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active")
    const event = await eventually("the error", async () =>
      (await eventsOf(database, mentorId)).find(({ last_error }) => last_error !== null)
    )
    assert.match(event.last_error ?? "", /create extension pg_net/)
    await database.rows("create extension pg_net with schema extensions")
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})

describe("the sweep", () => {
  it("is not needed while nothing is lost: several changes are notified in order without it", async () => {
    const { database, stack } = pipeline
    await stack.services.cron.stop()
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", "active", "paused", "active")
    await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE", "RESUME")
    await stack.services.cron.start()
  })

  it("may run several times at once, and each event is still notified once", async () => {
    const { database, stack } = pipeline
    await stack.services.handler.stop()
    const mentorIds = await Promise.all(Array.from({ length: 10 }, () => createMentor(database)))
    await Promise.all(mentorIds.map((mentorId) => setStatus(database, mentorId, "paused")))
    await stack.services.handler.start()
    await Promise.all(Array.from({ length: 20 }, () => database.rows("select outbox.sweep()")))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
  })
})

describe("everything at once", () => {
  it("kill -9 of each process in turn, under traffic: every change is notified once, in order", async () => {
    const { database, stack } = pipeline
    const { cron, handler, net, orchestrator, postgres, postgrest } = stack.services
    const mentorIds = await Promise.all(Array.from({ length: 5 }, () => createMentor(database)))
    const victims = [handler, net, orchestrator, postgres, postgrest, cron, handler, postgres]
    for (const [turn, victim] of victims.entries()) {
      const status = turn % 2 === 0 ? "paused" : "active"
      // Again, when Postgres went away meanwhile: a change that was made already is none.
      await eventually(`turn ${turn} committed`, async () => {
        const changes = await Promise.allSettled(mentorIds.map((mentorId) => setStatus(database, mentorId, status)))
        return changes.every((change) => change.status === "fulfilled") || undefined
      })
      await victim.kill("SIGKILL")
    }
    const told = victims.map((_, turn) => (turn % 2 === 0 ? "PAUSE" : "RESUME"))
    for (const mentorId of mentorIds) await expectTold(database, mentorId, ...told)
  })
})
