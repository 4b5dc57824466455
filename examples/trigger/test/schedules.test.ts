import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import type { Trigger } from "../../../local/trigger/server.ts"
import { type Edge, startEdge } from "./edge.ts"
import { startWorld, type World } from "./world.ts"

describe("the schedules", () => {
  let world: World
  let trigger: Trigger
  let edge: Edge

  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())
  beforeEach(async () => {
    edge = await startEdge(world.stack.apiUrl)
    process.env["SUPABASE_URL"] = edge.url
    process.env["INVENTORY_MAIL_TO"] = "stock@example.test"
    trigger = await world.startTrigger()
  })
  afterEach(async () => {
    delete process.env["INVENTORY_MAIL_TO"]
    await trigger[Symbol.asyncDispose]()
    await edge[Symbol.asyncDispose]()
  })

  const at = (time: string) => {
    const until = new Date(`2026-11-28T${time}:00Z`)
    return trigger.tick(new Date(until.getTime() - 1), until)
  }

  it("are in the manifests: the inventory at 08:00, runs every five minutes", () => {
    assert.deepStrictEqual(at("08:01"), [])
    assert.deepStrictEqual(at("07:55"), ["reconcile-runs"])
    assert.deepStrictEqual(at("08:00"), ["daily-inventory-check", "reconcile-runs"])
    assert.deepStrictEqual(at("20:00"), ["reconcile-runs"])
  })

  it("the inventory check mails low items once a day, and sends nothing if there are none", async () => {
    const check = async () => {
      at("08:00")
      await trigger.idle()
      const run = trigger.runs.all().findLast(({ task }) => task === "daily-inventory-check")
      assert.strictEqual(run?.status, "COMPLETED")
      return run?.output
    }
    assert.deepStrictEqual(await check(), { low: [] })
    assert.isEmpty(edge.functionCalls())
    await world.database.rows(
      `insert into public.inventory_items (name, quantity, reorder_threshold)
       values ('Cup & saucer', 1, 5), ('Mug', 5, 5), ('Plate', 0.1, 9007199254740993)`
    )
    const low = ["Cup & saucer: 1 left, reorder below 5", "Plate: 0.1 left, reorder below 9007199254740993"]
    assert.deepStrictEqual(await check(), { low })
    assert.deepStrictEqual(await check(), { low })
    assert.deepStrictEqual(
      edge.functionCalls().map(({ body, key }) => [key, body]),
      [
        [
          "daily-inventory-check/2026-11-28",
          {
            to: "stock@example.test",
            subject: "Low stock on 2026-11-28",
            text: low.join("\n"),
            html: `<pre>${low.join("\n").replace("&", "&amp;")}</pre>`
          }
        ]
      ]
    )
  })
})
