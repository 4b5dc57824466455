import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { asJson, inWords } from "../../../cli/doctor/Report.ts"
import { checks, exitCodeOf } from "../../../cli/doctor/Examine.ts"
import { type Finding, notChecked, ok, wrong } from "../../../cli/doctor/Finding.ts"

const words = (count: number) => Array.from({ length: count }, () => "word").join(" ")
const findings: ReadonlyArray<Finding> = [
  { name: "postgres", verdict: ok(words(20)) },
  { name: "grants", verdict: wrong(words(30), words(30)) },
  { name: "jit", verdict: notChecked("--database-url") },
  { name: "words", verdict: notChecked("the migrations") },
  { name: "growth", verdict: notChecked("--database-url") }
]

describe("the report", () => {
  it("has lines for each check, within 80 columns, and a summary", () => {
    assert.deepStrictEqual(inWords(findings).join("\n").split("\n"), [
      `ok     postgres          ${words(11)}`,
      `                         ${words(9)}`,
      `wrong  grants            ${words(11)}`,
      `       ${words(14)}`,
      `       ${words(5)}`,
      `       → ${words(14)}`,
      `         ${words(14)}`,
      `         ${words(2)}`,
      "-      not checked without --database-url: jit, growth",
      "-      not checked without the migrations: words",
      "",
      "5 checks: 1 ok, 1 wrong, 3 not checked."
    ])
  })

  it("never cuts a word, because it may be a URL", () => {
    const long = `https://${"x".repeat(90)}`
    assert.include(inWords([{ name: "a", verdict: wrong(`see ${long} there`, "do") }]).join("\n"), long)
  })

  it("is the same for programs", () => {
    assert.deepStrictEqual(asJson(findings.slice(1, 3)), {
      ok: false,
      findings: [
        { check: "grants", result: "wrong", problems: [{ detail: words(30), whatToDo: words(30) }] },
        { check: "jit", result: "not checked", needs: "--database-url" }
      ]
    })
  })

  it("exits with 1 if something is wrong, but not if something could not be checked", () => {
    assert.deepStrictEqual([exitCodeOf(findings), exitCodeOf(findings.slice(2))], [1, 0])
  })

  it("is explained check by check in the runbook, in its order", () => {
    const runbook = readFileSync(new URL("../../../docs/runbook.md", import.meta.url), "utf8")
    const [, table = ""] = /\| check \|.*\n\|[-|]+\|\n((?:\|.*\n)+)/.exec(runbook) ?? []
    const explained = table.split("\n").flatMap((row) => /^\| ([a-z ]+) \|/.exec(row)?.[1] ?? [])
    assert.deepStrictEqual(explained, [...checks.map(({ name }) => name), "canary"])
  })
})
