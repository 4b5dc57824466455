import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import {
  createMentor,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
  makeQuick,
  orchestratorPath,
  type Pipeline,
  redrive,
  setStatus,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, saysNothing, type Step } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({
    functionEnv: {
      ORCHESTRATOR_TIMEOUT_MS: "3000",
      ORCHESTRATOR_BUDGET_MS: "10000",
      ORCHESTRATOR_RETRIES: "1",
      // A delivery that went on would take events of several mentors along.
      CONTINUE_MS: "0",
      // It would open for all of them at once.
      CIRCUIT_FAILURES: "1000"
    }
  })
  await makeQuick(pipeline.database)
  await makePatient(pipeline.database)
  // Each travels alone, so that one's illness is not another's.
  await pipeline.database.rows("update outbox.settings set events_per_request = 1")
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

// More than the handler's own two tries, so that the outbox has to send the event again.
const threeTimes = (step: Step) => [step, step, step]

const lastErrorOf = async (mentorId: string): Promise<string | undefined> =>
  (await eventsOf(pipeline.database, mentorId))[0]?.last_error ?? undefined

interface DeadLetter {
  readonly event_id: string
  readonly reason: string
  readonly last_error: string
  readonly attempts: number
  readonly event_attempts: number
}

const deadLetterOf = async (mentorId: string): Promise<DeadLetter | undefined> => {
  const [open] = await pipeline.database.rows<DeadLetter>(
    `select d.event_id, d.reason, d.last_error, d.attempts, q.attempts as event_attempts
     from outbox.dead_letters d
     join outbox.events q on q.dead_letter_id = d.id
     where d.key = $1 and d.resolution is null and q.status = 'failed'`,
    [mentorId]
  )
  return open
}

// Concurrent, because they mostly wait, each for the sweep.
describe.concurrent("an orchestrator that fails", () => {
  const illnesses: ReadonlyArray<readonly [name: string, step: Step, lastError: RegExp]> = [
    ["answers 500", answerWith(500), /^transient: .*status 500/],
    ["answers 503 with Retry-After", answerWith(503, { "retry-after": "1" }), /^transient: .*status 503/],
    ["answers 429", answerWith(429), /^transient: .*status 429/],
    ["answers 546, the platform's own limit", answerWith(546), /^transient: .*status 546/],
    ["hangs", saysNothing, /^transient: .*no answer within/],
    ["hangs up", hangUp, /^transient: .*connection/],
    ["accepts and loses its reply", loseReply, /^transient: .*connection/],
    ["answers 200 without a receipt", answerWith(200, {}, "ok"), /^transient: .*receipt/]
  ]

  for (const [name, step, lastError] of illnesses) {
    it(`one that ${name} ends in exactly one notification per coordinator when it recovers`, async () => {
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

  const refusals: ReadonlyArray<readonly [name: string, step: Step, lastError: RegExp]> = [
    ["answers 302 to somewhere else", answerWith(302, { location: "http://127.0.0.1:9/" }), /^permanent: .*status 302/],
    ["refuses with 400", answerWith(400), /^permanent: .*status 400/]
  ]

  for (const [name, step, lastError] of refusals) {
    it(`one that ${name} makes a dead letter at once, which notifies once when it is redriven`, async () => {
      const { database, proxy } = pipeline
      const mentorId = await createMentor(database)
      proxy.next(orchestratorPath, mentorId, step)
      await setStatus(database, mentorId, "paused")
      const failed = await eventually("a dead letter", () => deadLetterOf(mentorId))
      assert.deepInclude(failed, { reason: "refused", attempts: 1, event_attempts: 1 })
      assert.match(failed.last_error, lastError)
      assert.lengthOf(proxy.seen(orchestratorPath, mentorId), 1, "a refusal is not tried again")
      assert.strictEqual(await redrive(database, failed.event_id), "redriven")
      await expectTold(database, mentorId, "PAUSE")
      assert.isUndefined(await deadLetterOf(mentorId), "nothing is left open")
    })
  }

  it("a dead letter does not hold up later changes, which supersede it unless it is forced", async () => {
    const { database, proxy } = pipeline
    const mentorId = await createMentor(database)
    proxy.next(orchestratorPath, mentorId, answerWith(400))
    await setStatus(database, mentorId, "paused", "active")
    const resumed = await eventually("the later change completed", async () =>
      (await eventsOf(database, mentorId)).find(({ status, version }) => version === 2 && status === "completed")
    )
    assert.lengthOf(resumed.receipt?.notificationIds ?? [], 2)
    const failed = await eventually("a dead letter", () => deadLetterOf(mentorId))
    assert.strictEqual(await redrive(database, failed.event_id), "superseded")
    assert.strictEqual(await redrive(database, failed.event_id, true), "redriven")
    const paused = await eventually("the forced one completed", async () =>
      (await eventsOf(database, mentorId)).find(({ status, version }) => version === 1 && status === "completed")
    )
    assert.lengthOf(paused.receipt?.notificationIds ?? [], 2)
    const told = await database.rows("select from public.notifications where mentor_id = $1", [mentorId])
    assert.lengthOf(told, 4)
  })

  it("later changes of a mentor wait for the earlier one, and other mentors do not wait", async () => {
    const { database, proxy } = pipeline
    const [mentorId, other] = [await createMentor(database), await createMentor(database)]
    const [sick, well] = [gate(answerWith(500)), gate()]
    const step: Step = (exchange) => (isWell ? well : sick).step(exchange)
    let isWell = false
    sick.open()
    well.open()
    proxy.next(orchestratorPath, mentorId, ...Array.from({ length: 1_000 }, () => step))
    await setStatus(database, mentorId, "paused", "active", "paused")
    await sick.reached
    await setStatus(database, other, "paused", "active")
    await expectTold(database, other, "PAUSE", "RESUME")
    const waiting = (await eventsOf(database, mentorId)).slice(1)
    assert.deepStrictEqual(
      waiting.map(({ claims, status }) => ({ claims, status })),
      waiting.map(() => ({ claims: 0, status: "pending" }))
    )
    isWell = true
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

describe("an orchestrator that fails for all attempts", () => {
  it("leaves a dead letter; redriven, it has as many attempts again, and is notified exactly once", async () => {
    const { database, proxy } = pipeline
    await database.rows("update outbox.settings set max_attempts = 2, retry_for_seconds = 0")
    const mentorId = await createMentor(database)
    // Two deliveries, of two tries each; then one delivery of the redriven event.
    proxy.next(orchestratorPath, mentorId, ...threeTimes(answerWith(500)), ...threeTimes(answerWith(500)))
    await setStatus(database, mentorId, "paused")
    const failed = await eventually("a dead letter", () => deadLetterOf(mentorId))
    assert.deepInclude(failed, { reason: "exhausted", attempts: 2 })
    assert.match(failed.last_error, /^transient: .*status 500/)
    assert.lengthOf(proxy.seen(orchestratorPath, mentorId), 4)
    assert.strictEqual(await redrive(database, failed.event_id), "redriven")
    const [event] = await expectTold(database, mentorId, "PAUSE")
    assert.strictEqual(event?.attempts, 4)
  })
})
