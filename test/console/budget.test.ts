import { assert, describe, it } from "@effect/vitest"
import { bundleConsole } from "../../build/console.ts"

const parts = await bundleConsole()

const sizeOf = (names: ReadonlyArray<string>) =>
  parts
    .filter(({ name }) => names.includes(name))
    .reduce((sum, part) => ({ bytes: sum.bytes + part.bytes, gzip: sum.gzip + part.gzipBytes }), { bytes: 0, gzip: 0 })

describe("the page of the console", () => {
  it("is a script, a later one, their shared code, and a style", () => {
    const names = parts.map(({ name }) => name).toSorted()
    assert.deepStrictEqual(names, ["chunk.js", "later.js", "main.css", "main.js"])
  })

  it("shows the pipeline with at most 40 KB of script, 15 KB with gzip", () => {
    const { bytes, gzip } = sizeOf(["main.js", "chunk.js"])
    assert.isAbove(bytes, 20_000)
    assert.isAtMost(bytes, 40_000)
    assert.isAtMost(gzip, 15_000)
  })

  it("has at most 27 KB of further script and 16 KB of style", () => {
    assert.isAtMost(sizeOf(["later.js"]).bytes, 27_000)
    assert.isAtMost(sizeOf(["main.css"]).bytes, 16_000)
  })

  it("asks for nothing from elsewhere", () => {
    const urls = parts.flatMap(({ text }) => text.match(/https?:\/\/[\w.-]+/g) ?? [])
    // Names of XML, which nobody fetches.
    assert.deepStrictEqual(
      urls.filter((url) => url !== "http://www.w3.org"),
      []
    )
  })
})
