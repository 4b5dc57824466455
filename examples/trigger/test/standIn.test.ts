import { ApiError, configure, runs, tasks, idempotencyKeys } from "@trigger.dev/sdk"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { startTrigger, type Trigger } from "../../../local/trigger/server.ts"
import type { AttemptResult, Worker } from "../../../local/trigger/Worker.ts"

const secretKey = "tr_prod_1"
const never: Worker["execute"] = () => new Promise(() => {})
const retry = { maxAttempts: 3, minTimeoutInMs: 1, maxTimeoutInMs: 5, factor: 1, randomize: false }

/** The stand-in's answers, read by the stock SDK, whose schemas reject a wrong shape. */
describe("the stand-in for Trigger.dev, called by the stock SDK,", () => {
  let trigger: Trigger
  const use = async (execute: Worker["execute"] = never) => {
    await trigger?.[Symbol.asyncDispose]()
    trigger = await startTrigger({ secretKey, worker: { tasks: [{ id: "a-task" }], execute } })
    configure({ baseURL: trigger.url, accessToken: secretKey, requestOptions: { retry } })
  }
  beforeEach(() => use())
  afterEach(() => trigger[Symbol.asyncDispose]())

  it("triggers a run, which can be retrieved", async () => {
    const handle = await tasks.trigger("a-task", { a: 1 }, { tags: ["event:1"], concurrencyKey: "m" })
    const run = await runs.retrieve(handle.id)
    assert.deepInclude(run, { id: handle.id, status: "EXECUTING", taskIdentifier: "a-task", attemptCount: 1 })
    assert.deepStrictEqual([run.payload, run.tags], [{ a: 1 }, ["event:1"]])
  })

  it("triggers once per task and key", async () => {
    const first = await tasks.trigger("a-task", {}, { idempotencyKey: "k" })
    const again = await tasks.trigger("a-task", {}, { idempotencyKey: "k" })
    const other = await tasks.trigger("a-task", {}, { idempotencyKey: "other" })
    assert.strictEqual(again.id, first.id)
    assert.notStrictEqual(other.id, first.id)
    assert.lengthOf(trigger.runs.all(), 2)
  })

  it.each<{ end: string; execute: Worker["execute"]; keeps: boolean }>([
    { end: "succeeded", execute: async (): Promise<AttemptResult> => ({ ok: true, output: 1 }), keeps: true },
    { end: "failed", execute: async () => ({ ok: false, error: { message: "no" } }), keeps: false }
  ])("a run that $end keeps its key: $keeps", async ({ execute, keeps }) => {
    await use(execute)
    const first = await tasks.trigger("a-task", {}, { idempotencyKey: "k" })
    await trigger.idle()
    assert.strictEqual((await tasks.trigger("a-task", {}, { idempotencyKey: "k" })).id === first.id, keeps)
  })

  it("a cancelled run keeps its key until the key is reset", async () => {
    const key = await idempotencyKeys.create("k", { scope: "global" })
    const first = await tasks.trigger("a-task", {}, { idempotencyKey: key })
    await runs.cancel(first.id)
    assert.strictEqual((await runs.retrieve(first.id)).status, "CANCELED")
    assert.strictEqual((await tasks.trigger("a-task", {}, { idempotencyKey: key })).id, first.id)
    await idempotencyKeys.reset("a-task", key)
    assert.notStrictEqual((await tasks.trigger("a-task", {}, { idempotencyKey: key })).id, first.id)
  })

  it("lists runs by status, task and tag, the newest first, page by page", async () => {
    const ids: Array<string> = []
    for (const tag of ["a", "b", "c"]) ids.push((await tasks.trigger("a-task", {}, { tags: [tag] })).id)
    await runs.cancel(ids[1] ?? "")
    const idsOf = async (query: Parameters<typeof runs.list>[0]) => {
      const found: Array<string> = []
      for await (const run of runs.list(query)) found.push(run.id)
      return found
    }
    assert.deepStrictEqual(await idsOf({ limit: 1 }), ids.toReversed())
    assert.deepStrictEqual(await idsOf({ status: ["CANCELED", "CRASHED"] }), [ids[1]])
    assert.deepStrictEqual(await idsOf({ tag: "c", taskIdentifier: "a-task" }), [ids[2]])
    assert.deepStrictEqual(await idsOf({ taskIdentifier: "other" }), [])
    assert.deepStrictEqual(await idsOf({ from: Date.now() + 1000 }), [])
  })

  it("keeps runs of an undeployed task until a version has it", async () => {
    const { id } = await tasks.trigger("not-deployed", {})
    assert.strictEqual((await runs.retrieve(id)).status, "PENDING_VERSION")
  })

  it("refuses a wrong key, and says what it lacks", async () => {
    configure({ baseURL: trigger.url, accessToken: "tr_prod_2", requestOptions: { retry } })
    const error = await tasks.trigger("a-task", {}).catch((cause: unknown) => cause)
    assert.instanceOf(error, ApiError)
    assert.strictEqual(error.status, 401)
    configure({ baseURL: trigger.url, accessToken: secretKey, requestOptions: { retry } })
    const missing = await runs.retrieve("run_none").catch((cause: unknown) => cause)
    assert.strictEqual(missing instanceof ApiError && missing.status, 404)
  })

  it("gets retries after a rate limit, a 500 and a lost answer, and makes one run per key", async () => {
    trigger.faults.push({ rateLimited: 0.01 }, { status: 500 })
    await tasks.trigger("a-task", {}, { idempotencyKey: "k" })
    trigger.faults.push("accepts, then hangs up", "hangs up")
    await tasks.trigger("a-task", {}, { idempotencyKey: "l" })
    assert.lengthOf(trigger.requests, 6)
    assert.lengthOf(trigger.runs.all(), 2)
  })
})
