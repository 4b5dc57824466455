import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { createHash } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Plugin, rolldown } from "rolldown"
import { notoSans } from "../build/notoSans.ts"
import { withoutUnused } from "../build/withoutUnused.ts"
import type * as InvoicePdf from "../src/invoice/InvoicePdf.ts"
import { wordingOf } from "../src/invoice/Wording.ts"

// Brotli for WOFF2 fonts brings a dictionary, and nothing to a PDF.
const withoutBrotli: Plugin = {
  name: "without Brotli",
  resolveId: (path) => (path === "brotli/decompress.js" ? "\0brotli" : null),
  load: (id) => (id === "\0brotli" ? "export default {}" : null)
}

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "invoice-bundles-"))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const bundled = async (name: string, plugin: Plugin) => {
  await using bundle = await rolldown({
    input: join(import.meta.dirname, "../src/invoice/InvoicePdf.ts"),
    platform: "neutral",
    plugins: [plugin],
    resolve: { mainFields: ["module", "main"] },
    tsconfig: false
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  const file = join(directory, `${name}.mjs`)
  await writeFile(file, output[0].code)
  const { drawInvoice, openFonts }: typeof InvoicePdf = await import(pathToFileURL(file).href)
  const font = await notoSans()
  const fonts = openFonts(font)
  return { covered: font.covered, draw: (invoice: Parameters<typeof drawInvoice>[0]) => drawInvoice(invoice, fonts) }
}

const digestOf = async (document: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of document) hash.update(chunk)
  return hash.digest("hex")
}

describe("without what an invoice never calls", () => {
  let whole: Awaited<ReturnType<typeof bundled>>
  let lean: Awaited<ReturnType<typeof bundled>>
  beforeAll(async () => {
    whole = await bundled("whole", withoutBrotli)
    lean = await bundled("lean", withoutUnused)
  })

  const word = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_999 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(40)
  )

  it.effect.prop(
    "an invoice is the same, byte for byte, as with all of pdfkit and fontkit",
    [Schema.NonEmptyArray(word).check(Schema.isMaxLength(30))],
    ([texts]) => {
      const points = lean.covered.flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, index) => first + index)
      )
      const lines = texts.map((numbers) =>
        String.fromCodePoint(...numbers.map((number) => points[number % points.length] ?? 32))
      )
      const invoice = {
        orderId: "5b1f6c1e-8d0a-4b53-9f3e-6a1c2d4e5f60",
        createdAt: new Date(Date.UTC(2026, 10, 28)),
        words: wordingOf("de"),
        seller: lines.slice(0, 2),
        customer: lines.slice(0, 4),
        date: "28. November 2026",
        rows: lines.map((description) => ({ description, quantity: "2", unitPrice: "1,25 €", amount: "2,50 €" })),
        total: "2,50 €",
        count: String
      }
      return Effect.promise(async () =>
        assert.strictEqual(await digestOf(lean.draw(invoice)), await digestOf(whole.draw(invoice)))
      )
    },
    { arbitrary: { runs: 60 } }
  )
})
