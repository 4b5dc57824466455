import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import type { Trigger } from "../../../local/trigger/server.ts"
import type { Worker } from "../../../local/trigger/Worker.ts"
import { eventually } from "../../../test/support/pipeline.ts"
import { reconcile, secretKey, startWorld, type World } from "./world.ts"

/** The whole path: UPDATE, outbox, handler, the stand-in for Trigger.dev, the registered tasks, the database. */
describe("with ORCHESTRATOR=trigger.dev", () => {
  let world: World
  let trigger: Trigger

  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    trigger = await world.startTrigger()
  })
  afterEach(() => trigger[Symbol.asyncDispose]())

  it("a pause is a run of notify-coordinators, and its receipt is the run", async () => {
    const mentor = await world.mentorWith(2)
    await world.become(mentor, "paused")
    const event = await world.settled(mentor, "completed")
    await trigger.idle()
    const run = trigger.runs.get(event.receipt?.runId ?? "") ?? assert.fail("no run")
    assert.deepInclude(run, {
      task: "notify-coordinators",
      status: "COMPLETED",
      idempotencyKey: event.event_id,
      concurrencyKey: mentor,
      tags: [`event:${event.event_id}`]
    })
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE", "PAUSE"])
  })

  it("a lost answer and a rate limit make no second run", async () => {
    const mentor = await world.mentorWith(1)
    trigger.faults.push("accepts, then hangs up", { rateLimited: 0.01 })
    await world.become(mentor, "paused")
    await world.settled(mentor, "completed")
    await trigger.idle()
    assert.lengthOf(trigger.runs.all(), 1)
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE"])
  })

  it("events wait while Trigger.dev is down, and are sent in order when it is back", async () => {
    const mentor = await world.mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    await world.become(mentor, "paused")
    await world.become(mentor, "active")
    trigger = await world.startTrigger()
    await world.settled(mentor, "completed", 2)
    await trigger.idle()
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE", "RESUME"])
  })

  it("a run that fails is a dead letter with its error; its redrive is another run", async () => {
    const mentor = await world.mentorWith(0)
    await world.become(mentor, "paused")
    const event = await world.settled(mentor, "failed")
    assert.match((await world.lettersOf(event.event_id))[0] ?? "", /nobody was notified/)
    await world.link(mentor)
    await world.redrive(event.event_id)
    const again = await world.settled(mentor, "completed")
    await trigger.idle()
    assert.deepStrictEqual(
      trigger.runs.all().map(({ attempts, idempotencyKey, status }) => ({ attempts, idempotencyKey, status })),
      [
        { attempts: 1, idempotencyKey: event.event_id, status: "FAILED" },
        { attempts: 1, idempotencyKey: `${event.event_id}/1`, status: "COMPLETED" }
      ]
    )
    assert.strictEqual(again.receipt?.runId, trigger.runs.all()[1]?.id)
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE"])
  })

  it("a run is retried while the database is down, and ends as a dead letter", async () => {
    const mentor = await world.mentorWith(1)
    process.env["SUPABASE_SECRET_KEY"] = "not the key"
    await world.become(mentor, "paused")
    const run = await eventually("the run has failed", () => {
      const [first] = trigger.runs.all()
      if (first?.status !== "FAILED") throw new Error(JSON.stringify(first))
      return first
    })
    assert.strictEqual(run.attempts, 5)
    // Its onFailure could not reach the database either.
    process.env["SUPABASE_SECRET_KEY"] = world.stack.serviceKey
    const event = await world.settled(mentor, "completed")
    assert.deepStrictEqual(await reconcile(trigger), { failed: 1 })
    await world.settled(mentor, "failed")
    assert.match((await world.lettersOf(event.event_id))[0] ?? "", /run_\w+ ended as FAILED/)
  })

  it("a cancelled run is dead-lettered by reconcile-runs, once, and leaves a redriven event alone", async () => {
    const mentor = await world.mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    const stuck: Worker = {
      tasks: world.worker.tasks,
      execute: (run, signal) =>
        run.task === "notify-coordinators" ? new Promise(() => {}) : world.worker.execute(run, signal)
    }
    trigger = await world.startTrigger({ worker: stuck })
    await world.become(mentor, "paused")
    const event = await world.settled(mentor, "completed")
    const runId = event.receipt?.runId ?? assert.fail("no run")
    await fetch(`${trigger.url}/api/v2/runs/${runId}/cancel`, {
      method: "POST",
      headers: { authorization: `Bearer ${secretKey}` }
    })
    assert.deepStrictEqual(await reconcile(trigger), { failed: 1 })
    assert.deepStrictEqual(await reconcile(trigger), { already_failed: 1 })
    assert.match((await world.lettersOf(event.event_id))[0] ?? "", /ended as CANCELED/)
    await world.redrive(event.event_id)
    await world.settled(mentor, "completed")
    assert.deepStrictEqual(await reconcile(trigger), { stale: 1 })
    await world.settled(mentor, "completed")
  })

  it("a run that a later one of its mentor overtook is a dead letter, which a person may force", async () => {
    const mentor = await world.mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    let isFirst = true
    const late: Worker = {
      tasks: world.worker.tasks,
      execute: async (run, signal) => {
        if (!isFirst) return world.worker.execute(run, signal)
        isFirst = false
        return { ok: false, error: { message: "not yet" }, retryInMilliseconds: 1_000 }
      }
    }
    trigger = await world.startTrigger({ worker: late, retryPause: () => 1_000 })
    await world.become(mentor, "paused")
    const { event_id } = await world.settled(mentor, "completed")
    await world.become(mentor, "active")
    await trigger.idle()
    assert.deepStrictEqual(await world.notified(mentor), ["RESUME"])
    assert.match((await world.lettersOf(event_id))[0] ?? "", /a later event of the mentor was handled first/)
    await world.redrive(event_id, true)
    await world.settled(mentor, "completed", 2)
    await trigger.idle()
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE", "RESUME"])
  })

  it("no two runs of one mentor are executed at once", async () => {
    const mentor = await world.mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    const [now, most]: [Array<string>, Array<number>] = [[], []]
    const counted: Worker = {
      tasks: world.worker.tasks,
      execute: async (run, signal) => {
        now.push(run.id)
        most.push(now.length)
        const result = await world.worker.execute(run, signal)
        now.splice(now.indexOf(run.id), 1)
        return result
      }
    }
    trigger = await world.startTrigger({ worker: counted })
    for (const status of ["paused", "active", "paused", "active"]) await world.become(mentor, status)
    await world.settled(mentor, "completed", 4)
    await trigger.idle()
    assert.deepStrictEqual(most, [1, 1, 1, 1])
    assert.deepStrictEqual(await world.notified(mentor), ["PAUSE", "RESUME", "PAUSE", "RESUME"])
  })
})
