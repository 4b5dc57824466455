import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { createHash, randomUUID } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { buildExample } from "../../../local/examples.ts"
import { type Stack, startStack } from "../../../local/stack.ts"
import { openSession, type Session } from "../../../test/support/bareStack.ts"
import { readPdf } from "./readPdf.ts"

let stack: Stack
let session: Session

beforeAll(async () => {
  const { functions, migrations } = await buildExample("order-created")
  const only = functions.filter(({ name }) => name === "generate-pdf")
  stack = await startStack({ functions: only, migrations, pacing: "fast" })
  session = await openSession(stack.databaseUrl)
})
afterAll(async () => {
  await session?.[Symbol.asyncDispose]()
  await stack?.stop()
})

const call = (body: unknown, headers: Readonly<Record<string, string>> = { apikey: stack.serviceKey }) =>
  fetch(`${stack.apiUrl}/functions/v1/generate-pdf`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body)
  })

const problemOf = async (response: Response): Promise<Record<string, unknown>> => {
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
  const problem: Record<string, unknown> = await response.json()
  assert.strictEqual(problem["status"], response.status)
  return problem
}

interface Item {
  readonly description: string
  readonly quantity: number
  readonly unit_price: string
}

const coffee: Item = { description: "Coffee", quantity: 2, unit_price: "12.50" }

const insertOrder = async (order: Readonly<Record<string, unknown>> = {}, items: ReadonlyArray<Item> = [coffee]) => {
  const row = {
    id: randomUUID(),
    customer_name: "Ada Lovelace",
    customer_email: "ada@example.com",
    total: "25",
    ...order
  }
  await session.rows(
    `insert into public.orders (id, customer_name, customer_email, total, currency, locale)
     select id, customer_name, customer_email, total, coalesce(currency, 'EUR'), coalesce(locale, 'en-IE')
     from jsonb_populate_record(null::public.orders, $1)`,
    [JSON.stringify(row)]
  )
  await session.rows(
    `insert into public.order_items (order_id, position, description, quantity, unit_price)
     select $1, position, item ->> 'description', (item ->> 'quantity')::integer, (item ->> 'unit_price')::numeric
     from jsonb_array_elements($2) with ordinality as items (item, position)`,
    [row.id, JSON.stringify(items)]
  )
  return row.id
}

const urlOf = (orderId: string) => session.value("select invoice_url from public.orders where id = $1", [orderId])

const bytesAt = async (url: unknown) => {
  const response = await fetch(String(url))
  assert.strictEqual(response.status, 200)
  assert.strictEqual(response.headers.get("content-type"), "application/pdf")
  return new Uint8Array(await response.arrayBuffer())
}

const digest = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

describe("generate-pdf", () => {
  it("returns a signed URL of the invoice, and stores it with the order", async () => {
    const orderId = await insertOrder()
    const response = await call({ order_id: orderId })
    const { pdf_url: url, success } = await response.json()
    assert.deepStrictEqual([response.status, success], [200, true])
    assert.strictEqual(await urlOf(orderId), url)
    assert.include(url, `/storage/v1/object/sign/invoices/${orderId}.pdf?token=`)
    const { texts } = await readPdf(await bytesAt(url))
    for (const text of ["Invoice", `Order: ${orderId}`, "Ada Lovelace", "Coffee", "€12.50", "Total: €25.00"]) {
      assert.include(texts, text)
    }
  })

  it("changes nothing when it is repeated: the same bytes, at the same URL", async () => {
    const orderId = await insertOrder()
    const first = await (await call({ order_id: orderId })).json()
    const before = digest(await bytesAt(first.pdf_url))
    const second = await (await call({ order_id: orderId })).json()
    assert.deepStrictEqual(second, first)
    assert.strictEqual(digest(await bytesAt(second.pdf_url)), before)
    assert.strictEqual(stack.storage.uploads.get(`invoices/${orderId}.pdf`), 2)
  })

  it("answers concurrent calls with one URL", async () => {
    const orderId = await insertOrder()
    const replies = await Promise.all(Array.from({ length: 5 }, () => call({ order_id: orderId })))
    const bodies = await Promise.all(replies.map((reply) => reply.json()))
    const stored = await urlOf(orderId)
    assert.deepStrictEqual(
      bodies.map(({ pdf_url }) => pdf_url),
      bodies.map(() => stored)
    )
  })

  it("prints every digit of an amount, in the order's currency and language", async () => {
    const price = "123456789012345678.91"
    const orderId = await insertOrder({ total: price, currency: "CHF", locale: "de-CH" }, [
      { description: "Bohnen", quantity: 1, unit_price: price }
    ])
    const { language, texts } = await readPdf(await bytesAt((await (await call({ order_id: orderId })).json()).pdf_url))
    assert.strictEqual(language, "de")
    assert.include(texts, "Gesamtbetrag: CHF 123’456’789’012’345’678.91")
  })

  it("prints names in Latin, Greek and Cyrillic unchanged", async () => {
    const names = ["Zoë Dvořáková", "Nguyễn Thị Ánh", "Παναγιώτης Ἀθηναῖος", "Любовь Ёлкина"]
    const items = names.map((description) => ({ description, quantity: 1, unit_price: "1" }))
    const orderId = await insertOrder({ total: "4" }, items)
    const { texts } = await readPdf(await bytesAt((await (await call({ order_id: orderId })).json()).pdf_url))
    for (const name of names) assert.include(texts, name)
  })

  it("prints an order of a thousand items on many pages", async () => {
    const items = Array.from({ length: 1_000 }, (_, index) => ({ ...coffee, description: `Item ${index + 1}` }))
    const orderId = await insertOrder({ total: "25000" }, items)
    const { pages } = await readPdf(await bytesAt((await (await call({ order_id: orderId })).json()).pdf_url))
    assert.isAtLeast(pages.length, 20)
    assert.include(pages.at(-1), `Page ${pages.length} of ${pages.length}`)
    for (const page of pages) assert.include(page, "Description")
  })
})

