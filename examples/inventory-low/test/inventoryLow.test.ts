import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { verdict } from "../../../test/support/deliveries.ts"
import { redrive } from "../../../test/support/pipeline.ts"
import { answerWith, gate, hangUp, loseReply, replyWith } from "../../../test/support/proxy.ts"
import { startExample, type World } from "../../support/world.ts"

const effectPath = "/rpc/reorder_item"
const settlePath = "/rpc/outbox_settle"

let world: World
let supplierId: string

beforeAll(async () => {
  world = await startExample("inventory-low")
  await world.database.rows("insert into public.inventory_managers (name) values ('Grace'), ('Ada')")
  const [supplier] = await world.database.rows<{ id: string }>(
    "insert into public.suppliers (name, pack_size) values ('Bolts & Co', 12) returning id"
  )
  supplierId = supplier?.id ?? ""
})
afterAll(() => world?.[Symbol.asyncDispose]())

const newItem = async (quantity: string, threshold = "10", name = "Bolt"): Promise<string> => {
  const [item] = await world.database.rows<{ id: string }>(
    `insert into public.inventory_items (name, quantity, reorder_threshold, supplier_id) values ($1, $2, $3, $4)
     returning id`,
    [name, quantity, threshold, supplierId]
  )
  return item?.id ?? assert.fail("no item was inserted")
}

const setQuantity = (itemId: string, quantity: string) =>
  world.database.rows("update public.inventory_items set quantity = $2 where id = $1", [itemId, quantity])

interface Task {
  readonly event_id: string
  readonly quantity: string
  readonly priority: string
  readonly supplier_id: string
  readonly suggested: string
  readonly notifications: ReadonlyArray<string>
}

const tasksOf = (itemId: string): Promise<ReadonlyArray<Task>> =>
  world.database.rows<Task>(
    `select t.event_id, t.quantity::text, t.priority, t.supplier_id, t.suggested_quantity::text as suggested, array(
       select m.name || ': ' || n.message
       from public.inventory_notifications n
       join public.inventory_managers m on m.id = n.manager_id
       where n.event_id = t.event_id
       order by 1
     ) as notifications
     from public.reorder_tasks t where t.item_id = $1 order by t.created_at`,
    [itemId]
  )

/** The one task of an item at the end. Its event is completed, with a receipt that names the task. */
const expectOneTask = async (itemId: string): Promise<Task> => {
  const events = await world.settled(itemId)
  const tasks = await tasksOf(itemId)
  assert.lengthOf(tasks, 1)
  assert.deepStrictEqual(
    events.map(({ receipt, status }) => [status, receipt?.["taskId"]]),
    [["completed", tasks[0]?.event_id]]
  )
  assert.lengthOf(tasks[0]?.notifications ?? [], 2)
  return tasks[0] ?? assert.fail("no task")
}

describe("an item that falls below its threshold", () => {
  it("gets a task with the supplier's suggestion, and each manager one notification", async () => {
    const itemId = await newItem("25")
    await setQuantity(itemId, "7")
    const { notifications, ...task } = await expectOneTask(itemId)
    assert.deepInclude(task, { quantity: "7", priority: "normal", supplier_id: supplierId, suggested: "24" })
    assert.deepStrictEqual(notifications, [
      "Ada: Bolt: 7 left, 24 to be ordered (normal)",
      "Grace: Bolt: 7 left, 24 to be ordered (normal)"
    ])
  })

  it("is urgent if nothing is left, even as a new item", async () => {
    const itemId = await newItem("0.00")
    assert.deepInclude(await expectOneTask(itemId), { priority: "urgent", suggested: "24" })
  })

  it("gets no other task while it stays below, and a new one once it was above", async () => {
    const itemId = await newItem("9")
    for (const quantity of ["8", "3", "0", "9.99"]) await setQuantity(itemId, quantity)
    await expectOneTask(itemId)
    for (const quantity of ["10", "40", "9"]) await setQuantity(itemId, quantity)
    const events = await world.settled(itemId)
    assert.deepStrictEqual(
      events.map(({ status }) => status),
      ["completed", "completed"]
    )
    assert.lengthOf(await tasksOf(itemId), 2)
  })

  it("gets its own task when one UPDATE changes many", async () => {
    const ids = await Promise.all(Array.from({ length: 60 }, () => newItem("50")))
    await world.database.rows("update public.inventory_items set quantity = 1 where id = any($1)", [ids])
    await Promise.all(ids.map(expectOneTask))
  })

  it("is calculated with every digit", async () => {
    const [quantity, threshold] = ["90071992547409930.000000000000000000000000000001", "90071992547409931"]
    const itemId = await newItem(quantity, threshold)
    const task = await expectOneTask(itemId)
    assert.deepInclude(task, { quantity, suggested: "90071992547409936" })
  })
})

