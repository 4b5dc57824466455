import { assert, it } from "@effect/vitest"
import { gzipSync } from "node:zlib"
import { bundleFunction } from "../../../local/examples.ts"

const sizesOf = async (belongs: (name: string) => boolean) => {
  const files = (await bundleFunction("order-created", "generate-pdf")).filter(({ name }) => belongs(name))
  assert.isNotEmpty(files)
  return {
    bytes: files.reduce((sum, { code }) => sum + Buffer.byteLength(code), 0),
    gzipBytes: files.reduce((sum, { code }) => sum + gzipSync(code).length, 0)
  }
}

// A start loads only index.mjs. The first invoice loads the rest.
it.each([
  { part: "start", belongs: (name: string) => name === "index.mjs", bytes: 190_000, gzipBytes: 60_000 },
  { part: "code", belongs: (name: string) => name !== "NotoSans.mjs", bytes: 450_000, gzipBytes: 150_000 },
  { part: "font", belongs: (name: string) => name === "NotoSans.mjs", bytes: 240_000, gzipBytes: 180_000 }
])("generate-pdf's $part is within its budget", async ({ belongs, bytes, gzipBytes }) => {
  const sizes = await sizesOf(belongs)
  assert.isAtMost(sizes.bytes, bytes)
  assert.isAtMost(sizes.gzipBytes, gzipBytes)
})

it("generate-pdf brings no Brotli, no encryption and no pictures", async () => {
  const files = await bundleFunction("order-created", "generate-pdf")
  const code = files.map((file) => file.code).join("")
  assert.notMatch(code, /[A-Za-z]timedownlifeleft/)
  assert.notMatch(code, /ownerPassword|DCTDecode/)
})
