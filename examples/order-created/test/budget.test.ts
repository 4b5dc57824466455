import { assert, it } from "@effect/vitest"
import { gzipSync } from "node:zlib"
import { bundleFunction } from "../../../local/examples.ts"

// A start loads only the first file. The first invoice loads the others.
it.each([
  { name: "index.mjs", bytes: 190_000, gzipBytes: 60_000 },
  { name: "InvoicePdf.mjs", bytes: 450_000, gzipBytes: 150_000 },
  { name: "NotoSans.mjs", bytes: 240_000, gzipBytes: 180_000 }
])("generate-pdf's $name is within its budget", async ({ bytes, gzipBytes, name }) => {
  const files = await bundleFunction("order-created", "generate-pdf")
  const code = files.find((file) => file.name === name)?.code ?? assert.fail(`there is no ${name}`)
  assert.isAtMost(Buffer.byteLength(code), bytes)
  assert.isAtMost(gzipSync(code).length, gzipBytes)
})

it("generate-pdf brings no Brotli, no encryption and no pictures", async () => {
  const files = await bundleFunction("order-created", "generate-pdf")
  const code = files.map((file) => file.code).join("")
  assert.isBelow(code.length, 900_000)
  assert.notMatch(code, /[A-Za-z]timedownlifeleft/)
})