describe("one task and one notification for each manager", () => {
  it("when the event is delivered again, even at the same time", async () => {
    const itemId = await newItem("5")
    const { event_id } = await expectOneTask(itemId)
    const replies = await Promise.all(Array.from({ length: 10 }, () => world.deliver(event_id)))
    assert.deepStrictEqual(new Set(await Promise.all(replies.map(verdict))), new Set(["409 already_processed"]))
    await expectOneTask(itemId)
  })

  it.each([
    ["before the task is written", hangUp],
    ["after the task is written", loseReply]
  ])("when the function is killed %s", async (_, step) => {
    const itemId = await newItem("25")
    const held = gate(step)
    world.proxy.next(effectPath, itemId, held.step)
    await setQuantity(itemId, "7")
    await held.reached
    await world.service().kill("SIGKILL")
    held.open()
    await expectOneTask(itemId)
    const [event] = await world.events(itemId)
    assert.isAtLeast(event?.claims ?? 0, 2)
  })

  it("when the reply to the settlement is lost", async () => {
    const itemId = await newItem("25")
    world.proxy.next(settlePath, itemId, hangUp)
    await setQuantity(itemId, "7")
    await expectOneTask(itemId)
  })

  it("when the event became a dead letter although the task was written, and is redriven", async () => {
    const itemId = await newItem("25")
    world.proxy.next(effectPath, itemId, replyWith({ outcome: "item_gone" }))
    await setQuantity(itemId, "7")
    const [dead] = await world.settled(itemId)
    assert.strictEqual(dead?.status, "failed")
    assert.lengthOf(await tasksOf(itemId), 1)
    assert.strictEqual(await redrive(world.database, dead?.event_id ?? ""), "redriven")
    await expectOneTask(itemId)
  })

  it("when the database is down for a while", async () => {
    const itemId = await newItem("25")
    world.proxy.next(effectPath, itemId, answerWith(503), answerWith(503))
    await setQuantity(itemId, "7")
    await expectOneTask(itemId)
  })
})

describe("an invalid row", () => {
  it("becomes a dead letter that says why, stops no other row, and gets its task once corrected", async () => {
    const [bad, good] = await Promise.all([newItem("50"), newItem("50")])
    await world.database.rows(
      "update public.inventory_items set quantity = case id when $1::uuid then -3 else 3 end where id in ($1, $2)",
      [bad, good]
    )
    await expectOneTask(good)
    const [dead] = await world.settled(bad)
    assert.strictEqual(dead?.status, "failed")
    assert.include(dead?.last_error ?? "", "The quantity must be zero or more, but it is -3")
    assert.isEmpty(await tasksOf(bad))
    await setQuantity(bad, "4")
    await world.settled(bad)
    assert.lengthOf(await tasksOf(bad), 1)
  })

  it("says which value is not a number", async () => {
    const [dead] = await world.settled(await newItem("1", "NaN"))
    assert.strictEqual(dead?.status, "failed")
    assert.include(dead?.last_error ?? "", "The threshold must be zero or more, but it is NaN")
  })

  it("says that the item is gone if it was deleted in the meantime", async () => {
    const itemId = await newItem("25")
    const held = gate()
    world.proxy.next(effectPath, itemId, held.step)
    await setQuantity(itemId, "7")
    await held.reached
    await world.database.rows("delete from public.inventory_items where id = $1", [itemId])
    held.open()
    const [dead] = await world.settled(itemId)
    assert.include(dead?.last_error ?? "", `There is no item ${itemId} any more`)
  })
})

describe("nobody to notify", () => {
  it("opens an alert, and once there is a manager again, a redrive notifies them of the same task", async () => {
    const { database } = world
    const managers = await database.rows<{ name: string }>("delete from public.inventory_managers returning name")
    const itemId = await newItem("2")
    const [event] = await world.settled(itemId)
    assert.deepInclude(event?.receipt, { notified: 0 })
    await database.rows("select outbox.watch()")
    const alerts = await database.rows("select from outbox.alerts where kind = 'no_recipients'")
    assert.lengthOf(alerts, 1)
    await database.rows("insert into public.inventory_managers (name) select unnest($1::text[])", [
      managers.map(({ name }) => name)
    ])
    assert.strictEqual(await redrive(database, event?.event_id ?? ""), "redriven")
    await expectOneTask(itemId)
  })
})