describe("what generate-pdf refuses", () => {
  it.each([
    { why: "no JSON", body: "{", code: "malformed_json" },
    { why: "no order_id", body: {}, code: "invalid_payload" },
    { why: "an order_id that is not a uuid", body: { order_id: "1" }, code: "invalid_payload" }
  ])("400 for $why", async ({ body, code }) => {
    const response = await call(body)
    assert.strictEqual(response.status, 400)
    assert.deepInclude(await problemOf(response), { code })
  })

  it("401 without the project's key", async () => {
    for (const headers of [{}, { apikey: stack.publishableKey }]) {
      const response = await call({ order_id: randomUUID() }, headers)
      assert.strictEqual(response.status, 401)
      assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
      assert.deepInclude(await problemOf(response), { code: "unauthorized" })
    }
  })

  it("404 for an order that does not exist, and for another path; 405 for a GET", async () => {
    const response = await call({ order_id: randomUUID() })
    assert.strictEqual(response.status, 404)
    assert.deepInclude(await problemOf(response), { code: "order_unknown" })
    assert.strictEqual((await fetch(`${stack.apiUrl}/functions/v1/generate-pdf/more`, { method: "POST" })).status, 404)
    assert.strictEqual((await fetch(`${stack.apiUrl}/functions/v1/generate-pdf`)).status, 405)
  })

  it("422 for what the font lacks, each character named", async () => {
    const orderId = await insertOrder({ customer_name: "渡辺 渡 ☕" })
    const response = await call({ order_id: orderId })
    assert.strictEqual(response.status, 422)
    assert.deepInclude(await problemOf(response), {
      code: "unprintable_characters",
      detail: "The invoice's font has no 渡 (U+6E21), 辺 (U+8FBA), ☕ (U+2615)",
      characters: ["渡 (U+6E21)", "辺 (U+8FBA)", "☕ (U+2615)"]
    })
    assert.isNull(await urlOf(orderId))
    assert.isUndefined(stack.storage.uploads.get(`invoices/${orderId}.pdf`))
  })

  it.each([
    { why: "no name", order: { customer_name: null }, path: "customer_name" },
    { why: "an invalid currency", order: { currency: "euro" }, path: "currency" },
    { why: "an invalid locale", order: { locale: "de_DE!" }, path: "locale" },
    { why: "no items", items: [], path: "items.0" },
    { why: "a negative quantity", items: [{ ...coffee, quantity: -1 }], path: "items.0.quantity" },
    { why: "a price that is not a number", items: [{ ...coffee, unit_price: "NaN" }], path: "items.0.unit_price" }
  ])("422 for an order with $why, which it names", async ({ items, order, path }) => {
    const response = await call({ order_id: await insertOrder(order, items) })
    assert.strictEqual(response.status, 422)
    const problem = await problemOf(response)
    assert.strictEqual(problem["code"], "order_invalid")
    const issues = Array.isArray(problem["issues"]) ? problem["issues"] : []
    assert.include(
      issues.map((issue) => issue.path.join(".")),
      path
    )
  })

  it("422 for a total that is not the sum of the items", async () => {
    const response = await call({ order_id: await insertOrder({ total: "25.01" }) })
    assert.strictEqual(response.status, 422)
    assert.deepInclude(await problemOf(response), { code: "total_mismatch" })
  })
})

describe("generate-pdf, when Storage fails", () => {
  it.each([503, 500, "disconnect"] as const)("502 that says to retry for %s, and then the invoice", async (fault) => {
    const orderId = await insertOrder()
    stack.storage.fail(fault)
    const response = await call({ order_id: orderId })
    assert.strictEqual(response.status, 502)
    assert.deepInclude(await problemOf(response), { code: "storage_failed", retryable: true })
    assert.isNull(await urlOf(orderId))
    assert.strictEqual((await call({ order_id: orderId })).status, 200)
  })

  it("makes the invoice again if the answer to its upload was lost", async () => {
    const orderId = await insertOrder()
    stack.storage.fail("do and disconnect")
    assert.strictEqual((await call({ order_id: orderId })).status, 502)
    const { pdf_url } = await (await call({ order_id: orderId })).json()
    assert.strictEqual((await readPdf(await bytesAt(pdf_url))).pages.length, 1)
  })

  it("502 when PostgREST is down, and the invoice when it is back", async () => {
    const orderId = await insertOrder()
    await stack.services.postgrest.stop()
    const response = await call({ order_id: orderId })
    assert.strictEqual(response.status, 502)
    assert.deepInclude(await problemOf(response), { code: "orders_unavailable", retryable: true })
    await stack.services.postgrest.start()
    assert.strictEqual((await call({ order_id: orderId })).status, 200)
  })
})

describe("the migration of the orders", () => {
  const folder = join(import.meta.dirname, "../supabase/migrations")

  const migrate = async (before: string): Promise<string> => {
    const sql = await readFile(join(folder, "20261128000200_create_orders.sql"), "utf8")
    await session.rows("begin")
    try {
      await session.rows(before)
      await session.rows(sql)
      return "applied"
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause)
    } finally {
      await session.rows("rollback")
    }
  }

  it("does not change tables that fit", async () => {
    assert.strictEqual(await migrate("alter table public.orders add column mine text"), "applied")
  })

  it("names the columns that your own tables lack", async () => {
    assert.strictEqual(
      await migrate("alter table public.orders drop column locale; alter table public.order_items drop column sku"),
      "The tables of orders lack public.orders.locale, public.order_items.sku"
    )
  })
})
