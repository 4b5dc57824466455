import { tasks } from "@trigger.dev/sdk"
import { randomUUID } from "node:crypto"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { connect } from "../../../local/postgres/connect.ts"
import type { Trigger } from "../../../local/trigger/server.ts"
import { eventually } from "../../../test/support/pipeline.ts"
import { type Edge, startEdge } from "./edge.ts"
import { startWorld, type World } from "./world.ts"

describe("process-order", () => {
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
    trigger = await world.startTrigger()
  })
  afterEach(async () => {
    await trigger[Symbol.asyncDispose]()
    await edge[Symbol.asyncDispose]()
  })

  const stocked = async (quantity: number): Promise<string> => {
    const sku = randomUUID()
    await world.database.rows("insert into public.inventory_items (name, sku, quantity) values ('Mug', $1, $2)", [
      sku,
      quantity
    ])
    return sku
  }
  const quantityOf = async (sku: string) => {
    const text = "select quantity::text from public.inventory_items where sku = $1"
    return (await world.database.rows<{ quantity: string }>(text, [sku]))[0]?.quantity
  }
  const ordered = async (sku: string, quantity: number, email: string | null = "ana@example.test"): Promise<string> => {
    const id = randomUUID()
    await world.database.rows("insert into public.orders (id, customer_email, total) values ($1, $2, 10)", [id, email])
    await world.database.rows(
      `insert into public.order_items (order_id, position, sku, description, quantity, unit_price)
       values ($1, 1, $2, 'Mug', $3, 5)`,
      [id, sku, quantity]
    )
    return id
  }
  const runOf = async (orderId: string, eventId: string = randomUUID()) => {
    const { id } = await tasks.trigger("process-order", { event_id: eventId, record: { id: orderId } })
    return { eventId, id }
  }
  const ended = async (id: string) => {
    await trigger.idle()
    return trigger.runs.get(id) ?? assert.fail("no run")
  }
  const reported = () => edge.calls.filter(({ path }) => path.endsWith("/rpc/outbox_fail")).map(({ body }) => body)

  it("checks the stock, makes the invoice, mails it and reserves the stock, with one key per step", async () => {
    const sku = await stocked(5)
    const orderId = await ordered(sku, 2)
    const { eventId, id } = await runOf(orderId)
    const run = await ended(id)
    assert.deepInclude(run, { status: "COMPLETED", attempts: 1 })
    assert.deepStrictEqual(run.output, { orderId, pdfUrl: "generate-pdf-1", messageId: "send-email-2" })
    assert.deepStrictEqual(
      edge.functionCalls().map(({ key, path }) => [path, key]),
      [
        ["/functions/v1/generate-pdf", `${eventId}/pdf`],
        ["/functions/v1/send-email", `${eventId}/mail`]
      ]
    )
    assert.deepInclude(edge.functionCalls()[1]?.body, { to: "ana@example.test" })
    assert.strictEqual(await quantityOf(sku), "3")
  })

  it("continues where it failed, and does nothing twice", async () => {
    const sku = await stocked(5)
    edge.steps["generate-pdf"] = [503]
    edge.steps["send-email"] = ["accepts, then hangs up", 502]
    const { id } = await runOf(await ordered(sku, 2))
    assert.deepInclude(await ended(id), { status: "COMPLETED", attempts: 4 })
    assert.lengthOf([...edge.done.keys()], 2)
    assert.lengthOf(edge.functionCalls(), 5)
    assert.strictEqual(await quantityOf(sku), "3")
  })

  it("a second run of the same event does nothing, even after the functions have forgotten its keys", async () => {
    const sku = await stocked(5)
    const orderId = await ordered(sku, 2)
    const { eventId, id } = await runOf(orderId)
    const first = await ended(id)
    edge.done.clear()
    const again = await runOf(orderId, eventId)
    assert.deepStrictEqual((await ended(again.id)).output, first.output)
    assert.lengthOf(edge.functionCalls(), 2)
    assert.strictEqual(await quantityOf(sku), "3")
  })

  it("concurrent orders get stock while there is some, and it never falls below zero", async () => {
    const sku = await stocked(7)
    const orders = await Promise.all(Array.from({ length: 12 }, () => ordered(sku, 2)))
    await world.database.rows(`
      create table if not exists public.oversold (sku text);
      create or replace function public.note_oversold() returns trigger language plpgsql as $$
      begin insert into public.oversold values (new.sku); return new; end $$;
      create or replace trigger note_oversold before update on public.inventory_items
      for each row when (new.quantity < 0) execute function public.note_oversold()`)
    const started = await Promise.all(orders.map((order) => runOf(order)))
    await trigger.idle()
    const runs = started.map(({ id }) => trigger.runs.get(id))
    assert.lengthOf(
      runs.filter((run) => run?.status === "COMPLETED"),
      3
    )
    const failed = runs.filter((run) => run?.status === "FAILED")
    assert.lengthOf(failed, 9)
    for (const run of failed) assert.match(run?.error?.message ?? "", /^(out of stock|sold out since)/)
    assert.strictEqual(await quantityOf(sku), "1")
    assert.isEmpty(await world.database.rows("select sku from public.oversold"))
  })

  it("an order waits for a reservation in progress, and sees what it leaves", async () => {
    const sku = await stocked(3)
    const [first, second] = [await ordered(sku, 2), await ordered(sku, 2)]
    const [one, two] = [
      await connect(world.stack.databaseUrl, "one"),
      await connect(world.stack.databaseUrl, "two")
    ] as const
    const reserve = async (client: typeof one, orderId: string) => {
      const text = "select public.order_reserve($1, $2) ->> 'outcome' as outcome"
      return (await client.query<{ outcome: string }>(text, [randomUUID(), orderId])).rows[0]?.outcome
    }
    await one.query("begin")
    assert.strictEqual(await reserve(one, first), "reserved")
    const waiting = reserve(two, second)
    await eventually("the second waits for a lock", async () => {
      const text = "select 1 from pg_stat_activity where application_name = 'two' and wait_event_type = 'Lock'"
      return (await world.database.rows(text))[0]
    })
    await one.query("commit")
    assert.strictEqual(await waiting, "out_of_stock")
    assert.strictEqual(await quantityOf(sku), "1")
    await Promise.all([one.end(), two.end()])
  })

  it.each([
    {
      what: "more than there is",
      quantity: 9,
      email: "ana@example.test",
      error: /^out of stock: .* \(9 wanted, 5 in stock\)$/
    },
    { what: "no address", quantity: 1, email: null, error: /has no customer_email$/ }
  ])(
    "an order with $what fails at the first attempt, and says so to the outbox",
    async ({ email, error, quantity }) => {
      const sku = await stocked(5)
      const { eventId, id } = await runOf(await ordered(sku, quantity, email))
      const run = await ended(id)
      assert.deepInclude(run, { status: "FAILED", attempts: 1 })
      assert.match(run.error?.message ?? "", error)
      assert.deepStrictEqual(reported(), [
        { topic: "order-created", event_id: eventId, message: run.error?.message, receipt: { runId: id } }
      ])
      assert.isEmpty(edge.functionCalls())
      assert.strictEqual(await quantityOf(sku), "5")
    }
  )

  it("a refusal by a function ends the run", async () => {
    edge.steps["send-email"] = [422]
    const { id } = await runOf(await ordered(await stocked(5), 2))
    const run = await ended(id)
    assert.deepInclude(run, { status: "FAILED", attempts: 1 })
    assert.strictEqual(run.error?.message, "send-email answered 422: injected")
  })
})
