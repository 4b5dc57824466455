import { assert, describe, it } from "@effect/vitest"
import { covered, open, pdfOf } from "./orders.ts"
import { readPdf } from "./readPdf.ts"

const items = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ description: `Item ${index + 1}`, quantity: 1, unit_price: "1" }))

describe("the PDF of an invoice", () => {
  it("is the same, byte for byte, whenever it is made", async () => {
    const customer_name = "Μαρία\u00A0Ω"
    const first = await pdfOf({ customer_name })
    assert.deepStrictEqual(await pdfOf({ customer_name }), first)
    assert.notDeepEqual(await pdfOf({ customer_name: "Ada" }), first)
  })

  it("does not depend on the invoices before it", async () => {
    const [accented, plain] = ["Ώώ Ӂӂ", "Ωω Жж"]
    const font = open()
    await pdfOf({ customer_name: accented }, font)
    const after = await pdfOf({ customer_name: plain }, font)
    assert.deepStrictEqual(after, await pdfOf({ customer_name: plain }, open()))
    assert.include((await readPdf(after)).texts, plain)
  })

  it("has a title and a language, and is tagged", async () => {
    const { isMarked, language, title } = await readPdf(await pdfOf({ locale: "de-AT" }))
    assert.strictEqual(title, "Rechnung 5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60")
    assert.deepStrictEqual([isMarked, language], [true, "de"])
  })

  it("is read aloud in order: the heading, each part, and the table row by row", async () => {
    const { tags } = await readPdf(await pdfOf())
    const [document] = tags[0] ?? []
    assert.strictEqual(document?.role, "Document")
    const outline = document?.children.map(({ role, text }) => [role, role === "Table" ? "" : text])
    assert.deepStrictEqual(outline, [
      ["P", "Example Ltd"],
      ["P", "Dublin"],
      ["H1", "Invoice"],
      ["P", "Order: 5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60"],
      ["P", "Date: 28 November 2026"],
      ["H2", "Billed to"],
      ["P", "Ada Lovelace"],
      ["P", "St James's Square 12"],
      ["P", "London"],
      ["P", "ada@example.com"],
      ["H2", "Items"],
      ["Table", ""],
      ["P", "Total: €25.00"]
    ])
    const table = document?.children.find(({ role }) => role === "Table")
    const rows = table?.children.map(({ children, role }) => [
      role,
      children.map((row) => [row.role, row.children.map((cell) => [cell.role, cell.text])])
    ])
    assert.deepStrictEqual<unknown>(rows, [
      ["THead", [["TR", ["Description", "Quantity", "Unit price", "Amount"].map((text) => ["TH", text])]]],
      ["TBody", [["TR", ["Coffee", "2", "€12.50", "€25.00"].map((text) => ["TD", text])]]]
    ])
  })

  it("breaks between rows and repeats header and page number, which are not read aloud again", async () => {
    const { pages, texts } = await readPdf(await pdfOf({ total: "100", items: items(100) }))
    assert.lengthOf(pages, 3)
    for (const [index, page] of pages.entries()) {
      assert.include(page, "Unit price")
      assert.include(page, `Page ${index + 1} of 3`)
    }
    assert.lengthOf(
      texts.filter((text) => text === "Unit price"),
      1
    )
    assert.isEmpty(texts.filter((text) => text.startsWith("Page")))
    for (const { description } of items(100)) {
      assert.lengthOf(
        texts.filter((text) => text === description),
        1
      )
      assert.lengthOf(
        pages.filter((page) => page.split("\n").includes(description)),
        1
      )
    }
  })

  it.each(Array.from({ length: 6 }, (_, index) => 30 + index))(
    "loses nothing at the end of a page: %i items",
    async (count) => {
      const { pages, texts } = await readPdf(await pdfOf({ total: String(count), items: items(count) }))
      assert.isAtMost(pages.length, 2)
      assert.include(texts, `Item ${count}`)
      assert.include(texts.at(-1), `Total: €${count}.00`)
    }
  )

  it("has room for long texts, long words and long addresses", async () => {
    const words = "A description that somebody wrote without an end in mind. ".repeat(8)
    const { texts } = await readPdf(
      await pdfOf({
        total: "2",
        customer_address: Array.from({ length: 100 }, (_, index) => `Line ${index + 1}`).join("\n"),
        items: [
          { description: words, quantity: 1, unit_price: "1" },
          { description: "x".repeat(500), quantity: 1, unit_price: "1" }
        ]
      })
    )
    assert.include(texts, "Line 100")
    assert.include(texts, words.trim())
    assert.include(
      texts.map((text) => text.replaceAll(" ", "")),
      "x".repeat(500)
    )
  })

  it("prints the longest numbers in full", async () => {
    const price = "999999999999999999999.12345678"
    const { texts } = await readPdf(
      await pdfOf({
        currency: "KWD",
        total: "999999999999999999999.123",
        items: [{ description: "Gold", quantity: 1, unit_price: price }]
      })
    )
    assert.include(
      texts.map((text) => text.replaceAll(/\s/g, " ")),
      "KWD 999,999,999,999,999,999,999.12345678"
    )
  })

  it("has text that reads back letter by letter", async () => {
    const letters = covered
      .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index))
      .map((point) => String.fromCodePoint(point))
      .filter((letter) => /^\p{L}$/u.test(letter) && letter.normalize("NFKC") === letter)
    const lines = Array.from({ length: Math.ceil(letters.length / 40) }, (_, index) =>
      letters.slice(index * 40, index * 40 + 40).join(" ")
    )
    const printed = lines.map((description) => ({ description, quantity: 1, unit_price: "1" }))
    const { texts } = await readPdf(await pdfOf({ total: String(lines.length), items: printed }))
    assert.isAtLeast(letters.length, 1_000)
    for (const line of lines) assert.include(texts, line)
  })
})
