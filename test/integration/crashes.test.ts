import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import {
  claimPath,
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makeQuick,
  orchestratorPath,
  pauseAndHold,
  type Pipeline,
  queuedRequests,
  setStatus,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, saysNothing } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { STORE_TIMEOUT_MS: "3000" } })
  await makeQuick(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

describe("a handler that dies", () => {
  it("kill -9 between claim and completion: the lease ends, the sweep sends again, one notification", async () => {
    const { database, stack } = pipeline
    const { mentorId, open } = await pauseAndHold(pipeline)
    await stack.services.handler.kill("SIGKILL")
    // The dead handler's order still reaches the orchestrator; the next handler's must not double it.
    open()
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.isAtLeast(event?.claims ?? 0, 2)
  })

  it("kill -9 before the orchestrator is called: one notification", async () => {
    const { database, stack } = pipeline
    const { mentorId, open } = await pauseAndHold(pipeline, gate(hangUp))
    await stack.services.handler.kill("SIGKILL")
    open()
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.isAtLeast(event?.claims ?? 0, 2)
  })

  it("a handler that is down loses nothing: what it missed is notified in order when it is up again", async () => {
    const { database, stack } = pipeline
    const mentorId = await createMentor(database)
    await stack.services.handler.stop()
    await setStatus(database, mentorId, "paused", "active")
    await eventually("a second attempt", async () =>
      (await eventsOf(database, mentorId)).some(({ attempts }) => attempts >= 2) ? true : undefined
    )
    await stack.services.handler.start()
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})

describe.concurrent("a claim store that loses answers", () => {
  it("a claim whose answer is lost is taken back when its lease ends", async () => {
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    proxy.next(claimPath, mentorId, loseReply)
    await setStatus(database, mentorId, "paused")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.isAtLeast(event?.claims ?? 0, 2)
  })

  for (const [name, step] of [
    ["is lost", hangUp],
    ["loses its answer", loseReply]
  ] as const) {
    it(`a completion that ${name} is repeated until the event is notified once`, async () => {
      const { database, proxy } = pipeline
      const { mentorId, open } = await pauseAndHold(pipeline)
      const [event] = await eventsOf(database, mentorId)
      proxy.next(settlePath, event?.event_id ?? "", step, step, step)
      open()
      await eventually("a second completion", () => proxy.seen(settlePath, event?.event_id)[1])
      await expectTold(database, mentorId, "PAUSE")
    })
  }

  it("a release that is lost costs a lease and nothing more", async () => {
    const { database, proxy } = pipeline
    const failed = [answerWith(500), answerWith(500), answerWith(500)]
    const { mentorId, open } = await pauseAndHold(pipeline, gate(answerWith(500)))
    const [event] = await eventsOf(database, mentorId)
    proxy.next(orchestratorPath, mentorId, ...failed)
    // As often as the handler asks for it.
    proxy.next(settlePath, event?.event_id ?? "", hangUp, hangUp, hangUp)
    open()
    await expectTold(database, mentorId, "PAUSE")
    assert.isAtLeast(proxy.seen(settlePath, event?.event_id).length, 4)
  })
})

describe("Postgres and PostgREST that go down", () => {
  it("a crash of Postgres between commit and dispatch keeps the event, which is notified once", async () => {
    const { database, stack } = pipeline
    const { cron, net, postgres } = stack.services
    await Promise.all([net.stop(), cron.stop()])
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    assert.isAtLeast(await queuedRequests(database), 1)
    const [before] = await database.rows<{ at: string }>("select pg_postmaster_start_time()::text as at")
    await postgres.kill("SIGKILL")
    // A server process may outlive the postmaster for a moment, and still answer.
    await eventually("Postgres is back", async () => {
      const [now] = await database.rows<{ at: string }>("select pg_postmaster_start_time()::text as at")
      return now?.at !== before?.at || undefined
    })
    const left = await database.rows("select from net.http_request_queue")
    assert.lengthOf(left, 0, "the crash emptied pg_net's queue")
    await Promise.all([net.start(), cron.start()])
    await expectTold(database, mentorId, "PAUSE")
  })

  it("a crash of Postgres while the orchestrator works ends in one notification", async () => {
    const { database, stack } = pipeline
    const { mentorId, open } = await pauseAndHold(pipeline)
    await stack.services.postgres.kill("SIGKILL")
    open()
    await expectTold(database, mentorId, "PAUSE")
  })

  it("PostgREST that is down makes the handler answer 503, and loses nothing", async () => {
    const { database, stack } = pipeline
    const mentorId = await createMentor(database)
    await stack.services.postgrest.stop()
    await setStatus(database, mentorId, "paused", "active")
    await eventually("the handler's 503 in pg_net's responses", async () => {
      const rows = await database.rows(
        `select from net._http_response
         where status_code = 503 and content::jsonb ->> 'code' = 'store_unavailable' and headers ? 'retry-after'`
      )
      return rows.length > 0 ? true : undefined
    })
    await stack.services.postgrest.start()
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })

  it("PostgREST that does not answer makes the handler answer 503 in time", async () => {
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    proxy.next(claimPath, mentorId, saysNothing)
    await setStatus(database, mentorId, "paused")
    await expectTold(database, mentorId, "PAUSE")
  })

  it("the orchestrator's function that is down loses nothing", async () => {
    const { database, stack } = pipeline
    const mentorId = await createMentor(database)
    await stack.services.orchestrator.stop()
    await setStatus(database, mentorId, "paused", "active")
    await eventually(
      "a failure is kept with the event",
      async () => (await eventsOf(database, mentorId))[0]?.last_error
    )
    await stack.services.orchestrator.start()
    await expectTold(database, mentorId, "PAUSE", "RESUME")
  })
})
