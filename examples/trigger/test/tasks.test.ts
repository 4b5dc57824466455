import { configure } from "@trigger.dev/sdk"
import { randomUUID } from "node:crypto"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { join } from "node:path"
import { startStack, type Stack } from "../../../local/stack.ts"
import { startTrigger, type Trigger } from "../../../local/trigger/server.ts"
import type { Worker } from "../../../local/trigger/Worker.ts"
import { patientEnv, unhurried } from "../../../test/support/patience.ts"
import { type Database, eventually, makeQuick, openDatabase } from "../../../test/support/pipeline.ts"
import { loadWorker } from "../support/worker.ts"

const secretKey = "tr_prod_1"

interface Event {
  readonly event_id: string
  readonly status: string
  readonly receipt: { readonly runId?: string } | null
}

/** The whole way: UPDATE, outbox, handler, the stand-in for Trigger.dev, the registered tasks, the database. */
describe("with ORCHESTRATOR=trigger.dev", () => {
  let stack: Stack
  let database: Database
  let worker: Worker
  let trigger: Trigger
  let port: number

  const start = async (options: { worker?: Worker } = {}) => {
    trigger = await startTrigger({ secretKey, port, worker, retryPause: () => 5, ...options })
    configure({ baseURL: trigger.url, accessToken: secretKey })
  }

  beforeAll(async () => {
    worker = await loadWorker()
    await using first = await startTrigger({ secretKey })
    port = Number(new URL(first.url).port)
    stack = await startStack({
      pacing: "fast",
      migrations: [join(import.meta.dirname, "../supabase/migrations")],
      functionEnv: {
        ...patientEnv,
        ORCHESTRATOR: "trigger.dev",
        TRIGGER_API_URL: first.url,
        TRIGGER_SECRET_KEY: secretKey
      }
    })
    await unhurried(stack.databaseUrl)
    database = openDatabase(stack.databaseUrl)
    await makeQuick(database)
    process.env["SUPABASE_URL"] = stack.apiUrl
    process.env["SUPABASE_SECRET_KEY"] = stack.serviceKey
  })
  afterAll(async () => {
    await database?.[Symbol.asyncDispose]()
    await stack?.stop()
  })
  beforeEach(() => start())
  afterEach(() => trigger[Symbol.asyncDispose]())

  const mentorWith = async (coordinators: number): Promise<string> => {
    const [mentor] = await database.rows<{ id: string }>(
      "insert into public.peer_mentor_profiles (status) values ('active') returning id"
    )
    const id = mentor?.id ?? assert.fail("no mentor")
    for (let left = coordinators; left > 0; left--) await link(id)
    return id
  }
  const link = (mentor: string) =>
    database.rows(
      `with coordinator as (insert into public.coordinators (name) values ('Ana') returning id)
       insert into public.mentor_coordinators (mentor_id, coordinator_id) select $1, id from coordinator`,
      [mentor]
    )
  const become = (mentor: string, status: string) =>
    database.rows("update public.peer_mentor_profiles set status = $2 where id = $1", [mentor, status])
  const eventsOf = (mentor: string) =>
    database.rows<Event>("select event_id, status, receipt from outbox.events where key = $1 order by version", [
      mentor
    ])
  const notified = async (mentor: string) =>
    (
      await database.rows<{ transition: string }>(
        "select transition from public.notifications where mentor_id = $1 order by version",
        [mentor]
      )
    ).map(({ transition }) => transition)
  const lettersOf = (eventId: string) =>
    database.rows<{ last_error: string; resolution: string | null }>(
      "select last_error, resolution from outbox.dead_letters where event_id = $1 order by created_at",
      [eventId]
    )
  const redrive = (eventId: string) => database.rows("select outbox.redrive($1)", [eventId])
  const eventually_ = (mentor: string, status: string, count = 1) =>
    eventually(`${count} events ${status}`, async () => {
      const events = await eventsOf(mentor)
      if (events.length === count && events.every((event) => event.status === status)) return events
      throw new Error(JSON.stringify(events))
    })
  const only = (events: ReadonlyArray<Event>): Event => events[0] ?? assert.fail("no event")

  it("a pause is a run of notify-coordinators, and its receipt is the run", async () => {
    const mentor = await mentorWith(2)
    await become(mentor, "paused")
    const event = only(await eventually_(mentor, "completed"))
    await trigger.idle()
    const run = trigger.runs.get(event.receipt?.runId ?? "") ?? assert.fail("no run")
    assert.deepInclude(run, {
      task: "notify-coordinators",
      status: "COMPLETED",
      idempotencyKey: event.event_id,
      concurrencyKey: mentor,
      tags: [`event:${event.event_id}`]
    })
    assert.deepStrictEqual(await notified(mentor), ["PAUSE", "PAUSE"])
  })

  it("a lost answer and a rate limit make no second run", async () => {
    const mentor = await mentorWith(1)
    trigger.faults.push("accepts, then hangs up", { rateLimited: 0.01 })
    await become(mentor, "paused")
    await eventually_(mentor, "completed")
    await trigger.idle()
    assert.lengthOf(trigger.runs.all(), 1)
    assert.deepStrictEqual(await notified(mentor), ["PAUSE"])
  })

  it("while Trigger.dev is down events wait, and go out in order when it is back", async () => {
    const mentor = await mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    await become(mentor, "paused")
    await become(mentor, "active")
    await start()
    await eventually_(mentor, "completed", 2)
    await trigger.idle()
    assert.deepStrictEqual(await notified(mentor), ["PAUSE", "RESUME"])
  })

  it("a run that fails is a dead letter with its error; its redrive is another run", async () => {
    const mentor = await mentorWith(0)
    await become(mentor, "paused")
    const event = only(await eventually_(mentor, "failed"))
    assert.match((await lettersOf(event.event_id))[0]?.last_error ?? "", /nobody was notified/)
    await link(mentor)
    await redrive(event.event_id)
    const again = only(await eventually_(mentor, "completed"))
    await trigger.idle()
    assert.deepStrictEqual(
      trigger.runs.all().map(({ attempts, idempotencyKey, status }) => ({ attempts, idempotencyKey, status })),
      [
        { attempts: 1, idempotencyKey: event.event_id, status: "FAILED" },
        { attempts: 1, idempotencyKey: `${event.event_id}/1`, status: "COMPLETED" }
      ]
    )
    assert.strictEqual(again.receipt?.runId, trigger.runs.all()[1]?.id)
    assert.deepStrictEqual(await notified(mentor), ["PAUSE"])
  })

  it("a run is tried again while the database is away, and fails at last with a dead letter", async () => {
    const mentor = await mentorWith(1)
    process.env["SUPABASE_SECRET_KEY"] = "not the key"
    await become(mentor, "paused")
    const run = await eventually("the run has failed", () => {
      const [first] = trigger.runs.all()
      if (first?.status !== "FAILED") throw new Error(JSON.stringify(first))
      return first
    })
    assert.strictEqual(run.attempts, 5)
    // Its onFailure could not reach the database either.
    process.env["SUPABASE_SECRET_KEY"] = stack.serviceKey
    const event = only(await eventually_(mentor, "completed"))
    trigger.tick(new Date("2026-11-28T07:04:59Z"), new Date("2026-11-28T07:05:00Z"))
    await trigger.idle()
    assert.strictEqual(only(await eventsOf(mentor)).status, "failed")
    assert.match((await lettersOf(event.event_id))[0]?.last_error ?? "", /run_\w+ ended as FAILED/)
  })

  it("a cancelled run is dead-lettered by reconcile-runs, once, and leaves a redriven event alone", async () => {
    const mentor = await mentorWith(1)
    await trigger[Symbol.asyncDispose]()
    const stuck: Worker = {
      tasks: worker.tasks,
      execute: (run, signal) =>
        run.task === "notify-coordinators" ? new Promise(() => {}) : worker.execute(run, signal)
    }
    await start({ worker: stuck })
    await become(mentor, "paused")
    const event = only(await eventually_(mentor, "completed"))
    const runId = event.receipt?.runId ?? assert.fail("no run")
    await fetch(`${trigger.url}/api/v2/runs/${runId}/cancel`, {
      method: "POST",
      headers: { authorization: `Bearer ${secretKey}` }
    })
    const reconcile = async () => {
      trigger.tick(new Date("2026-11-28T07:04:59Z"), new Date("2026-11-28T07:05:00Z"))
      return eventually("it has run", () => {
        const last = trigger.runs.all().findLast(({ task }) => task === "reconcile-runs")
        if (last?.status !== "COMPLETED") throw new Error(JSON.stringify(last))
        return JSON.parse(String(last.output))
      })
    }
    assert.deepStrictEqual(await reconcile(), { failed: 1 })
    assert.deepStrictEqual(await reconcile(), { already_failed: 1 })
    assert.match((await lettersOf(event.event_id))[0]?.last_error ?? "", /ended as CANCELED/)
    await redrive(event.event_id)
    await eventually_(mentor, "completed")
    assert.deepStrictEqual(await reconcile(), { stale: 1 })
    assert.strictEqual(only(await eventsOf(mentor)).status, "completed")
  })

  it("an event that is delivered twice is one run", async () => {
    const event = { eventId: randomUUID(), mentorId: randomUUID() }
    const post = () =>
      fetch(`${trigger.url}/api/v1/tasks/unknown-task/trigger`, {
        method: "POST",
        headers: { authorization: `Bearer ${secretKey}`, "content-type": "application/json" },
        body: JSON.stringify({ payload: event, options: { idempotencyKey: event.eventId } })
      }).then((response) => response.json())
    const [first, second] = [await post(), await post()]
    assert.deepStrictEqual([first.isCached, second.isCached, first.id === second.id], [false, true, true])
  })
})
