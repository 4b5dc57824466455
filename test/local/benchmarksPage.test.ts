import { readdir, readFile } from "node:fs/promises"
import { assert, describe, it } from "@effect/vitest"
import { markdownTable, replaceBetween } from "../../local/benchmarksPage.ts"
import { StackError } from "../../local/StackError.ts"

describe("the page of benchmarks", () => {
  const page =
    "before\n<!-- chaos -->\nold\n<!-- /chaos -->\n<!-- chaos: pg_net off -->\nother\n<!-- /chaos: pg_net off -->\n"

  it("gets new figures in place of the old, and keeps the rest", () => {
    assert.strictEqual(
      replaceBetween(page, "chaos", "new"),
      "before\n<!-- chaos -->\n\nnew\n\n<!-- /chaos -->\n<!-- chaos: pg_net off -->\nother\n<!-- /chaos: pg_net off -->\n"
    )
  })

  it("says which lines to add if it has no place for them", () => {
    assert.throws(() => replaceBetween(page, "bench: cold", "new"), StackError, "<!-- bench: cold -->")
  })

  it("has a place for the answer to each question", async () => {
    const benchmarks = await readFile(new URL("../../docs/benchmarks.md", import.meta.url), "utf8")
    const files = await readdir(new URL("../../bench/", import.meta.url))
    const questions = files.filter(
      (name) => /^[a-zA-Z]+\.ts$/.test(name) && name !== "run.ts" && name !== "packages.ts"
    )
    assert.include(questions, "recovery.ts")
    for (const question of questions) {
      assert.doesNotThrow(() => replaceBetween(benchmarks, `bench: ${question.replace(".ts", "")}`, "new"))
    }
  })

  it("opens with figures that are in its tables", async () => {
    const benchmarks = await readFile(new URL("../../docs/benchmarks.md", import.meta.url), "utf8")
    const [opening = "", rest = ""] = benchmarks.split("## How it is measured")
    const figures = [...opening.matchAll(/\*\*([\d.,]+(?: \S+)?)\*\*/g)].map(([, figure = ""]) => figure)
    assert.isAtLeast(figures.length, 5)
    for (const figure of figures) assert.include(rest, `| ${figure} |`)
  })

  it("shows a table in Markdown", () => {
    assert.strictEqual(markdownTable(["what", "times"], [["kill", "3"]]), "| what | times |\n|---|---|\n| kill | 3 |")
  })
})
