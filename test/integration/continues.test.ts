import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import {
  claimPath,
  createMentor,
  createMentors,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
  orchestratorPath,
  pauseAndHold,
  type Pipeline,
  setStatus,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith } from "../support/proxy.ts"

/** Changes of status, one after the other, of a mentor who is paused. */
const flips = (count: number) => Array.from({ length: count }, (_, index) => (index % 2 === 0 ? "active" : "paused"))
const transitions = (count: number) =>
  Array.from({ length: count }, (_, index) => (index % 2 === 0 ? "PAUSE" : "RESUME"))

/** Of a mentor: how often the handler claimed, called and settled, in how many requests. */
const callsOf = ({ proxy }: Pipeline, mentorId: string, eventIds: ReadonlyArray<string>) => ({
  claims: proxy.seen(claimPath, mentorId).length,
  calls: proxy.seen(orchestratorPath, mentorId).length,
  settlements: proxy.seen(settlePath).filter(({ body }) => eventIds.some((eventId) => body.includes(eventId))).length
})

describe("a delivery continues with what its settlement returns:", () => {
  let pipeline: Pipeline
  beforeAll(async () => {
    // Longer than a slow machine takes: what ends a delivery here is that nothing is left.
    pipeline = await startPipeline({ functionEnv: { CONTINUE_MS: "10000", ORCHESTRATOR_RETRIES: "0" } })
    await makePatient(pipeline.database)
    await pipeline.stack.services.cron.stop()
  })
  afterAll(() => pipeline?.[Symbol.asyncDispose]())

  it("the first delivery notifies twenty quick changes of a mentor in order", async () => {
    const { database } = pipeline
    const { mentorId, open } = await pauseAndHold(pipeline)
    await setStatus(database, mentorId, ...flips(19))
    open()
    const events = await expectTold(database, mentorId, ...transitions(20))
    const eventIds = events.map(({ event_id }) => event_id)
    const seen = callsOf(pipeline, mentorId, eventIds)
    assert.deepStrictEqual([seen.calls, seen.settlements], [20, 20])
    // Each change posted a request of its own at its commit; most of them came too early, and none was needed.
    assert.isTrue(events.every(({ claims }) => claims === 1))
  })

  it("a failure ends it, and the sweep sends the rest again, in order", async () => {
    const { database, proxy, stack } = pipeline
    const { mentorId, open } = await pauseAndHold(pipeline)
    await setStatus(database, mentorId, ...flips(4))
    const [, second] = await eventsOf(database, mentorId)
    proxy.next(orchestratorPath, second?.event_id ?? "", answerWith(503))
    open()
    await eventually("the second event has failed once", async () => {
      const [first, again] = await eventsOf(database, mentorId)
      return (first?.status === "completed" && again?.last_error !== null) || undefined
    })
    await stack.services.cron.start()
    await expectTold(database, mentorId, ...transitions(5))
    await stack.services.cron.stop()
  })

  it("the rest of a large update is notified although pg_net has stopped", async () => {
    const { database, stack } = pipeline
    await database.rows("update outbox.settings set events_per_request = 10")
    const mentorIds = await createMentors(database, 200)
    await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any ($1)", [mentorIds])
    await eventually("a first request has come", async () => {
      const [row] = await database.rows<{ done: boolean }>(
        "select exists (select from outbox.events where key = any ($1) and status = 'completed') as done",
        [mentorIds]
      )
      return row?.done || undefined
    })
    await stack.services.net.stop()
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
    await stack.services.net.start()
  })
})

describe("with CONTINUE_MS=0 a delivery ends with its own events,", () => {
  it("and each settlement dispatches the next one", async () => {
    await using pipeline = await startPipeline({ functionEnv: { CONTINUE_MS: "0" } })
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused", ...flips(4))
    const events = await expectTold(database, mentorId, ...transitions(5))
    for (const { body } of proxy.seen(settlePath)) assert.deepInclude(JSON.parse(body), { take: 0 })
    assert.isAtLeast(
      callsOf(
        pipeline,
        mentorId,
        events.map(({ event_id }) => event_id)
      ).claims,
      5
    )
  })
})
