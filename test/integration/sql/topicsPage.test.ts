import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Database, openReadyDatabase } from "../../support/sql.ts"

const root = join(import.meta.dirname, "../../..")
const page = readFileSync(join(root, "docs/topics.md"), "utf8")
const shown = [...page.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, statement = ""]) => statement)
const migrations = join(root, "examples/larger-app/supabase/migrations")

const tables = `
  create table public.orders (
    id uuid primary key default gen_random_uuid(), customer_id text not null, total numeric not null
  );
  create table public.mentors (mentor_no bigint primary key, state text not null);
  create table public.items (sku text primary key, stock integer not null, threshold integer not null)`

/** What docs/topics.md says of topics, tried as it is written. */
describe("the page on topics", () => {
  let database: Database
  beforeAll(async () => {
    database = await openReadyDatabase()
    await database.rows(tables)
  })
  afterAll(() => database?.[Symbol.asyncDispose]())

  const events = (topic: string) =>
    database.rows<Record<string, unknown>>(
      "select key, record, old_record from outbox.events where topic = $1 order by created_at, version",
      [topic]
    )

  it("declares topics with statements that you can run repeatedly", async () => {
    assert.lengthOf(shown, 4)
    for (const statement of shown) await database.rows(statement)
    for (const statement of shown.filter((text) => text.includes("outbox.watch("))) await database.rows(statement)
    const topics = await database.rows<{ topic: string }>("select topic from outbox.topics order by topic")
    assert.deepStrictEqual(
      topics.map(({ topic }) => topic),
      ["inventory-low", "order-created", "pause-status"]
    )
  })

  it("declares the example's topic as the example's migration does", async () => {
    const declared = () =>
      database.rows("select (to_jsonb(t) - 'created_at') as topic from outbox.topics t order by topic")
    const before = await declared()
    for (const name of readdirSync(migrations)) await database.rows(readFileSync(join(migrations, name), "utf8"))
    assert.deepStrictEqual(await declared(), before)
  })

  it("a new order is an event, with its key as text and its total as a number; a change is not", async () => {
    const [order] = await database.rows<{ id: string }>(
      "insert into public.orders (customer_id, total) values ('4711', 12.5) returning id"
    )
    await database.rows("update public.orders set total = 13")
    const id = order?.id
    assert.deepStrictEqual(await events("order-created"), [
      { key: id, record: { id, customer_id: "4711", total: 12.5 }, old_record: null }
    ])
  })

  it("own words: from active to paused is one event, whatever was in between", async () => {
    await database.rows("insert into public.mentors values (7, 'ACTIVE')")
    for (const state of ["RETIRED", "ON_LEAVE", "SICK"])
      await database.rows("update public.mentors set state = $1", [state])
    assert.deepStrictEqual(await events("pause-status"), [
      { key: "7", record: { id: "7", status: "paused" }, old_record: { id: "7", status: "active" } }
    ])
  })

  it("only when it matters: each drop below the threshold is an event", async () => {
    await database.rows("insert into public.items values ('lamp', 10, 5)")
    for (const stock of [6, 4, 3, 8, 2]) await database.rows("update public.items set stock = $1", [stock])
    const stocks = (await events("inventory-low")).map(({ record }) => record)
    assert.deepStrictEqual(stocks, [
      { sku: "lamp", stock: 4, threshold: 5 },
      { sku: "lamp", stock: 2, threshold: 5 }
    ])
  })

  it("a topic changes its source and stops as the table says", async () => {
    await database.rows("delete from outbox.events where topic = 'order-created'")
    for (const [, statement = ""] of page.matchAll(/\| `(select [^`]+)`/g)) await database.rows(statement)
    const topics = await database.rows<{ topic: string }>("select topic from outbox.topics order by topic")
    assert.deepStrictEqual(
      topics.map(({ topic }) => topic),
      ["inventory-low", "pause-status"]
    )
  })
})
