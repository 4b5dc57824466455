import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makeQuick,
  orchestratorPath,
  type Pipeline,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, saysNothing, type Step } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({
    functionEnv: { ORCHESTRATOR_TIMEOUT_MS: "400", ORCHESTRATOR_BUDGET_MS: "1500", ORCHESTRATOR_RETRIES: "1" }
  })
  await makeQuick(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

// More than the handler's own two tries, so that the outbox has to send the event again.
const threeTimes = (step: Step) => [step, step, step]

const lastErrorOf = async (mentorId: string): Promise<string | undefined> =>
  (await eventsOf(pipeline.database, mentorId))[0]?.last_error ?? undefined

// Concurrent, because they mostly wait, each for the sweep.
describe.concurrent("an orchestrator that is not well", () => {
  const illnesses: ReadonlyArray<readonly [name: string, step: Step, lastError: RegExp]> = [
    ["answers 500", answerWith(500), /^transient: .*status 500/],
    ["answers 503 with Retry-After", answerWith(503, { "retry-after": "1" }), /^transient: .*status 503/],
    ["answers 429", answerWith(429), /^transient: .*status 429/],
    ["answers 546, the platform's own limit", answerWith(546), /^transient: .*status 546/],
    ["hangs", saysNothing, /^transient: .*no answer within/],
    ["hangs up", hangUp, /^transient: .*connection/],
    ["accepts and loses its reply", loseReply, /^transient: .*connection/],
    ["answers 200 without a receipt", answerWith(200, {}, "ok"), /^transient: .*receipt/],
    ["answers 302 to somewhere else", answerWith(302, { location: "http://127.0.0.1:9/" }), /^permanent: .*status 302/],
    ["refuses with 400", answerWith(400), /^permanent: .*status 400/]
  ]

  for (const [name, step, lastError] of illnesses) {
    it(`one that ${name} ends in exactly one notification per coordinator when it is well again`, async () => {
      const { database, proxy } = pipeline
      const mentorId = await createMentor(database)
      // Ill until the failure is on record.
      const sick = gate(step)
      proxy.next(orchestratorPath, mentorId, sick.step, ...threeTimes(step))
      await setStatus(database, mentorId, "paused")
      await sick.reached
      sick.open()
      const error = await eventually("the failure is kept with the event", () => lastErrorOf(mentorId))
      assert.match(error, lastError)
      await expectTold(database, mentorId, "PAUSE")
      assert.isAtLeast(proxy.seen(orchestratorPath, mentorId).length, 3)
    })
  }

  it("later changes of a mentor wait for the earlier one, and other mentors do not", async () => {
    const { database, proxy } = pipeline
    const [mentorId, other] = [await createMentor(database), await createMentor(database)]
    const held = gate(answerWith(500))
    proxy.next(orchestratorPath, mentorId, held.step, ...threeTimes(answerWith(500)))
    await setStatus(database, mentorId, "paused", "active", "paused")
    await held.reached
    await setStatus(database, other, "paused", "active")
    await expectTold(database, other, "PAUSE", "RESUME")
    const waiting = (await eventsOf(database, mentorId)).slice(1)
    assert.deepStrictEqual(
      waiting.map(({ attempts, status }) => ({ attempts, status })),
      waiting.map(() => ({ attempts: 0, status: "pending" }))
    )
    held.open()
    await expectTold(database, mentorId, "PAUSE", "RESUME", "PAUSE")
  })

  it("the event id goes from the outbox to the orchestrator as its Idempotency-Key, try after try", async () => {
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    proxy.next(orchestratorPath, mentorId, ...threeTimes(answerWith(503)))
    await setStatus(database, mentorId, "paused")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    const keys = proxy.seen(orchestratorPath, mentorId).map(({ headers }) => headers["idempotency-key"])
    assert.isAtLeast(keys.length, 4)
    assert.deepStrictEqual(new Set(keys), new Set([event?.event_id]))
  })
})
