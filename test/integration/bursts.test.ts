import { assert, afterAll, beforeAll, describe, it } from "@effect/vitest"
import {
  claimPath,
  createMentors,
  eventsOf,
  eventually,
  expectTold,
  makePatient,
  makeQuick,
  orchestratorPath,
  type Pipeline,
  redrive,
  settlePath,
  startPipeline
} from "../support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, type Step } from "../support/proxy.ts"

let pipeline: Pipeline

beforeAll(async () => {
  pipeline = await startPipeline({ functionEnv: { ORCHESTRATOR_RETRIES: "0", CIRCUIT_OPEN_MS: "1000" } })
  await makeQuick(pipeline.database)
})
afterAll(() => pipeline?.[Symbol.asyncDispose]())

const setAll = (mentorIds: ReadonlyArray<string>, status: string) =>
  pipeline.database.rows("update public.peer_mentor_profiles set status = $2 where id = any ($1)", [mentorIds, status])

const expectAllTold = async (mentorIds: ReadonlyArray<string>, ...transitions: ReadonlyArray<string>) => {
  const expected = mentorIds.length * transitions.length
  await eventually(`${expected} events completed`, async () => {
    const [row] = await pipeline.database.rows<{ completed: number }>(
      `select count(*)::int as completed from outbox.events
       where key = any ($1) and status = 'completed'`,
      [mentorIds]
    )
    if (row?.completed === expected) return true
    throw new Error(`${row?.completed} are`)
  })
  await Promise.all(mentorIds.map((mentorId) => expectTold(pipeline.database, mentorId, ...transitions)))
}

/** How often the events of these mentors were sent, and in how many requests. */
const deliveriesOf = async (mentorIds: ReadonlyArray<string>) => {
  const [row] = await pipeline.database.rows<{ deliveries: number; requests: number }>(
    `select count(*)::int as deliveries, count(distinct a.delivery_id)::int as requests
     from outbox.attempts a
     join outbox.events q on q.event_id = a.event_id
     where q.key = any ($1)`,
    [mentorIds]
  )
  return row
}

describe("a burst", () => {
  it("of 500 mentors in one UPDATE needs few requests, and each is notified once", async () => {
    const { database, proxy } = pipeline
    const mentorIds = await createMentors(database, 500)
    const paths = [claimPath, orchestratorPath, settlePath]
    const callsBefore = paths.map((path) => proxy.seen(path).length)
    await makePatient(database)
    await setAll(mentorIds, "paused")
    await expectAllTold(mentorIds, "PAUSE")
    const [claims = 0, calls = 0, settlements = 0] = paths.map(
      (path, index) => proxy.seen(path).length - (callsBefore[index] ?? 0)
    )
    // 50 events came with the two requests of the commit. The other 450 were handed over by settlements, 100 at most at a
    // time: 2 claims and 7 calls, more on a busy machine, where a chain of settlements ends early.
    assert.isAtLeast(calls, 7)
    for (const count of [claims, calls, settlements]) assert.isBelow(count, 100)
    assert.include(await deliveriesOf(mentorIds), { deliveries: 500 })
    await makeQuick(database)
  })

  it("of more mentors than the writer hands over is notified once each, without the sweep", async () => {
    const { database } = pipeline
    await database.rows("select cron.unschedule('outbox-sweep')")
    await database.rows(
      "update outbox.settings set events_per_request = 10, lease_seconds = 60, acknowledge_timeout_seconds = 60"
    )
    const mentorIds = await createMentors(database, 200)
    await setAll(mentorIds, "paused")
    await expectAllTold(mentorIds, "PAUSE")
    assert.strictEqual((await deliveriesOf(mentorIds))?.deliveries, 200)
    await database.rows("update outbox.settings set events_per_request = 100")
    await makeQuick(database)
  })

  it("that flips three times in one transaction is notified in the order of the versions", async () => {
    const { database } = pipeline
    const mentorIds = await createMentors(database, 60)
    const statement = (to: string) =>
      `update public.peer_mentor_profiles set status = '${to}' where id in ('${mentorIds.join("', '")}')`
    await database.transaction("commit", statement("paused"), statement("active"), statement("paused"))
    await expectAllTold(mentorIds, "PAUSE", "RESUME", "PAUSE")
  })

  it("whose handler dies while it holds the claims is notified once", async () => {
    const { database, proxy, stack } = pipeline
    const mentorIds = await createMentors(database, 20)
    const held = gate()
    proxy.next(orchestratorPath, mentorIds[0] ?? "", held.step)
    await setAll(mentorIds, "paused")
    await held.reached
    await stack.services.handler.kill("SIGKILL")
    held.open()
    await expectAllTold(mentorIds, "PAUSE")
  })

  const losses: ReadonlyArray<readonly [name: string, path: string, step: Step]> = [
    ["the answer to its claims", claimPath, loseReply],
    ["its call of the orchestrator", orchestratorPath, hangUp],
    ["the orchestrator's answer", orchestratorPath, loseReply],
    ["the orchestrator's patience, with a 503,", orchestratorPath, answerWith(503)],
    ["its settlement", settlePath, hangUp],
    ["the answer to its settlement", settlePath, loseReply]
  ]
  it.concurrent.for(losses)("that loses %s is still notified once", async ([, path, step]) => {
    const { database, proxy } = pipeline
    const mentorIds = await createMentors(database, 20)
    // A settlement names no mentor: the event is there to be looked up when its claim comes by.
    const held = gate(path === claimPath ? step : undefined)
    proxy.next(claimPath, mentorIds[0] ?? "", held.step)
    await setAll(mentorIds, "paused")
    await held.reached
    const [event] = await eventsOf(database, mentorIds[0] ?? "")
    const eventId = event?.event_id ?? ""
    if (path !== claimPath) proxy.next(path, eventId, step, step, step)
    held.open()
    await eventually("a second try", () => proxy.seen(path, eventId)[1])
    await expectAllTold(mentorIds, "PAUSE")
  })
})

