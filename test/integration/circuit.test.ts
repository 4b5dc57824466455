import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import { deliver, deliverMany, newPause, verdict } from "../support/deliveries.ts"
import {
  createMentor,
  createMentors,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
  makeQuick,
  orchestratorPath,
  type Pipeline,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, type Step } from "../support/proxy.ts"

const failures = 2
let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({
    functionEnv: { ORCHESTRATOR_RETRIES: "0", CIRCUIT_FAILURES: String(failures), CIRCUIT_OPEN_MS: "15000" }
  })
  await makeQuick(pipeline.database)
  await makePatient(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const deliverFailing = async (step: Step) => {
  const pause = await newPause(pipeline.database)
  pipeline.proxy.next(orchestratorPath, pause.eventId, step)
  return { ...pause, verdict: await verdict(await deliver(pipeline.stack, pause.payload, pause.eventId)) }
}

describe("an orchestrator that failed several times in a row", () => {
  it("is not called for a while: events are parked without a failure, and notified once when it recovers", async () => {
    const { database, proxy, stack } = pipeline
    const failed = [await deliverFailing(answerWith(500)), await deliverFailing(answerWith(500))]
    assert.deepStrictEqual(
      failed.map((pause) => pause.verdict),
      ["502 orchestrator_unavailable", "502 orchestrator_unavailable"]
    )

    const parked = await newPause(pipeline.database)
    const response = await deliver(stack, parked.payload, parked.eventId)
    assert.isAtLeast(Number(response.headers.get("retry-after")), 1)
    assert.strictEqual(await verdict(response), "503 circuit_open")
    assert.lengthOf(proxy.seen(orchestratorPath, parked.eventId), 0)
    const many = await Promise.all(Array.from({ length: 3 }, () => newPause(database)))
    assert.deepStrictEqual(
      (
        await deliverMany(
          stack,
          many.map(({ payload }) => payload)
        )
      ).map(({ status, word }) => `${status} ${word}`),
      many.map(() => "503 circuit_open")
    )

    const [row] = await database.rows(
      `select q.failures, a.outcome from outbox.events q
       join outbox.attempts a on a.event_id = q.event_id
       where q.event_id = $1 order by a.id limit 1`,
      [parked.eventId]
    )
    assert.deepStrictEqual(row, { failures: 0, outcome: "parked" })
    for (const { mentorId } of [...failed, parked, ...many]) await expectTold(database, mentorId, "PAUSE")
  })

  it("refusals are answers: they do not open the circuit", async () => {
    const { database } = pipeline
    for (let turn = 0; turn <= failures; turn++) {
      const refused = await deliverFailing(answerWith(400))
      assert.strictEqual(refused.verdict, "502 orchestrator_refused")
    }
    const mentorId = await createMentor(database)
    await setStatus(database, mentorId, "paused")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.strictEqual(event?.claims, 1)
  })

  it("is spared a burst: events are parked more often than they have attempts, and are notified once", async () => {
    const { database, stack } = pipeline
    await database.rows("update outbox.settings set max_attempts = 4, retry_for_seconds = 0, events_per_request = 10")
    await stack.services.orchestrator.stop()
    const mentorIds = await createMentors(database, 100)
    await database.rows("update public.peer_mentor_profiles set status = 'paused' where id = any ($1)", [mentorIds])
    await eventually("events that are parked again and again", async () => {
      const [row] = await database.rows<{ parked: number }>(
        `select count(*)::int as parked from outbox.attempts a
         join outbox.events q on q.event_id = a.event_id
         where q.key = any ($1) and a.outcome = 'parked'`,
        [mentorIds]
      )
      return (row?.parked ?? 0) > 4 * mentorIds.length ? true : undefined
    })
    for (const mentorId of mentorIds) {
      const [event] = await eventsOf(database, mentorId)
      assert.notStrictEqual(event?.status, "failed")
    }
    await stack.services.orchestrator.start()
    for (const mentorId of mentorIds) await expectTold(database, mentorId, "PAUSE")
  })
})