const failuresOf = async (mentorId: string): Promise<number> => {
  const [row] = await pipeline.database.rows<{ failures: number }>(
    "select failures from outbox.events where key = $1",
    [mentorId]
  )
  return row?.failures ?? 0
}

/**
 * Waits until the event of this mentor has failed so often. As soon as pg_net has kept an answer, the sweep reads it, and
 * not when its patience ends.
 */
const failTimes = (mentorId: string, times: number) =>
  eventually(`${times} failures`, async () => {
    if ((await failuresOf(mentorId)) >= times) return true
    await pipeline.database.rows(
      `update outbox.events q set next_attempt_at = now()
       from outbox.deliveries d
       join net._http_response r on r.id = d.request_id
       where q.key = $1 and q.status = 'pending' and d.id = q.delivery_id`,
      [mentorId]
    )
    return undefined
  })

const tellAnother = async (): Promise<void> => {
  const mentorIds = await createMentors(pipeline.database, 1)
  await setAll(mentorIds, "paused")
  await expectAllTold(mentorIds, "PAUSE")
}

/**
 * Pauses mentors in one transaction, which ends with a statement about what it queued for the first of them. It posts
 * nothing: the sweep sends them, as they are then.
 */
const pauseAndSpoil = async (spoil: string) => {
  const { database } = pipeline
  await makePatient(database)
  await database.rows("update outbox.settings set max_attempts = 2")
  const [bad = "", ...others] = await createMentors(database, 10)
  await database.transaction(
    "commit",
    "set local outbox.statements = '|||||'",
    `update public.peer_mentor_profiles set status = 'paused' where id in ('${[bad, ...others].join("', '")}')`,
    `${spoil} where key = '${bad}'`
  )
  await expectAllTold(others, "PAUSE")
  assert.deepStrictEqual(await deliveriesOf(others), { deliveries: 9, requests: 1 })
  return { bad, others }
}

const deadLetterOf = async (bad: string, others: ReadonlyArray<string>) => {
  const { database } = pipeline
  const failed = await eventually("a dead letter of the bad one", async () =>
    (await eventsOf(database, bad)).find(({ status }) => status === "failed")
  )
  const told = await database.rows("select from public.notifications where mentor_id = $1", [bad])
  assert.lengthOf(told, 0)
  const [letter] = await database.rows<{ reason: string }>(
    "select reason from outbox.dead_letters where event_id = $1 and resolution is null",
    [failed.event_id]
  )
  const { deliveries = 0, requests = 0 } = (await deliveriesOf([bad, ...others])) ?? {}
  assert.strictEqual(deliveries - requests, 9)
  return { eventId: failed.event_id, reason: letter?.reason, lastError: failed.last_error ?? "" }
}

/** What the handler answers with 400 or 422 each time, while it completes others. */
const giveUp = async (spoil: string) => {
  const { bad, others } = await pauseAndSpoil(spoil)
  await failTimes(bad, 1)
  await tellAnother()
  await failTimes(bad, 2)
  return deadLetterOf(bad, others)
}

describe("one bad event in a request of ten is a dead letter, and the others are notified once:", () => {
  it("one that the handler cannot read", async () => {
    const { lastError, reason } = await giveUp(`update outbox.events set old_record = old_record - 'status'`)
    assert.strictEqual(reason, "exhausted")
    assert.match(lastError, /400.*invalid_payload/)
  })

  it("one whose record names another mentor than the queue", async () => {
    const { lastError, reason } = await giveUp(
      `update outbox.events set record = record || '{"id": "a1c9f0de-7b52-4e3f-8d46-0c9b1e2a3f47"}'`
    )
    assert.strictEqual(reason, "exhausted")
    assert.match(lastError, /422.*payload_mismatch/)
  })

  it("one that the orchestrator refuses, and that is notified once when it is redriven", async () => {
    const { database } = pipeline
    const { bad, others } = await pauseAndSpoil(
      `insert into outbox.receipts (event_id, fingerprint, receipt)
       select event_id, 'of another event', '{}' from outbox.events`
    )
    const { eventId, lastError, reason } = await deadLetterOf(bad, others)
    assert.strictEqual(reason, "refused")
    assert.match(lastError, /^permanent: .*status 422/)
    await database.rows("delete from outbox.receipts where event_id = $1", [eventId])
    assert.strictEqual(await redrive(database, eventId), "redriven")
    await expectTold(database, bad, "PAUSE")
  })
})
